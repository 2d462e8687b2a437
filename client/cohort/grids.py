"""The grid that voxels lie on: whether two grids are one, and images made on a grid."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk

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

    def describe(self) -> str:
        """For messages."""
        size = "×".join(map(str, self.size))
        spacing = "×".join(f"{step:.4g}" for step in self.spacing_mm)
        return f"{size} voxels of {spacing} mm from ({', '.join(f'{at:.1f}' for at in self.origin_mm)})"


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
