"""DICOM SEG in: every segment placed on the image's grid, frame by frame, by position and not by order.

A SEG may hold only the slices that are marked, in any order, flipped in the plane, with overlapping segments
(PS3.3 C.8.20); Label Map Segmentations hold the segment's number as the pixel's value.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset

from client.cohort.dicom_headers import DicomFile
from client.cohort.dicom_series import decoded
from client.cohort.findings import ImageFault
from client.cohort.grids import TOLERANCE_VOXELS, Grid


def segment_names(header: Dataset) -> dict[int, str]:
    """The segments' labels by number."""
    names = {}
    for segment in header.get("SegmentSequence") or ():
        number = int(segment.get("SegmentNumber") or 0)
        if number > 0:  # 0 is the background of a label map
            names[number] = str(segment.get("SegmentLabel") or f"segment {number}")
    return names


def referenced_series(header: Dataset) -> set[str]:
    """The series that an object says it was drawn on."""
    found = {str(item.get("SeriesInstanceUID", "")) for item in header.get("ReferencedSeriesSequence") or ()}
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            found |= {
                str(item.get("SeriesInstanceUID", "")) for item in study.get("RTReferencedSeriesSequence") or ()
            }
    return found - {""}


def read_segments(file: DicomFile, masks: Mapping[int, str], grid: Grid) -> dict[str, sitk.Image]:
    """The segments as masks on a grid.

    Parameters
    ----------
    masks
        Which segments to read, and what they are called.

    Raises
    ------
    ImageFault
        If the segments cannot be read, lie on another grid, or are fractions.
    """
    dataset = file.header
    frames = _stored(file.path, dataset)
    label_map = str(dataset.get("SegmentationType", "")) == "LABELMAP"
    shape = grid.size[::-1]
    found = {mask: np.zeros(shape, dtype=np.uint8) for mask in masks.values()}
    shared = (
        dataset.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in dataset else Dataset()
    )
    try:
        groups = list(dataset.PerFrameFunctionalGroupsSequence)
        for frame, group in zip(frames, groups, strict=True):
            numbers = np.unique(frame[frame > 0]).tolist() if label_map else [_segment_number(group, shared)]
            for number in numbers:
                if number in masks:
                    marked = frame == number if label_map else frame > 0
                    _place(marked, group, shared, grid, found[masks[number]])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ImageFault(
            "unreadable file", "the SEG's frames do not say where they lie or what they mark", "export it again"
        ) from None
    return {mask: grid.image(voxels) for mask, voxels in found.items()}


def _stored(path: Path, dataset: Dataset) -> np.ndarray:
    frames = decoded(path)
    if frames.ndim == 2:
        frames = frames[None]
    if str(dataset.get("SegmentationType", "")) == "FRACTIONAL":
        full = int(dataset.get("MaximumFractionalValue") or 255)
        between = int(((frames > 0) & (frames < full)).sum())
        if between:
            raise ImageFault(
                "fractional mask",
                f"the SEG holds fractions ({between:,} voxels between 0 and {full})",
                "threshold it at one half and export it as a BINARY segmentation",
            )
    return frames


def _segment_number(group: Dataset, shared: Dataset) -> int:
    holder = group if "SegmentIdentificationSequence" in group else shared
    return int(holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _place(marked: np.ndarray, group: Dataset, shared: Dataset, grid: Grid, into: np.ndarray) -> None:
    """Mark a frame's pixels in the volume `into` (z, y, x)."""
    rows, columns = np.nonzero(marked)
    if not len(rows):
        return

    def of(name: str) -> Dataset:
        holder = group if name in group else shared
        return holder[name].value[0]

    position = np.array([float(part) for part in of("PlanePositionSequence").ImagePositionPatient])
    orientation = np.array(
        [float(part) for part in of("PlaneOrientationSequence").ImageOrientationPatient]
    ).reshape(2, 3)
    between_rows, between_columns = (float(part) for part in of("PixelMeasuresSequence").PixelSpacing)
    at_mm = (
        position
        + np.outer(columns * between_columns, orientation[0])
        + np.outer(rows * between_rows, orientation[1])
    )
    indices = grid.index(at_mm)
    whole = np.rint(indices).astype(int)
    off = float(np.abs(indices - whole).max())
    if off > 2 * TOLERANCE_VOXELS:
        raise ImageFault(
            "geometry mismatch",
            f"the segments' pixels lie up to {off:.2f} voxels beside the image's: drawn on another grid",
            "put the series it was drawn on in the phase's folder, or resample the mask to this one",
        )
    if (whole < 0).any() or (whole >= np.asarray(grid.size)).any():
        raise ImageFault(
            "mask outside the image",
            "the segments reach beyond the image's slices or edges",
            "check that image and mask belong together and that no slice is missing",
        )
    into[whole[:, 2], whole[:, 1], whole[:, 0]] = 1
