"""The features that this hospital extracted from its images for a study, as one matrix."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np

from client.cohort.faults import Faults, counted, some
from client.cohort.features_file import Features, choose_features
from client.cohort.images_file import read_images_file
from client.site import Site
from common.errors import Code, HospitalError
from common.study import Study

SHOWN_PATIENTS = 5
SUMMARIES: dict[str, Callable[[list[float]], float]] = {"mean": fmean, "maximum": max, "minimum": min}
"""What of the lesions' features becomes the patient's."""


def require_pyradiomics() -> None:
    """HospitalError where the library that computes features is not there."""
    if importlib.util.find_spec("radiomics") is None:
        raise HospitalError(
            Code.NO_FEATURES,
            "PyRadiomics is not installed, and the study computes features: `make install` builds it (README)",
        )


def read_extracted(site: Site, study: Study, patients: Sequence[str], measurement: str = "") -> Features:
    """The features of the patients whose images were extracted with the study's settings.

    Parameters
    ----------
    measurement
        Empty: the one that studies use.

    Raises
    ------
    HospitalError
        Where a patient's images have neither features nor a reason why there are none: extract first.
    """
    require_pyradiomics()
    from client.extraction_run.kept import Failure, open_kept  # hospitals without images need no PyRadiomics

    assert study.features is not None
    again = f"run: hepafed site extract STUDY {site.folder}"
    if not site.extracted.is_file():
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.extracted}: the study computes features and none are extracted here yet; {again}",
        )
    notes: list[str] = []
    ids: list[str] = []
    rows: list[dict[str, float]] = []
    waiting: list[str] = []
    without: list[str] = []
    with open_kept(site.extracted_in, site.images, read_images_file(site.images), study.features) as kept:
        for patient in patients:
            if not (site.images / patient).is_dir():
                without.append(patient)
                continue
            found = kept.look_up(kept.key(patient))
            if found is None:
                waiting.append(patient)
            elif isinstance(found, Failure):
                notes.append(f"no features: {found.reason}")
            else:
                lesions = [row.values for row in found.rows if row.measurement == measurement]
                if lesions:
                    ids.append(patient)
                    rows.append(of_the_patient(lesions, study.features.lesion_summary))
    if waiting:
        raise HospitalError(
            Code.NO_FEATURES,
            f"{counted(len(waiting), 'patient')} ({some(waiting, SHOWN_PATIENTS)}): the images have no features under "
            f"this study's settings and versions yet, or were changed since; {again}",
        )
    if without:
        notes.append(f"without a folder in {site.images.name}/: {', '.join(without)}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    faults = Faults()
    chosen = choose_features(
        "the features that the study computes", names, study.predictors, "mend predictors.radiomics", faults
    )
    if rows:
        faults.stop_if_any()
    matrix = np.array([[row.get(name, np.nan) for name in chosen] for row in rows]).reshape(len(rows), len(chosen))
    return Features(ids=tuple(ids), names=tuple(chosen), matrix=matrix, notes=tuple(notes))


def of_the_patient(lesions: Sequence[Mapping[str, float]], summary: str) -> dict[str, float]:
    """One value a feature from a patient's lesions, those left aside where it is not defined.

    A row a patient, not a lesion: the outcome is the patient's, and counts and folds are of patients.
    """
    if len(lesions) == 1:
        return dict(lesions[0])
    found = {}
    for name in dict.fromkeys(name for lesion in lesions for name in lesion):
        known = [lesion[name] for lesion in lesions if not np.isnan(lesion.get(name, np.nan))]
        found[name] = SUMMARIES[summary](known) if known else np.nan
    return found
