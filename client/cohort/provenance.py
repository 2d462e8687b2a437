"""The only DICOM tags that are kept: how an image was made. No date, no identifier, no free text, no private tag.

StudyDescription, SeriesDescription, ImageComments, DeviceSerialNumber, ProtocolName and private tags survive the
usual anonymisers and have held names: so this list says what stays, not what goes.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from client.cohort.findings import ImageFault

Value = str | float | list[float]

NUMBERS = (
    "SliceThickness",
    "SpacingBetweenSlices",
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "ReconstructionDiameter",
    "MagneticFieldStrength",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "DiffusionBValue",
    "PixelSpacing",
)
WORDS = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "ScanningSequence",
    "SequenceVariant",
    "MRAcquisitionType",
    "RescaleType",
    "Units",
    "DecayCorrection",
    "LossyImageCompression",
    "PatientPosition",
    "BurnedInAnnotation",
)
# What we work out ourselves.
OWN_NUMBERS = ("SecondsAfterFirstPhase", "FrameNumber")
OWN_WORDS = ("CropConfirmed",)
IDENTITY = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "PatientAddress",
    "AccessionNumber",
    "InstitutionName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "DeviceSerialNumber",
)
_PLAIN = re.compile(r"[\w .,:+*/()\-]{1,64}")


def identity_words(header: Dataset) -> set[str]:
    """The words of a header that tell who the patient is, three letters or more, without case."""
    words: set[str] = set()
    for keyword in ("PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber"):
        text = str(header.get(keyword, "") or "").casefold()
        words |= {word for word in re.split(r"[\s^=,\\'\[\]]+", text) if len(word) >= 3}
    return words


def allowed_tags(header: Dataset) -> dict[str, Value]:
    """What is kept of a header; a text that repeats a word of the patient's identity is left out too."""
    kept: dict[str, Value] = {}
    secret = identity_words(header)
    for keyword in NUMBERS:
        value = header.get(keyword)
        try:
            if isinstance(value, (MultiValue, list)):
                kept[keyword] = [float(part) for part in value][:4]
            elif value is not None and str(value).strip():
                kept[keyword] = float(value)
        except (TypeError, ValueError):
            continue
    for keyword in WORDS:
        value = header.get(keyword)
        text = "/".join(map(str, value)) if isinstance(value, (MultiValue, list)) else str(value or "")
        text = text.strip()
        if _PLAIN.fullmatch(text) and not any(word in text.casefold() for word in secret):
            kept[keyword] = text
    return kept


def write_sidecar(path: Path, tags: Mapping[str, Value]) -> None:
    """The json file beside an imported image."""
    known = {*NUMBERS, *WORDS, *OWN_NUMBERS, *OWN_WORDS}
    assert known.issuperset(tags), sorted(set(tags) - known)
    path.write_text(json.dumps(dict(sorted(tags.items())), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> tuple[dict[str, Value], list[str]]:
    """What an image's json file may tell, and which fields of identity it holds.

    Other programs write such files too (dcm2niix), with names and dates in them: only allowed fields are read.

    Raises
    ------
    ImageFault
        If the file is no JSON object.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        said = str(error).splitlines()[0][:80]
        raise ImageFault("unreadable file", f"this is no JSON ({said})", "correct or delete the file") from None
    if not isinstance(content, dict):
        raise ImageFault("unreadable file", "this is no JSON object", "correct or delete the file")
    if "ManufacturersModelName" in content:  # as BIDS spells it
        content.setdefault("ManufacturerModelName", content["ManufacturersModelName"])
    kept: dict[str, Value] = {}
    for keyword in (*NUMBERS, *OWN_NUMBERS):
        value = content.get(keyword)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            kept[keyword] = float(value)
        elif isinstance(value, list) and all(isinstance(part, (int, float)) for part in value):
            kept[keyword] = [float(part) for part in value][:4]
    for keyword in (*WORDS, *OWN_WORDS):
        value = content.get(keyword)
        if isinstance(value, str) and _PLAIN.fullmatch(value):
            kept[keyword] = value
    return kept, [keyword for keyword in IDENTITY if content.get(keyword)]
