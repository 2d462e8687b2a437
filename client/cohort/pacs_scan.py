"""What a PACS export holds: volumes and mask objects, by patient and study; only headers are read."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from client.cohort.dicom_headers import (
    IMAGE_MODALITIES,
    DicomFile,
    acquired_at,
    date_and_time,
    is_dicomdir,
    read_header,
    series_uid,
    split_series,
)
from client.cohort.dicom_seg import referenced_series
from client.cohort.findings import ImageFault
from client.cohort.mask_objects import names_in
from client.cohort.provenance import identity_words
from client.cohort.pseudonyms import Pseudonyms


@dataclass(frozen=True, eq=False)
class ScannedVolume:
    """Files that make one volume, or one ultrasound picture or cine.

    Parameters
    ----------
    series
        A short name that tells nothing, for the plan.
    """

    series: str
    files: list[DicomFile]
    acquired: datetime | None

    @property
    def modality(self) -> str:
        """CT, MR, US, PT."""
        return str(self.files[0].header.get("Modality", ""))

    @property
    def slices(self) -> int:
        """Slices, or frames."""
        return sum(int(file.header.get("NumberOfFrames") or 1) for file in self.files)


@dataclass(frozen=True, eq=False)
class ScannedObject:
    """A SEG or RTSTRUCT object.

    Parameters
    ----------
    drawn_on
        The short name of the volume it refers to; empty where that is not in the export.
    """

    series: str
    file: DicomFile
    names: dict[int, str]
    drawn_on: str


@dataclass(eq=False)
class ScannedStudy:
    """One examination."""

    patient: str
    number: int
    volumes: list[ScannedVolume] = field(default_factory=list)
    objects: list[ScannedObject] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Scan:
    """An export.

    Parameters
    ----------
    identities
        The hospital's own numbers → pseudonyms; goes only into the hospital's own list.
    left_out
        What was not taken up and why.
    """

    studies: list[ScannedStudy]
    identities: dict[str, str]
    left_out: tuple[str, ...]


def scan_export(folder: Path, pseudonyms: Pseudonyms) -> Scan:
    """Read every header of an export.

    File names decide nothing and are kept nowhere: exports are often called by the patient's name. Only `left_out`,
    which is for the screen, shows the file to look for.
    """
    left_out: list[str] = []
    by_study: dict[tuple[str, str], list[DicomFile]] = defaultdict(list)
    read: set[str] = set()
    for path in _files(folder):
        place = path.relative_to(folder)
        try:
            file = read_header(path)
        except ImageFault as fault:
            left_out.append(f"{place}: {fault.found}; {fault.cure}")
            continue
        if file is None or is_dicomdir(file):
            continue
        instance = str(file.header.get("SOPInstanceUID", ""))
        if instance and instance in read:
            left_out.append(f"{place}: the same image is in the export twice; the first is taken")
            continue
        read.add(instance)
        patient_id = str(file.header.get("PatientID", "") or "").strip()
        if not patient_id:
            left_out.append(f"{place}: it has no PatientID; ask the PACS for it, the file is not imported")
            continue
        by_study[(patient_id, str(file.header.get("StudyInstanceUID", "")))].append(file)
    identities = {patient_id: pseudonyms.of(patient_id) for patient_id, _ in by_study}
    studies = []
    numbers: dict[str, int] = defaultdict(int)
    for (patient_id, _), files in sorted(by_study.items(), key=lambda item: (item[0][0], _study_time(item[1]))):
        numbers[patient_id] += 1
        studies.append(_study(identities[patient_id], numbers[patient_id], files, pseudonyms, left_out))
    studies.sort(key=lambda study: (study.patient, study.number))
    return Scan(studies, identities, tuple(left_out))


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(root) / name).is_file())


def _study_time(files: list[DicomFile]) -> datetime:
    header = files[0].header
    time = date_and_time(str(header.get("StudyDate", "") or ""), str(header.get("StudyTime", "") or "0000"))
    return time or datetime.max


def _study(
    patient: str, number: int, files: list[DicomFile], pseudonyms: Pseudonyms, left_out: list[str]
) -> ScannedStudy:
    study = ScannedStudy(patient, number)
    images = []
    others = 0
    for file in files:
        if file.is_image and str(file.header.get("Modality", "")) in IMAGE_MODALITIES:
            images.append(file)
        elif not (file.is_segmentation or file.is_structure_set):
            others += 1
    if others:
        left_out.append(f"patient {patient}, study {number}: {others} files that are no CT, MR, US or PET image")
    parts: dict[str, int] = defaultdict(int)
    for volume in _volumes(images):
        uid = series_uid(volume[0].header)
        parts[uid] += 1
        name = pseudonyms.of_series(uid, parts[uid])
        study.volumes.append(ScannedVolume(name, volume, acquired_at([file.header for file in volume])))
    study.volumes.sort(key=lambda volume: (volume.acquired or datetime.max, _series_number(volume.files[0])))
    for file in files:
        if file.is_segmentation or file.is_structure_set:
            try:
                names = names_in(file)
            except ImageFault as fault:
                left_out.append(f"patient {patient}, study {number}: {fault.found}; {fault.cure}")
                continue
            uid = str(file.header.get("SOPInstanceUID", ""))
            study.objects.append(
                ScannedObject(pseudonyms.of_series(uid, 0), file, names, _drawn_on(file, study.volumes))
            )
    return study


def _volumes(images: list[DicomFile]) -> list[list[DicomFile]]:
    """Ultrasound files are pictures of their own; all others make volumes."""
    pictures = [[file] for file in images if file.header.get("Modality") == "US"]
    return pictures + split_series(file for file in images if file.header.get("Modality") != "US")


def _series_number(file: DicomFile) -> int:
    try:
        return int(file.header.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        return 0


def _drawn_on(file: DicomFile, volumes: list[ScannedVolume]) -> str:
    referenced = referenced_series(file.header)
    found = [volume for volume in volumes if series_uid(volume.files[0].header) in referenced]
    return max(found, key=lambda volume: volume.slices).series if found else ""


def description(file: DicomFile) -> str:
    """What the scanner's operator called the series, without any word of the patient's identity."""
    header = file.header
    secret = identity_words(header)
    words = re.split(r"\s+", str(header.get("SeriesDescription") or header.get("ProtocolName") or ""))
    kept = " ".join("…" if any(part in word.casefold() for part in secret) else word for word in words)
    return "".join(c for c in kept if c.isprintable()).strip(" =+-@")[:60]
