"""The grid that voxels lie on: whether two grids are one, finer grids and parts of it, and images made on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract

# Files round their geometry (NIfTI to float32, DICOM to 16 characters); a twentieth of a voxel changes no mask.
TOLERANCE_VOXELS = 0.05


@dataclass(frozen=True)
class Grid:
    """Size, spacing in mm, origin and direction cosines (row by row), as SimpleITK has them."""

    size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """The grid of an image."""
        return cls(
            tuple(image.GetSize()),
            tuple(image.GetSpacing()),
            tuple(image.GetOrigin()),
            tuple(image.GetDirection()),
        )

    @property
    def index_to_mm(self) -> np.ndarray:
        """The matrix from voxel steps to mm, axes as columns."""
        axes = len(self.size)
        return np.asarray(self.direction).reshape(axes, axes) * np.asarray(self.spacing_mm)

    def position_mm(self, index: np.ndarray) -> np.ndarray:
        """Patient coordinates of continuous indices (… × axes, x first)."""
        return np.asarray(index) @ self.index_to_mm.T + np.asarray(self.origin_mm)

    def index(self, position_mm: np.ndarray) -> np.ndarray:
        """Continuous indices (x first) of patient coordinates (… × axes)."""
        offset = np.asarray(position_mm, dtype=np.float64) - np.asarray(self.origin_mm)
        solved: np.ndarray = np.linalg.solve(self.index_to_mm, offset.reshape(-1, len(self.size)).T).T
        return solved.reshape(offset.shape)

    def image(self, voxels: np.ndarray) -> sitk.Image:
        """Voxels (z, y, x) as an image on this grid; nothing else is in the image, no tag of any file."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    def with_spacing(self, spacing_mm: float | Sequence[float] | None) -> "Grid":
        """The grid with another spacing and the same centre (IBSI: align by image centre)."""
        if spacing_mm is None:
            return self
        dimension = len(self.size)
        spacing = (spacing_mm,) * dimension if isinstance(spacing_mm, int | float) else tuple(spacing_mm)
        if len(spacing) != dimension:
            raise CannotExtract(
                f"the image has {dimension} dimensions, spacing_mm of its phase {len(spacing)}: write {dimension}"
            )
        old, new = np.array(self.spacing_mm), np.array(spacing, dtype=float)
        # 1e-6: 0.1 × 30 / 3 is a hair over 1, and must not become two voxels
        size = np.maximum(np.ceil(np.array(self.size) * old / new - 1e-6), 1).astype(int)
        shift_mm = (old * (np.array(self.size) - 1) - new * (size - 1)) / 2
        origin = np.array(self.origin_mm) + np.array(self.direction).reshape(dimension, dimension) @ shift_mm
        return Grid(tuple(map(int, size)), tuple(new.tolist()), tuple(origin.tolist()), self.direction)

    def around(self, mask: sitk.Image, margin_mm: float, margin_voxels: int = 0, rings_mm: float = 0.0) -> "Grid":
        """The part of this grid that holds what a mask (on any grid) shows, rings around it, and a margin."""
        low, high = bounding_box(mask)
        corners = np.array(list(product(*zip(low - 0.5, high + 0.5, strict=True))))
        indices = self.index(Grid.of(mask).position_mm(corners))
        spacing_mm = np.array(self.spacing_mm)
        margin = np.maximum(margin_mm / spacing_mm, margin_voxels) + rings_mm / spacing_mm
        last_voxel = np.array(self.size) - 1
        first = np.clip(np.floor(indices.min(axis=0) - margin), 0, last_voxel).astype(int)
        last = np.clip(np.ceil(indices.max(axis=0) + margin), 0, last_voxel).astype(int)
        origin = self.position_mm(first)
        return Grid(tuple(map(int, last - first + 1)), self.spacing_mm, tuple(origin.tolist()), self.direction)

    def describe(self) -> str:
        """For messages."""
        size = "×".join(map(str, self.size))
        spacing = "×".join(f"{step:.4g}" for step in self.spacing_mm)
        return f"{size} voxels of {spacing} mm from ({', '.join(f'{at:.1f}' for at in self.origin_mm)})"


def bounding_box(mask: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """The first and last index, in the order x, y, z, that a mask shows; CannotExtract where it shows nothing."""
    array = sitk.GetArrayViewFromImage(mask) != 0
    dimension = array.ndim
    spans = []
    for axis in range(dimension):
        shown = np.flatnonzero(array.any(axis=tuple(other for other in range(dimension) if other != axis)))
        if not len(shown):
            raise CannotExtract("the mask is empty: draw the region again, or leave the patient out")
        spans.append((shown[0], shown[-1]))
    low, high = np.array(spans[::-1], dtype=float).T
    return low, high


def difference(first: Grid, second: Grid) -> str | None:
    """In words how two grids differ; None where they are one grid up to rounding."""
    if len(first.size) != len(second.size):
        return f"{len(first.size)}-D against {len(second.size)}-D"
    if first.size != second.size:
        return f"{first.describe()} against {second.describe()}"
    corners = np.array(list(product(*((0, length - 1) for length in first.size))), dtype=np.float64)
    apart_mm = np.abs(first.position_mm(corners) - second.position_mm(corners)).max()
    if apart_mm <= TOLERANCE_VOXELS * min(first.spacing_mm):
        return None
    if not np.allclose(first.direction, second.direction, atol=1e-4):
        turned = "another orientation"
    elif not np.allclose(first.spacing_mm, second.spacing_mm, rtol=1e-3):
        turned = f"another spacing ({first.describe()} against {second.describe()})"
    else:
        turned = "another origin"
    return f"{turned}, corners up to {apart_mm:.2f} mm apart"
