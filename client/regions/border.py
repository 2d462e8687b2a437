"""A tumour's border, smoothed as far as thick slices make it a staircase, and distances to it in mm.

Around a staircase a ring is too large (10 % on slices of 5 mm), and a distance map measures from the centres of
voxels, which makes thin rings 5 % too small. So the border is where the mask, refined and smoothed a little, is one
half, found between voxels; the tumour itself stays as it was drawn (docs/extraction.md has what this reaches).
"""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from client.cohort.grids import Grid, bounding_box
from client.preprocessing import Image, inside

FINEST_MM = 1.0
"""Voxels with longer edges are divided before smoothing."""
SMOOTHING_OF_SHORTEST, SMOOTHING_OF_LONGEST = 0.7, 0.2
"""The smoothing's sigma, in edges of a native voxel (root of the sum of squares). Less leaves stairs, more shrinks
small tumours; chosen on spheres of 15 and 25 mm with pixels of 0.7 to 1 mm and slices of 1 to 5 mm."""
AS_DRAWN = 0.4
"""What the drawing itself shows near its slices is not smoothed away: thin and small parts keep their ring."""
TIE_MM = 1e-3
"""A voxel that lies a ring's width away up to rounding belongs to the ring."""


def border_points_mm(mask: Image) -> np.ndarray:
    """Points on the border of what a mask on its native grid shows (points × axes, x first), a millimetre apart."""
    grid = Grid.of(mask)
    edges_mm = np.array(grid.spacing_mm)
    sigma_mm = float(np.hypot(SMOOTHING_OF_SHORTEST * edges_mm.min(), SMOOTHING_OF_LONGEST * edges_mm.max()))
    parts = np.maximum(np.ceil(edges_mm / FINEST_MM - 1e-6), 1).astype(int)
    low, high = bounding_box(mask)
    margin = np.ceil(4 * sigma_mm / edges_mm).astype(int) + 2
    first = np.maximum(low.astype(int) - margin, 0)
    last = np.minimum(high.astype(int) + margin, np.array(grid.size) - 1)
    drawn = inside(mask)[tuple(slice(a, b + 1) for a, b in zip(first[::-1], last[::-1], strict=True))]
    field = _refined(drawn.astype(np.float64), parts[::-1])
    smooth = gaussian_filter(field, (sigma_mm * parts / edges_mm)[::-1], mode="nearest")
    crossings = _crossings(np.maximum(smooth, field - AS_DRAWN) - 0.5)
    native = (crossings[:, ::-1] + 0.5) / parts - 0.5 + first
    return grid.position_mm(native)


def distance_mm(points_mm: np.ndarray, grid: Grid, reach_mm: float) -> np.ndarray:
    """Distance from every voxel of a grid to the nearest of these points; infinite beyond `reach_mm`."""
    edges_mm = np.array(grid.spacing_mm)
    points = grid.index(points_mm) * edges_mm
    found = np.full(grid.size[::-1], np.inf)
    near_mm = reach_mm + 2 * TIE_MM
    first = np.maximum(np.ceil((points.min(axis=0) - near_mm) / edges_mm), 0).astype(int)
    last = np.minimum(np.floor((points.max(axis=0) + near_mm) / edges_mm), np.array(grid.size) - 1).astype(int)
    box = tuple(slice(a, b + 1) for a, b in zip(first[::-1], last[::-1], strict=True))
    if found[box].size:
        axes = [np.arange(a, b + 1) * edge for a, b, edge in zip(first, last, edges_mm, strict=True)]
        voxels = np.stack(np.meshgrid(*axes[::-1], indexing="ij"), axis=-1)[..., ::-1]
        found[box] = cKDTree(points).query(voxels, distance_upper_bound=near_mm)[0]
    return found


def _refined(array: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Every voxel divided into parts along each axis, interpolated linearly between the voxels' centres."""
    for axis, number in enumerate(parts.tolist()):
        if number > 1:
            at = (np.arange(array.shape[axis] * number) + 0.5) / number - 0.5
            low = np.clip(np.floor(at).astype(int), 0, array.shape[axis] - 1)
            high = np.minimum(low + 1, array.shape[axis] - 1)
            weight = np.clip(at - low, 0, 1).reshape([-1 if other == axis else 1 for other in range(array.ndim)])
            array = array.take(low, axis=axis) * (1 - weight) + array.take(high, axis=axis) * weight
    return array


def _crossings(height: np.ndarray) -> np.ndarray:
    """Where `height` changes its sign between neighbours along an axis, as continuous indices (z, y, x)."""
    found = []
    for axis in range(height.ndim):
        steps = np.arange(height.shape[axis])
        here, next_ = height.take(steps[:-1], axis=axis), height.take(steps[1:], axis=axis)
        at = np.nonzero((here >= 0) != (next_ >= 0))
        places = np.stack(at, axis=1).astype(np.float64)
        places[:, axis] += here[at] / (here[at] - next_[at])
        found.append(places)
    return np.concatenate(found)
