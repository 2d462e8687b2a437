"""Yeo–Johnson's power transform with one λ per feature, found from sums over a public grid.

``y = ((z+1)^λ − 1)/λ`` for z ≥ 0, ``y = −((1−z)^(2−λ) − 1)/(2−λ)`` for z < 0 (logarithms at λ = 0 and 2).
The profile log-likelihood needs three sums: ``−(n/2) log var(y) + (λ − 1) Σ sign(z) log1p|z|``.
doi:10.1093/biomet/87.4.954
"""

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Array, Sums, as_table

COARSE_GRID = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Between 0 and 2 the transform maps the whole line onto itself, so every harmonised value has an inverse. Few
points: each asks two sums a feature, and they must stay well under the number of patients."""

_EDGE = 1e-12


def yeo_johnson(z: Array, powers: ArrayLike) -> Array:
    """The transform of ``z`` (…×p) with ``powers`` (p, or anything that broadcasts)."""
    z, power = np.broadcast_arrays(np.asarray(z, dtype=np.float64), np.asarray(powers, dtype=np.float64))
    size = np.log1p(np.abs(z))
    exponent = np.where(z >= 0, power, 2.0 - power)
    return np.sign(z) * _growth(size, exponent)


def inverse_yeo_johnson(y: Array, powers: ArrayLike) -> Array:
    """The inverse; beyond the reach of the transform (λ < 0 or λ > 2 only) the value at the edge of its reach."""
    y, power = np.broadcast_arrays(np.asarray(y, dtype=np.float64), np.asarray(powers, dtype=np.float64))
    exponent = np.where(y >= 0, power, 2.0 - power)
    straight = np.abs(exponent) < _EDGE
    safe = np.where(straight, 1.0, exponent)
    inner = np.where(straight, 0.0, np.maximum(safe * np.abs(y), _EDGE - 1.0))
    size = np.where(straight, np.abs(y), np.log1p(inner) / safe)
    return np.sign(y) * np.expm1(size)


def yeo_johnson_sums(features: ArrayLike, grid: Array, location: ArrayLike, scale: ArrayLike) -> Sums:
    """A hospital's sums over a grid (L×p) of λ: ``n`` (p), ``jacobian`` (p), ``y`` and ``yy`` (L×p).

    ``location`` and ``scale`` (p) are public (from earlier totals); z = (x − location)/scale keeps Σy² well
    conditioned. Missing cells are left out per feature.
    """
    x = as_table(features, "features")
    z = (x - np.asarray(location, dtype=np.float64)) / np.asarray(scale, dtype=np.float64)
    seen = np.isfinite(z)
    z = np.where(seen, z, 0.0)
    y, yy = np.empty(grid.shape), np.empty(grid.shape)
    for k, powers in enumerate(grid):
        moved = yeo_johnson(z, powers)  # zero where missing: the transform keeps zero
        y[k], yy[k] = moved.sum(axis=0), np.einsum("ij,ij->j", moved, moved)
    return {
        "n": seen.sum(axis=0).astype(np.float64),
        "jacobian": (np.sign(z) * np.log1p(np.abs(z))).sum(axis=0),
        "y": y,
        "yy": yy,
    }


def log_likelihood(total: Sums, grid: Array) -> Array:
    """The profile log-likelihood at every λ of the grid, L×p; −inf where a feature does not vary."""
    n = np.maximum(total["n"], 1.0)
    mean = total["y"] / n
    variance = total["yy"] / n - mean**2
    varies = variance > 1e-13 * np.maximum(total["yy"] / n, np.finfo(float).tiny)
    spread = np.log(np.where(varies, variance, 1.0))
    return np.where(varies, -0.5 * n * spread + (grid - 1.0) * total["jacobian"], -np.inf)


def choose(total: Sums, grid: Array) -> Array:
    """The best λ per feature (p): the vertex of the parabola through the best point and its neighbours."""
    likelihood = log_likelihood(total, grid)
    columns = np.arange(grid.shape[1])
    best = likelihood.argmax(axis=0)
    found = grid[best, columns]
    inner = (best > 0) & (best < len(grid) - 1)
    middle = np.clip(best, 1, len(grid) - 2)
    x = [grid[middle + k, columns] for k in (-1, 0, 1)]
    f = [likelihood[middle + k, columns] for k in (-1, 0, 1)]
    usable = inner & np.isfinite(f[0]) & np.isfinite(f[1]) & np.isfinite(f[2])
    f = [np.where(usable, value, 0.0) for value in f]
    bend = (f[2] - 2.0 * f[1] + f[0]) < 0
    bottom = np.where(usable & bend, f[2] - 2.0 * f[1] + f[0], 1.0)
    vertex = x[1] - 0.5 * (x[2] - x[1]) * (f[2] - f[0]) / bottom
    found = np.where(usable & bend, np.clip(vertex, x[0], x[2]), found)
    return np.where(np.isfinite(likelihood).any(axis=0), found, 1.0)


def coarse_grid(features: int, points: tuple[float, ...] = COARSE_GRID) -> Array:
    """The first grid, the same for every feature: L×p."""
    return np.repeat(np.asarray(points, dtype=np.float64)[:, None], features, axis=1)


def finer_grid(total: Sums, grid: Array, points: int = 5) -> Array:
    """The next grid, half a step to either side of the λ that this one suggests, within this one's ends."""
    centre = choose(total, grid)
    step = grid[1] - grid[0]
    lowest, highest = grid[0], grid[-1]
    half = 0.5 * step
    centre = np.clip(centre, lowest + half, np.maximum(highest - half, lowest + half))
    finer: Array = centre + np.linspace(-1.0, 1.0, points)[:, None] * half
    return finer


def _growth(size: Array, exponent: Array) -> Array:
    """((1+|z|)^exponent − 1)/exponent from size = log1p|z|, with its limit at exponent 0."""
    straight = np.abs(exponent) < _EDGE
    safe = np.where(straight, 1.0, exponent)
    return np.where(straight, size, np.expm1(np.where(straight, 0.0, safe * size)) / safe)
