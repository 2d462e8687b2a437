"""A DICOM series in: one volume on one grid, in the units of its modality (HU, SUV), slices complete."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import UID

from client.cohort.dicom_headers import DicomFile, series_uid
from client.cohort.findings import ImageFault
from client.cohort.grids import Grid
from client.cohort.pet import suv_factor

_STEP_TOLERANCE = 0.02  # of a slice spacing: positions are often rounded to 0.01 or 0.1 mm
_SQUARE = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """A series as an image.

    Parameters
    ----------
    header
        Of the first slice.
    """

    image: sitk.Image
    header: Dataset
    series_uid: str


@dataclass(frozen=True, eq=False)
class _Slice:
    position_mm: np.ndarray
    orientation: np.ndarray
    spacing_mm: tuple[float, float]  # between rows, between columns
    thickness_mm: float
    file: DicomFile
    frame: int | None


def read_series(files: Sequence[DicomFile]) -> Volume:
    """The volume that some files make.

    Raises
    ------
    ImageFault
        If they are not the complete slices of one volume at right angles.
    """
    header = files[0].header
    if str(header.get("PhotometricInterpretation", "MONOCHROME2")).strip() not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageFault(
            "not scalar",
            f"the series is in colour ({header.PhotometricInterpretation}): a picture of a screen, or a fusion",
            "export the original grey series",
        )
    slices = [piece for file in files for piece in _slices(file)]
    grid, order = _grid(slices, header)
    voxels = _voxels([slices[at] for at in order])
    return Volume(grid.image(voxels), header, series_uid(header))


def series_grid(files: Sequence[DicomFile]) -> Grid:
    """The grid of a series, from its headers alone."""
    return _grid([piece for file in files for piece in _slices(file)], files[0].header)[0]


def _slices(file: DicomFile) -> list[_Slice]:
    header = file.header
    if "PerFrameFunctionalGroupsSequence" not in header:
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise ImageFault(
                "no geometry", "several frames without their positions", "export the series as single slices"
            )
        return [_slice(file, None, header, header, header)]
    shared = header.SharedFunctionalGroupsSequence[0]
    found = []
    for number, frame in enumerate(header.PerFrameFunctionalGroupsSequence):
        position, orientation, measures = (
            _group(frame, shared, name)
            for name in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
        found.append(_slice(file, number, position, orientation, measures))
    return found


def _group(frame: Dataset, shared: Dataset, name: str) -> Dataset:
    holder = frame if name in frame else shared
    return holder[name].value[0] if name in holder and len(holder[name].value) else Dataset()


def _slice(
    file: DicomFile, frame: int | None, position: Dataset, orientation: Dataset, measures: Dataset
) -> _Slice:
    try:
        spacing = [float(part) for part in measures.PixelSpacing]
        return _Slice(
            position_mm=np.array([float(part) for part in position.ImagePositionPatient]).reshape(3),
            orientation=np.array([float(part) for part in orientation.ImageOrientationPatient]).reshape(2, 3),
            spacing_mm=(spacing[0], spacing[1]),
            thickness_mm=float(measures.get("SliceThickness") or 0),
            file=file,
            frame=frame,
        )
    except (AttributeError, TypeError, ValueError, IndexError):
        raise ImageFault(
            "no geometry",
            f"{file.path.name} has no position, orientation or pixel spacing",
            "export the original series from the PACS, not screenshots or reports",
        ) from None


def _grid(slices: list[_Slice], header: Dataset) -> tuple[Grid, list[int]]:
    first = slices[0]
    _check_alike(slices)
    row, column = first.orientation
    if (
        abs(row @ column) > _SQUARE
        or abs(np.linalg.norm(row) - 1) > _SQUARE
        or abs(np.linalg.norm(column) - 1) > _SQUARE
    ):
        raise ImageFault(
            "sheared grid", "the directions of rows and columns are not at right angles", "export the series again"
        )
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    column = np.cross(normal, row)
    heights = np.array([piece.position_mm @ normal for piece in slices])
    order = np.argsort(heights, kind="stable").tolist()
    positions = np.array([slices[at].position_mm for at in order])
    step_mm = _step(heights[order], first.thickness_mm)
    if len(slices) > 1:
        sideways = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
        if np.linalg.norm(sideways, axis=1).max() > 0.1 * min(first.spacing_mm) + 0.01:
            raise ImageFault(
                "sheared grid",
                f"the slices are shifted sideways by up to {np.linalg.norm(sideways, axis=1).max():.1f} mm "
                f"(gantry tilt {header.get('GantryDetectorTilt', 'not given')})",
                "export the series with the tilt corrected",
            )
    axes = np.stack([row / np.linalg.norm(row), column, normal], axis=1)
    grid = Grid(
        size=(int(header.Columns), int(header.Rows), len(slices)),
        spacing_mm=(first.spacing_mm[1], first.spacing_mm[0], step_mm),
        origin_mm=tuple(positions[0].tolist()),
        direction=tuple(axes.ravel().tolist()),
    )
    return grid, order


def _check_alike(slices: list[_Slice]) -> None:
    first = slices[0]
    for piece in slices:
        shape, wanted = ((s.file.header.get("Rows"), s.file.header.get("Columns")) for s in (piece, first))
        if shape != wanted:
            found = f"slices of {wanted[1]}×{wanted[0]} and of {shape[1]}×{shape[0]} pixels"
        elif not np.allclose(piece.orientation, first.orientation, atol=1e-3):
            found = "slices of different orientation (a localiser among them?)"
        elif not np.allclose(piece.spacing_mm, first.spacing_mm, rtol=1e-3):
            found = f"pixel spacings of {first.spacing_mm[0]:.4g} and {piece.spacing_mm[0]:.4g} mm"
        else:
            continue
        raise ImageFault(
            "mixed series",
            f"the folder holds {found}: more than one series",
            "keep one series a folder, or sort the export with: hepafed site import",
        )
    if min(first.spacing_mm) <= 0:
        raise ImageFault("no geometry", f"a pixel spacing of {min(first.spacing_mm):g} mm", "export it again")


def _step(heights_mm: np.ndarray, thickness_mm: float) -> float:
    if len(heights_mm) == 1:
        return thickness_mm or 1.0
    steps = np.diff(heights_mm)
    step = float(np.median(steps))
    if steps.min() < 0.01:
        twice = int((steps < 0.01).sum())
        raise ImageFault(
            "repeated slices",
            f"{twice} of {len(heights_mm)} slices lie where another one lies (several b values, echoes or time "
            "points in one folder, or files copied twice)",
            "keep one of them a folder, or sort the export with: hepafed site import",
        )
    tolerance = max(_STEP_TOLERANCE * step, 0.02)
    wide = steps[steps > step + tolerance]
    if np.abs(steps - step).max() > tolerance:
        missing = int(np.rint(wide / step).sum() - len(wide)) if wide.size else 0
        if missing:
            raise ImageFault(
                "missing slices",
                f"{missing} slices are missing: {wide.max():.3g} mm instead of {step:.3g} mm in {len(wide)} places",
                "export the whole series again",
            )
        raise ImageFault(
            "uneven slices",
            f"the slices are {steps.min():.3g} to {steps.max():.3g} mm apart",
            "export a reconstruction with even slices",
        )
    return float((heights_mm[-1] - heights_mm[0]) / (len(heights_mm) - 1))


def _voxels(slices: list[_Slice]) -> np.ndarray:
    frames: dict[Path, np.ndarray] = {}
    planes = []
    for piece in slices:
        if piece.frame is None:
            plane = _single(piece.file)
        else:
            if piece.file.path not in frames:
                frames[piece.file.path] = decoded(piece.file.path)
            plane = _in_units(
                frames[piece.file.path][piece.frame], _transformation(piece.file.header, piece.frame)
            )
        if str(piece.file.header.get("Modality")) == "PT":
            plane = plane * suv_factor(piece.file.header)
        planes.append(plane)
    return np.stack(planes)


def _single(file: DicomFile) -> np.ndarray:
    """One slice: by GDCM where it is compressed, since it knows every way; else by pydicom.

    GDCM fills uncompressed pixels that are cut off and says nothing; pydicom counts the bytes.
    """
    meta = getattr(file.header, "file_meta", None)
    syntax = UID(str(getattr(meta, "TransferSyntaxUID", "")))
    if not (syntax.is_transfer_syntax and syntax.is_compressed):
        return _in_units(decoded(file.path), file.header)
    try:
        image = sitk.ReadImage(str(file.path), imageIO="GDCMImageIO")
    except RuntimeError:
        raise _undecodable(file.path) from None
    plane: np.ndarray = sitk.GetArrayFromImage(image)[0]
    return plane


def decoded(path: Path) -> np.ndarray:
    """The pixels of a file as they are stored, in RGB where they are in colour."""
    try:
        return pydicom.dcmread(path, force=True).pixel_array
    except Exception:  # every decoder has errors of its own
        raise _undecodable(path) from None


def _undecodable(path: Path) -> ImageFault:
    return ImageFault(
        "unreadable pixels",
        f"the pixels of {path.name} cannot be read (cut off, or compressed in a rare way)",
        "copy it again, or export it uncompressed (Explicit VR Little Endian)",
    )


def _transformation(header: Dataset, frame: int) -> Dataset:
    """Slope and intercept of one frame of a multi-frame file."""
    shared = header.SharedFunctionalGroupsSequence[0]
    return _group(header.PerFrameFunctionalGroupsSequence[frame], shared, "PixelValueTransformationSequence")


def _in_units(plane: np.ndarray, values: Dataset) -> np.ndarray:
    slope = float(values.get("RescaleSlope") or 1)
    intercept = float(values.get("RescaleIntercept") or 0)
    if slope == 1 and intercept == int(intercept):
        return plane.astype(np.int32) + int(intercept)
    return plane.astype(np.float64) * slope + intercept
