"""Tumours in a liver: where they lie, how large and how uneven they are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy.simulation.images.anatomy import FAR_MM, FINE, Anatomy
from deploy.simulation.images.fields import Axes, Part
from deploy.simulation.images.shapes import Bumps, random_axes, rough_ellipsoid

SMALLEST_MM, LARGEST_MM = 26.0, 64.0
"""Larger tumours of patients.csv are drawn this large, smaller ones this small: the field of view is small, and
slices are up to 5 mm thick."""
MOST_DRAWN = 3
SATELLITE_MM = (21.0, 26.0)
APART_MM = 14.0
"""Between the borders of two tumours: twice a ring's width and some liver."""
AROUND_MM = 16.0
"""How far around a tumour the liver is changed by it."""


@dataclass(frozen=True)
class Tumour:
    """One tumour: its distance from the border, negative inside, and the part of the fine grid where it is known."""

    radius_mm: float
    level: np.ndarray
    part: Part
    axes: Axes


def shown_size_mm(size_mm: float) -> float:
    """How large a tumour of patients.csv is drawn."""
    return float(np.clip(size_mm, SMALLEST_MM, LARGEST_MM))


def draw_tumours(
    rng: np.random.Generator, anatomy: Anatomy, size_mm: float, number: int, shape: Mapping[str, float]
) -> list[Tumour]:
    """The largest tumour first, then as many satellites as there is room for.

    Parameters
    ----------
    shape
        Elongation, Flatness and Sphericity of the largest tumour, as PyRadiomics defines them.
    """
    radius_mm = shown_size_mm(size_mm) / 2
    elongation, flatness = (float(np.clip(shape[name], 0.68, 0.98)) for name in ("Elongation", "Flatness"))
    radii = radius_mm * np.array([1.0, elongation, min(flatness, elongation)])
    roughness = float(np.clip(0.08 + 1.1 * (0.74 - shape["Sphericity"]), 0.0, 0.18))
    centre = _place(rng, _whole(anatomy.liver, 1.15 * radius_mm), 0.9 * float(radii.mean()))
    tumours = [_tumour(rng, centre, radii, roughness)]
    for _ in range(min(number, MOST_DRAWN) - 1):
        radius_mm = float(rng.uniform(*SATELLITE_MM)) / 2
        room = _whole(_away(anatomy.liver, tumours, radius_mm + APART_MM), 1.15 * radius_mm)
        if room.min() > -radius_mm:
            break
        tumours.append(_tumour(rng, _place(rng, room, radius_mm), np.full(3, radius_mm), 0.05))
    return tumours


def _place(rng: np.random.Generator, level: np.ndarray, depth_mm: float) -> np.ndarray:
    """A point (x, y, z) some way below a surface, or as deep as there is."""
    deep = level <= max(-depth_mm, float(level.min()) + 3)
    k, j, i = np.argwhere(deep)[rng.integers(np.count_nonzero(deep))]
    return np.array([FINE.x_mm[i], FINE.y_mm[j], FINE.z_mm[k]])


def _whole(level: np.ndarray, reach_mm: float) -> np.ndarray:
    """The liver without what lies too near the field of view's edge for a tumour's centre."""
    outermost = [np.abs(a - (a.min() + a.max()) / 2) - (np.ptp(a) / 2 - reach_mm - 5) for a in FINE.coordinates()]
    return np.where(np.maximum(np.maximum(outermost[0], outermost[1]), outermost[2]) > 0, FAR_MM, level)


def _away(level: np.ndarray, tumours: list[Tumour], reach_mm: float) -> np.ndarray:
    """The liver without what lies too near a tumour for another one's centre."""
    nearest = np.minimum.reduce([tumour.level for tumour in tumours])
    return np.where(nearest < reach_mm, FAR_MM, level)


def _tumour(rng: np.random.Generator, centre: np.ndarray, radii: np.ndarray, roughness: float) -> Tumour:
    reach = 1.3 * float(radii.max()) + AROUND_MM
    part, axes = FINE.between(centre - reach, centre + reach)
    bumps = Bumps(rng, roughness)
    level = np.full(FINE.shape, FAR_MM, dtype=np.float32)
    level[part] = rough_ellipsoid(axes.coordinates(), centre.tolist(), radii.tolist(), random_axes(rng), bumps)
    return Tumour(float(radii.max()), level, part, axes)
