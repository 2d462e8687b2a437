"""DICOM headers of a folder: what each file is, and which files make one series."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from client.cohort import provenance
from client.cohort.findings import ImageFault

SEGMENTATION = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
)  # Segmentation, Label Map Segmentation
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
IMAGE_MODALITIES = ("CT", "MR", "US", "PT")
DICOM_ENDINGS = (".dcm", ".ima", ".dicom")

# All that is ever looked at; an export of a hundred thousand files would not fit into memory with all their tags.
_TAGS = (
    *provenance.NUMBERS,
    *provenance.WORDS,
    *provenance.IDENTITY,
    "PatientIdentityRemoved",
    "PatientWeight",
    "IssuerOfPatientID",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyDate",
    "StudyTime",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoNumbers",
    "ImageType",
    "ContrastBolusAgent",
    "ContrastBolusStartTime",
    "RescaleSlope",
    "RescaleIntercept",
    "GantryDetectorTilt",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "SequenceOfUltrasoundRegions",
    "RadiopharmaceuticalInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "SegmentationType",
    "MaximumFractionalValue",
    "SegmentSequence",
    "ReferencedSeriesSequence",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
    "ROIContourSequence",
    "DirectoryRecordSequence",
)


@dataclass(frozen=True)
class DicomFile:
    """One file and its header, without its pixels."""

    path: Path
    header: Dataset

    @property
    def is_segmentation(self) -> bool:
        """A SEG object."""
        return str(self.header.get("SOPClassUID", "")) in SEGMENTATION

    @property
    def is_structure_set(self) -> bool:
        """An RTSTRUCT object."""
        return str(self.header.get("SOPClassUID", "")) == STRUCTURE_SET

    @property
    def is_image(self) -> bool:
        """Whether the file holds a picture (of a secondary capture too)."""
        return "Rows" in self.header and "Columns" in self.header and not self.is_segmentation


def read_header(path: Path) -> DicomFile | None:
    """A file's header; None where the file is no DICOM.

    Raises
    ------
    ImageFault
        If it begins as DICOM and cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(132)
    marked = start[128:132] == b"DICM"
    if not marked and path.suffix.casefold() not in DICOM_ENDINGS:
        return None
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=not marked, specific_tags=list(_TAGS))
        _drop_unreadable(header)
        if "SOPClassUID" not in header and "DirectoryRecordSequence" not in header:
            raise InvalidDicomError("it does not say what kind of object it is")
    except Exception as error:  # a damaged file breaks the parser anywhere, with any error
        said = (str(error).splitlines() or [""])[0][:100].replace(str(path), path.name)
        raise ImageFault(
            "unreadable file", f"the file is no readable DICOM ({said})", "copy or export it again"
        ) from None
    return DicomFile(path, header)


def _drop_unreadable(header: Dataset) -> None:
    """Take out what cannot be parsed, as if it were not there; pydicom would only find out when it is looked at."""
    for tag in list(header.keys()):
        try:
            element = header[tag]
            if element.VR == "SQ":
                for item in element.value:
                    _drop_unreadable(item)
            elif element.VR in ("DS", "IS"):
                for part in element.value if element.VM > 1 else [element.value]:
                    float(part or 0)
            elif element.keyword in ("Rows", "Columns", "SamplesPerPixel"):
                int(element.value)
        except Exception:  # the parser of every kind of value has errors of its own
            del header[tag]


def is_dicomdir(file: DicomFile) -> bool:
    """An index of a disc; it holds no image."""
    return "DirectoryRecordSequence" in file.header or file.path.name.upper() == "DICOMDIR"


def series_uid(header: Dataset) -> str:
    """The series a file belongs to."""
    return str(header.get("SeriesInstanceUID", ""))


def split_series(files: Iterable[DicomFile]) -> list[list[DicomFile]]:
    """Files grouped into volumes: by series, and within it by what makes volumes different."""
    volumes: dict[tuple[object, ...], list[DicomFile]] = {}
    for file in files:
        volumes.setdefault(_volume_key(file.header), []).append(file)
    return [sorted(volume, key=lambda file: _instance(file.header)) for volume in _join_lonely(volumes)]


def _volume_key(header: Dataset) -> tuple[object, ...]:
    orientation = tuple(round(float(part), 3) for part in header.get("ImageOrientationPatient") or ())
    return (
        series_uid(header),
        header.get("Rows"),
        header.get("Columns"),
        orientation,
        str(header.get("DiffusionBValue", "")),
        str(header.get("EchoNumbers", "")),
        str(header.get("TemporalPositionIdentifier", "")),
        _picture_type(header),
    )


def _picture_type(header: Dataset) -> str:
    """Localisers, and in-phase, opposed-phase, water and fat pictures that share a series."""
    words = {str(word).upper() for word in header.get("ImageType") or ()}
    return " ".join(
        sorted(words & {"LOCALIZER", "IN_PHASE", "OUT_PHASE", "WATER", "FAT", "ADC", "PHASE", "IP", "OP"})
    )


def _join_lonely(volumes: dict[tuple[object, ...], list[DicomFile]]) -> list[list[DicomFile]]:
    """A series in which every file would be a volume of its own is one volume."""
    by_series: dict[object, list[list[DicomFile]]] = {}
    for key, volume in volumes.items():
        by_series.setdefault((key[0], key[1], key[2], key[3]), []).append(volume)
    joined = []
    for parts in by_series.values():
        if len(parts) > 2 and all(len(part) == 1 and "NumberOfFrames" not in part[0].header for part in parts):
            parts = [[file for part in parts for file in part]]
        joined += parts
    return joined


def _instance(header: Dataset) -> int:
    try:
        return int(header.get("InstanceNumber") or 0)
    except (TypeError, ValueError):
        return 0


def acquired_at(headers: Sequence[Dataset]) -> datetime | None:
    """When the first slice was taken; None where the tags do not tell."""
    times = [time for header in headers if (time := _time(header)) is not None]
    return min(times) if times else None


def _time(header: Dataset) -> datetime | None:
    joint = str(header.get("AcquisitionDateTime", "") or "")
    pairs = [(joint[:8], joint[8:])]
    for name in ("Acquisition", "Content", "Series"):
        day = str(header.get(f"{name}Date", "") or header.get("StudyDate", "") or "")
        pairs.append((day, str(header.get(f"{name}Time", "") or "")))
    for day, clock in pairs:
        time = date_and_time(day, clock)
        if time is not None:
            return time
    return None


def date_and_time(day: str, clock: str) -> datetime | None:
    """DICOM's DA and TM; None where either is missing or is none."""
    match = re.match(r"(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6}))?", clock.replace(":", ""))
    days = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", day.strip())
    if match is None or days is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    fraction = int((match[4] or "0").ljust(6, "0"))
    try:
        return datetime(int(days[1]), int(days[2]), int(days[3]), hour, minute, min(second, 59), fraction)
    except ValueError:
        return None
