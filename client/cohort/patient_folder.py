"""What lies in a patient's folder: which files are phases, which are masks, and which are neither."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.cohort.dicom_headers import DicomFile, is_dicomdir, read_header
from client.cohort.faults import quoted
from client.cohort.findings import Findings, ImageFault
from client.cohort.image_names import MaskName, is_phase, mask_name, may_be_phase, suggestion
from client.cohort.images_file import ImagesFile
from client.cohort.voxel_files import ENDINGS, stem

_NOT_OURS = (".json", ".yaml", ".yml", ".txt", ".md", ".csv", ".ds_store", ".db")
_DEEPEST = 4


@dataclass(eq=False)
class PatientFolder:
    """The files of one patient, by what they are.

    Parameters
    ----------
    images, masks, labelled
        NIfTI and NRRD files: by phase, by mask, and those that hold several masks by number.
    series
        DICOM images by phase.
    objects
        SEG and RTSTRUCT, each with the name of the folder or file it came as.
    """

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[MaskName, Path] = field(default_factory=dict)
    labelled: dict[str, Path] = field(default_factory=dict)
    series: dict[str, list[DicomFile]] = field(default_factory=dict)
    objects: list[tuple[str, DicomFile]] = field(default_factory=list)

    @property
    def phases(self) -> list[str]:
        """Every phase, sorted."""
        return sorted({*self.images, *self.series})


def look_into(folder: Path, options: ImagesFile, findings: Findings) -> PatientFolder:
    """Sort a patient's files; what cannot be sorted becomes a finding, never silence."""
    sorted_files = PatientFolder()
    own_names = {name.casefold(): ours for name, ours in options.names.items()}
    for path in files_of(folder):
        if not path.is_file():  # a pipe or a broken link would never end or never open
            findings.add(_place(folder, path), "unreadable file", "this is no file", "delete it")
            continue
        voxel_stem = stem(path)
        if voxel_stem is not None:
            _sort_voxels(folder, path, own_names.get(voxel_stem, voxel_stem), options, sorted_files, findings)
            continue
        if path.suffix.casefold() in _NOT_OURS or path.name.casefold() in _NOT_OURS:
            continue
        try:
            file = read_header(path)
        except ImageFault as fault:
            findings.fault(_place(folder, path), fault)
            continue
        if file is None:
            findings.look(
                _place(folder, path),
                "unknown file",
                "the file is neither NIfTI, NRRD nor DICOM, and is not read",
                f"save images as {', '.join(ENDINGS)} or DICOM, and take other files out of the folder",
            )
        elif not is_dicomdir(file):
            _sort_dicom(folder, file, own_names, sorted_files, findings)
    for phase in set(sorted_files.images) & set(sorted_files.series):
        findings.add(
            phase, "phase given twice", "the phase is there as a file and as a DICOM folder", "keep one of them"
        )
    return sorted_files


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder and its folders, sorted; hidden ones and links to folders left out."""
    for root, folders, names in os.walk(folder):
        here = Path(root)
        deep = len(here.relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and deep < _DEEPEST)
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def _place(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _sort_voxels(
    folder: Path, path: Path, name: str, options: ImagesFile, into: PatientFolder, findings: Findings
) -> None:
    place = _place(folder, path)
    if path.parent != folder:
        findings.look(
            place,
            "misplaced file",
            "the file lies in a folder inside the patient's folder and is not read",
            "move it up one folder and call it by its phase or mask",
        )
        return
    labelled = {own.casefold(): own for own in options.labels}
    mask = mask_name(name)
    known: dict[str, Path] | dict[MaskName, Path]
    key: str | MaskName
    if name in labelled:
        known, key = into.labelled, labelled[name]
    elif mask is not None:
        known, key = into.masks, mask
    elif is_phase(name) or name in options.names.values():
        known, key = into.images, name
    else:
        _say_unknown(place, name, findings)
        return
    if key in known:
        findings.add(place, "file given twice", f"{known[key].name} is {key} already", "keep one of the two")  # type: ignore[index]
        return
    known[key] = path  # type: ignore[index]


def _sort_dicom(
    folder: Path, file: DicomFile, own_names: dict[str, str], into: PatientFolder, findings: Findings
) -> None:
    parts = file.path.relative_to(folder).parts
    own = parts[0] if len(parts) > 1 else file.path.stem
    name = own_names.get(own.casefold(), own.casefold())
    if file.is_segmentation or file.is_structure_set:
        of_file = own_names.get(file.path.stem.casefold(), file.path.stem.casefold())
        into.objects.append((of_file if mask_name(of_file) else name, file))
    elif not file.is_image:
        findings.look(
            _place(folder, file.path),
            "unknown file",
            "the DICOM file holds no image and is not read",
            "take it out",
        )
    elif is_phase(name) or (name in own_names.values() and may_be_phase(name) and mask_name(name) is None):
        into.series.setdefault(name, []).append(file)
    else:
        _say_unknown(parts[0], name, findings)


def _say_unknown(place: str, name: str, findings: Findings) -> None:
    meant = suggestion(name)
    line = f"names: {{{quoted(name)}: {meant or 'portal'}}}"
    findings.look(
        place,
        "unknown name",
        f"{quoted(name)} is neither a phase nor a mask, and is not read",
        (f"did you mean {meant}? " if meant else "") + f"Rename it, or write in images.yaml: {line}",
    )


def files_digest(folder: Path, general: ImagesFile | None = None) -> str:
    """A hash over the bytes of a patient's files, images.yaml and that of all patients among them; none is decoded.

    Two reads of unchanged files give the same digest, so that features need not be computed again.
    """
    total = hashlib.sha256()
    total.update((general or ImagesFile()).model_dump_json().encode() + b"\n")
    for path in files_of(folder):
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{_place(folder, path)}\0{content}\n".encode())
    return total.hexdigest()
