"""Volumes (z, y, x) over axes in millimetres: smoothing, sampling and random fields, one axis after the other.

Everything here is a small matrix an axis, so that a scanner's blur and its resampling are one step and cost little.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_REACH = 4.0
"""A Gaussian ends this many standard deviations from its middle."""


Part = tuple[slice, slice, slice]


class Axes(NamedTuple):
    """Where the voxels of a volume lie: three rising, even series of millimetres."""

    z_mm: np.ndarray
    y_mm: np.ndarray
    x_mm: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return len(self.z_mm), len(self.y_mm), len(self.x_mm)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Along x, y, z, as image formats count."""
        return tuple(float(axis[1] - axis[0]) for axis in reversed(self))  # type: ignore[return-value]

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """x, y, z of the first voxel's centre."""
        return tuple(float(axis[0]) for axis in reversed(self))  # type: ignore[return-value]

    def coordinates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y and z of every voxel, each to be broadcast."""
        return self.x_mm[None, None, :], self.y_mm[None, :, None], self.z_mm[:, None, None]

    def between(self, first_mm: np.ndarray, last_mm: np.ndarray) -> tuple[Part, "Axes"]:
        """The voxels between two corners (x, y, z)."""
        slices, axes = [], []
        for axis, low, high in zip(self, first_mm[::-1], last_mm[::-1], strict=True):
            first, last = np.searchsorted(axis, (low, high))
            slices.append(slice(int(first), int(last)))
            axes.append(axis[first:last])
        return (slices[0], slices[1], slices[2]), Axes(*axes)


def even(first_mm: float, last_mm: float, step_mm: float) -> np.ndarray:
    """Positions from the first to the last at most, a step apart, centred between the two."""
    count = int((last_mm - first_mm) / step_mm + 1e-9) + 1
    start = (first_mm + last_mm - (count - 1) * step_mm) / 2
    return np.round(start + step_mm * np.arange(count), 4)


def gaussian_weights(at_mm: np.ndarray, of_mm: np.ndarray, sigma_mm: float) -> np.ndarray:
    """Each row sees the positions `of_mm` through a Gaussian around its own; rows add up to one."""
    distance = (at_mm[:, None] - of_mm[None, :]) / sigma_mm
    weights = np.where(np.abs(distance) <= _REACH, np.exp(-(distance**2) / 2), 0.0)
    normalised: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


def linear_weights(at_mm: np.ndarray, of_mm: np.ndarray) -> np.ndarray:
    """Linear interpolation as a matrix; beyond the ends the last value counts."""
    step = of_mm[1] - of_mm[0]
    at = np.clip(at_mm, of_mm[0], of_mm[-1])
    weights: np.ndarray = np.clip(1 - np.abs(at[:, None] - of_mm[None, :]) / step, 0, None).astype(np.float32)
    return weights


def through(volume: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """A volume seen through one matrix an axis."""
    for axis, matrix in enumerate(weights):
        volume = np.moveaxis(np.tensordot(matrix, volume, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(volume)


def random_field(rng: np.random.Generator, axes: Axes, sigma_mm: float) -> np.ndarray:
    """A Gaussian field of variance one, correlated over some `sigma_mm`."""
    return correlated(rng.standard_normal(axes.shape, dtype=np.float32), axes, (sigma_mm,) * 3)


def correlated(noise: np.ndarray, axes: Sequence[np.ndarray], sigmas_mm: Sequence[float]) -> np.ndarray:
    """White noise smoothed along each axis; its variance stays one, at the borders too. Zero: not smoothed."""
    matrices = []
    for axis, sigma_mm in zip(axes, sigmas_mm, strict=True):
        weights = gaussian_weights(axis, axis, sigma_mm) if sigma_mm > 0 else np.eye(len(axis), dtype=np.float32)
        matrices.append(weights / np.linalg.norm(weights, axis=1, keepdims=True))
    return through(noise, matrices)


def share_inside(level_mm: np.ndarray, step_mm: float) -> np.ndarray:
    """How much of a voxel lies inside a border, by its signed distance from it."""
    share: np.ndarray = np.clip(0.5 - level_mm / step_mm, 0.0, 1.0)
    return share
