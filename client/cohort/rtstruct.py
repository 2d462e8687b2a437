"""RTSTRUCT in: closed planar contours in patient coordinates to voxels.

A voxel belongs to a structure if its centre lies inside an odd number of the slice's contours (even-odd): an inner
contour is a hole, and so is a keyhole (PS3.3 C.8.8.6.3). A centre on a contour counts by the half-open rule, so
structures that share a border never share a voxel and leave none out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset

from client.cohort.dicom_headers import DicomFile
from client.cohort.findings import ImageFault
from client.cohort.grids import Grid

_OFF_PLANE_VOXELS = 0.25
_FLAT_VOXELS = 0.1


def structure_names(header: Dataset) -> dict[int, str]:
    """The structures' names by number; only those that hold a closed contour."""
    drawn = {
        int(contours.ReferencedROINumber)
        for contours in header.get("ROIContourSequence") or ()
        if any(_closed(contour) for contour in contours.get("ContourSequence") or ())
    }
    return {
        int(structure.ROINumber): str(structure.get("ROIName") or f"structure {structure.ROINumber}")
        for structure in header.get("StructureSetROISequence") or ()
        if int(structure.ROINumber) in drawn
    }


def read_structures(file: DicomFile, masks: Mapping[int, str], grid: Grid) -> dict[str, sitk.Image]:
    """The structures as masks on a grid.

    Raises
    ------
    ImageFault
        If a contour does not lie in the image's slices.
    """
    found = {}
    for contours in file.header.get("ROIContourSequence") or ():
        number = int(contours.ReferencedROINumber)
        if number in masks:
            closed = [contour for contour in contours.get("ContourSequence") or () if _closed(contour)]
            points_mm = [_points(contour) for contour in closed]
            found[masks[number]] = grid.image(fill_contours(points_mm, grid))
    return found


def _closed(contour: Dataset) -> bool:
    return str(contour.get("ContourGeometricType", "")) in ("CLOSED_PLANAR", "CLOSED_PLANAR_XOR")


def _points(contour: Dataset) -> np.ndarray:
    try:
        return np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
    except (AttributeError, ValueError):
        raise ImageFault(
            "unreadable file", "a contour's coordinates are no triples of numbers", "export it again"
        ) from None


def fill_contours(contours_mm: Sequence[np.ndarray], grid: Grid) -> np.ndarray:
    """Voxels (z, y, x), 0 or 1, whose centres lie inside an odd number of contours of their slice.

    Parameters
    ----------
    contours_mm
        Points × 3, patient coordinates; each closes itself.
    """
    columns, rows, slices = grid.size
    filled = np.zeros((slices, rows, columns), dtype=np.uint8)
    outside = 0
    for points_mm in contours_mm:
        indices = grid.index(points_mm)
        height = indices[:, 2]
        middle = float(height.mean())
        at = round(middle)
        if np.ptp(height) > 2 * _FLAT_VOXELS or abs(middle - at) > _OFF_PLANE_VOXELS:
            raise ImageFault(
                "geometry mismatch",
                f"a contour runs from slice {height.min() + 1:.2f} to {height.max() + 1:.2f} of this image: "
                "drawn on another series, or in another plane",
                "put the series it was drawn on in the phase's folder",
            )
        if not 0 <= at < slices:
            outside += 1
            continue
        filled[at] ^= fill_polygon(indices[:, :2], rows, columns)
    if outside:
        raise ImageFault(
            "mask outside the image",
            f"{outside} of {len(contours_mm)} contours lie above or below the image's {slices} slices",
            "check that image and structures belong together and that no slice is missing",
        )
    return filled


def fill_polygon(points: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Pixels (rows × columns), 0 or 1, whose centres lie inside a polygon by the even-odd rule.

    Every edge toggles all pixels to the right of where it crosses a row of pixel centres; what is toggled an odd
    number of times is inside.

    Parameters
    ----------
    points
        Corners × 2: column and row, in pixels; (0, 0) is the centre of the first pixel.
    """
    starts, ends = points, np.roll(points, -1, axis=0)
    toggles = np.zeros((rows, columns + 1), dtype=np.int64)
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        if y1 < y0:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, last = max(int(np.ceil(y0)), 0), min(int(np.ceil(y1)), rows)  # rows with y0 ≤ row < y1
        if first >= last:
            continue
        crossed = np.arange(first, last)
        x = x0 + (crossed - y0) * ((x1 - x0) / (y1 - y0))
        right = np.clip(np.ceil(x), 0, columns).astype(np.int64)
        np.add.at(toggles, (crossed, right), 1)
    parity: np.ndarray = (np.cumsum(toggles[:, :columns], axis=1) % 2).astype(np.uint8)
    return parity
