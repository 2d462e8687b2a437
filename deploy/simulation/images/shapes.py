"""Shapes as signed distances in millimetres, negative inside; exact on the border, good enough beside it."""

from collections.abc import Sequence

import numpy as np

Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x, y and z of every voxel."""


def ellipsoid(at: Coordinates, centre_mm: Sequence[float], radii_mm: Sequence[float]) -> np.ndarray:
    """An ellipsoid along the axes."""
    scaled = [(a - c) / r for a, c, r in zip(at, centre_mm, radii_mm, strict=True)]
    slopes = [s / r for s, r in zip(scaled, radii_mm, strict=True)]
    reach = np.sqrt(sum(s * s for s in scaled))
    slope = np.sqrt(sum(s * s for s in slopes))
    distance: np.ndarray = reach * (reach - 1) / np.maximum(slope, 1e-6)
    return distance


def column(at: Coordinates, centre_mm: Sequence[float], radii_mm: Sequence[float]) -> np.ndarray:
    """An upright column of elliptic section: centre and radii along x and y."""
    return ellipsoid((at[0], at[1], np.zeros(1)), (*centre_mm, 0.0), (*radii_mm, 1.0))


def tube(
    at: Coordinates, start_mm: np.ndarray, end_mm: np.ndarray, start_radius: float, end_radius: float
) -> np.ndarray:
    """A straight tube with round ends between two points."""
    along = end_mm - start_mm
    offset = [a - s for a, s in zip(at, start_mm, strict=True)]
    share = np.clip(sum(o * d for o, d in zip(offset, along, strict=True)) / (along @ along), 0, 1)
    away = np.sqrt(sum((o - share * d) ** 2 for o, d in zip(offset, along, strict=True)))
    return np.asarray(away - (start_radius + share * (end_radius - start_radius)))


def smooth_union(a: np.ndarray, b: np.ndarray, blend_mm: float) -> np.ndarray:
    """Two shapes grown into one another."""
    overlap = np.maximum(blend_mm - np.abs(a - b), 0) / blend_mm
    joined: np.ndarray = np.minimum(a, b) - overlap**2 * blend_mm / 4
    return joined


def rough_ellipsoid(
    at: Coordinates, centre_mm: Sequence[float], radii_mm: Sequence[float], axes: np.ndarray, bumps: "Bumps"
) -> np.ndarray:
    """A turned ellipsoid with a bumpy border; every ray from its centre crosses the border once.

    Parameters
    ----------
    axes
        The directions of the radii, as rows.
    """
    offset = [a - c for a, c in zip(at, centre_mm, strict=True)]
    turned = [sum(o * d for o, d in zip(offset, axis, strict=True)) for axis in axes]
    distance = ellipsoid((turned[0], turned[1], turned[2]), (0, 0, 0), radii_mm)
    away = np.maximum(np.sqrt(sum(t * t for t in turned)), 1e-6)
    return distance - float(np.cbrt(np.prod(radii_mm))) * bumps.at(turned, away)


class Bumps:
    """A smooth random function of direction: waves of some three to seven a turn."""

    WAVES = 12

    def __init__(self, rng: np.random.Generator, roughness: float) -> None:
        directions = rng.standard_normal((self.WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.vectors = directions * rng.uniform(3, 7, (self.WAVES, 1))
        self.shifts = rng.uniform(0, 2 * np.pi, self.WAVES)
        self.height = roughness * np.sqrt(2 / self.WAVES)

    def at(self, offset: Sequence[np.ndarray], away: np.ndarray) -> np.ndarray:
        """Its value in the direction of an offset, as a share of the radius; `roughness` is its deviation."""
        unit = [o / away for o in offset]
        total = np.zeros(away.shape)
        for vector, shift in zip(self.vectors, self.shifts, strict=True):
            total += np.cos(sum(u * v for u, v in zip(unit, vector, strict=True)) + shift)
        bumps: np.ndarray = self.height * total
        return bumps


def random_axes(rng: np.random.Generator) -> np.ndarray:
    """Three directions at right angles, as rows."""
    axes, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    turned: np.ndarray = (axes * np.sign(np.diag(upper))).T
    return turned
