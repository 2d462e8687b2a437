"""Cells of months: a month or longer, and long enough to hold a few patients; horizons end a cell where they can."""

from collections.abc import Sequence

import numpy as np

from common.query import SMALLEST_CELL


def cells_of(exits: np.ndarray, horizons: Sequence[int], smallest: int = SMALLEST_CELL) -> tuple[int, ...]:
    """The months that end a cell, so that every cell and what lies beyond the last holds `smallest` exits.

    Parameters
    ----------
    exits
        Patients who left in each month, from the first on; the last entry is everybody beyond.
    """
    after = np.concatenate([[0.0], np.cumsum(exits)])
    last, total = len(exits) - 1, float(after[-1])
    fixed = [0]
    for month in sorted({h for h in horizons if h <= last}):
        if after[month] - after[fixed[-1]] >= smallest and total - after[month] >= smallest:
            fixed.append(month)
    chosen = list(fixed)
    for start, end in zip(fixed, [*fixed[1:], last], strict=True):
        reached = start
        beyond = after[end] if end in fixed else total
        for month in range(start + 1, end + 1):
            if after[month] - after[reached] >= smallest and beyond - after[month] >= smallest:
                chosen.append(month)
                reached = month
    return tuple(sorted(set(chosen) - {0})) or (last,)


def of_equal_counts(counts: np.ndarray, months: Sequence[int], cells: int) -> tuple[int, ...]:
    """At most so many cells (two and more), each with about as many of the counted."""
    reached = np.cumsum(counts)[:-1]
    targets = counts.sum() * np.arange(1, cells) / cells
    chosen = sorted({int(np.argmin(np.abs(reached - target))) for target in targets})
    return tuple(months[k] for k in chosen) or (months[0],)
