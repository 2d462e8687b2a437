"""PET in standardised uptake values by body weight (SUVbw): activity concentration × weight / injected activity.

The injected activity is decayed to the time that the image is corrected to (Boellaard 2015, EANM 2.0,
doi:10.1007/s00259-014-2961-x; QIBA's pseudo code for vendor-neutral SUV).
"""

from datetime import datetime, timedelta

from pydicom import Dataset

from client.cohort.dicom_headers import date_and_time
from client.cohort.findings import ImageFault

_GRAMS = 1000.0
_CURE = "ask nuclear medicine for these tags, or save the image in SUV as NIfTI (pet.nii.gz)"


def suv_factor(header: Dataset) -> float:
    """What to multiply the stored activity (Bq/mL) by to get SUVbw in g/mL.

    Raises
    ------
    ImageFault
        If a tag that is needed is missing or cannot be right.
    """
    units = str(header.get("Units", "") or "")
    if units == "GML":
        return 1.0
    if units != "BQML":
        raise ImageFault("PET without SUV", f"the image is in {units or 'unknown units'}, not in Bq/mL", _CURE)
    weight_kg = _number(header, "PatientWeight")
    if not 1 <= weight_kg <= 400:
        raise ImageFault("PET without SUV", f"a body weight of {weight_kg:g} kg", _CURE)
    sequence = header.get("RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise ImageFault("PET without SUV", "the tags do not tell what was injected", _CURE)
    dose = sequence[0]
    activity_bq = _number(dose, "RadionuclideTotalDose")
    half_life_s = _number(dose, "RadionuclideHalfLife")
    if not 1e6 <= activity_bq <= 1e11:
        raise ImageFault("PET without SUV", f"an injected activity of {activity_bq:g} Bq", _CURE)
    if half_life_s <= 0:
        raise ImageFault("PET without SUV", f"a half-life of {half_life_s:g} s", _CURE)
    correction = str(header.get("DecayCorrection", "") or "")
    if correction == "ADMIN":
        elapsed_s = 0.0
    elif correction == "START":
        elapsed_s = _elapsed_s(header, dose)
    else:
        raise ImageFault("PET without SUV", f"a decay correction of {correction or 'unknown kind'!r}", _CURE)
    return float(weight_kg * _GRAMS / (activity_bq * 2.0 ** (-elapsed_s / half_life_s)))


def _number(header: Dataset, keyword: str) -> float:
    try:
        return float(header.get(keyword))
    except (TypeError, ValueError):
        raise ImageFault("PET without SUV", f"the tag {keyword} is missing", _CURE) from None


def _elapsed_s(header: Dataset, dose: Dataset) -> float:
    """From injection to the time that the image is corrected to: the start of the series.

    SeriesTime is rewritten by some workstations when they reformat; a series that seems to begin after its first
    acquisition is such a one.
    """
    started = date_and_time(str(header.get("SeriesDate", "") or ""), str(header.get("SeriesTime", "") or ""))
    acquired = date_and_time(
        str(header.get("AcquisitionDate", "") or ""), str(header.get("AcquisitionTime", "") or "")
    )
    if started is None:
        raise ImageFault("PET without SUV", "the tags do not tell when the series began", _CURE)
    if acquired is not None and started > acquired:
        raise ImageFault(
            "PET without SUV", "the series seems to begin after its own slices: a workstation rewrote it", _CURE
        )
    injected = _injected(dose, started)
    elapsed_s = (started - injected).total_seconds()
    if not 0 <= elapsed_s <= 86400:
        raise ImageFault("PET without SUV", f"{elapsed_s / 60:.0f} minutes from injection to image", _CURE)
    return elapsed_s


def _injected(dose: Dataset, started: datetime) -> datetime:
    joint = str(dose.get("RadiopharmaceuticalStartDateTime", "") or "")
    injected = date_and_time(joint[:8], joint[8:])
    if injected is not None:
        return injected
    clock = str(dose.get("RadiopharmaceuticalStartTime", "") or "")
    injected = date_and_time(started.strftime("%Y%m%d"), clock)
    if injected is None:
        raise ImageFault("PET without SUV", "the tags do not tell when the tracer was injected", _CURE)
    return injected if injected <= started else injected - timedelta(days=1)
