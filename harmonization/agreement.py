"""Lin's concordance correlation between test and retest, from sums. doi:10.2307/2532051"""

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Array, Sums, as_table


def pair_sums(first: ArrayLike, second: ArrayLike, offset: ArrayLike | None = None) -> Sums:
    """A hospital's pairs: ``n``, ``x``, ``y``, ``xx``, ``yy``, ``xy`` about a public offset; each (p)."""
    x, y = as_table(first, "first measurement"), as_table(second, "second measurement")
    if x.shape != y.shape:
        raise ValueError(f"pairs: the first measurement has shape {x.shape}, the second {y.shape}")
    shift = np.zeros(x.shape[1]) if offset is None else np.asarray(offset, dtype=np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(both, x - shift, 0.0), np.where(both, y - shift, 0.0)
    return {
        "n": both.sum(axis=0).astype(np.float64),
        "x": x.sum(axis=0),
        "y": y.sum(axis=0),
        "xx": np.einsum("ij,ij->j", x, x),
        "yy": np.einsum("ij,ij->j", y, y),
        "xy": np.einsum("ij,ij->j", x, y),
    }


def concordance(total: Sums) -> Array:
    """``2 s_xy / (s_x² + s_y² + (x̄ − ȳ)²)`` with moments over n, per feature; 1 where nothing varies and x = y."""
    n = np.maximum(total["n"], 1.0)
    x, y = total["x"] / n, total["y"] / n
    s_x, s_y, s_xy = total["xx"] / n - x**2, total["yy"] / n - y**2, total["xy"] / n - x * y
    bottom = np.maximum(s_x, 0.0) + np.maximum(s_y, 0.0) + (x - y) ** 2
    return np.where(bottom > 0, 2.0 * s_xy / np.where(bottom > 0, bottom, 1.0), 1.0)
