"""SEG and RTSTRUCT objects in: which phase each was drawn on, and its structures as masks on that phase's grid."""

from collections.abc import Mapping, Sequence

import SimpleITK as sitk

from client.cohort import dicom_seg, rtstruct
from client.cohort.dicom_headers import DicomFile
from client.cohort.findings import Findings, ImageFault
from client.cohort.grids import Grid
from client.cohort.structures import assign


def names_in(file: DicomFile) -> dict[int, str]:
    """What an object calls its structures, by number.

    Raises
    ------
    ImageFault
        If it holds none.
    """
    try:
        names = (
            dicom_seg.segment_names(file.header) if file.is_segmentation else rtstruct.structure_names(file.header)
        )
    except (AttributeError, TypeError, ValueError):
        raise ImageFault(
            "unreadable file", "the object's list of structures is broken", "export it again"
        ) from None
    if not names:
        raise ImageFault("empty mask", "the object holds no drawn structure", "draw it and export it again")
    return names


def read_object(file: DicomFile, masks: Mapping[int, str], grid: Grid) -> dict[str, sitk.Image]:
    """An object's structures as masks on a grid."""
    if len(grid.size) != 3:
        raise ImageFault(
            "geometry mismatch",
            "the object belongs to slices in space, the image is one frame",
            "use a NIfTI mask",
        )
    read = dicom_seg.read_segments if file.is_segmentation else rtstruct.read_structures
    return read(file, masks, grid)


def read_objects(
    objects: Sequence[tuple[str, DicomFile]],
    structures: Mapping[str, str | None],
    grids: Mapping[str, Grid],
    series: Mapping[str, str],
    findings: Findings,
) -> list[tuple[str, str, dict[str, sitk.Image]]]:
    """Every object as (its file, the phase it was drawn on, its masks).

    Parameters
    ----------
    objects
        Each with the name of the folder or file it came as.
    structures
        images.yaml's word on names.
    grids, series
        Of the phases: their grids, and the series they were read from where that was DICOM.
    """
    read = []
    for name, file in objects:
        place = file.path.name
        try:
            phase = phase_of(file, name, grids, series)
            if phase is None:  # drawn on a phase that nobody asked for
                continue
            masks = assign(names_in(file), structures, name)
            read.append((place, phase, read_object(file, masks, grids[phase])))
        except ImageFault as fault:
            findings.fault(place, fault)
    return read


def phase_of(file: DicomFile, name: str, grids: Mapping[str, Grid], series: Mapping[str, str]) -> str | None:
    """The phase an object was drawn on: by the series it refers to, else by its folder, else the only one.

    Raises
    ------
    ImageFault
        If it cannot be told.
    """
    referenced = dicom_seg.referenced_series(file.header)
    named = [phase for phase, uid in series.items() if uid in referenced]
    if named:
        return next((phase for phase in named if phase in grids), None)
    if name in grids:
        return name
    if not grids:
        return None
    if len(grids) == 1:
        return next(iter(grids))
    raise ImageFault(
        "unknown series",
        f"the object was drawn on a series that is not here (here: {', '.join(grids)})",
        "add that series, or put the object into the folder of the phase it belongs to",
    )
