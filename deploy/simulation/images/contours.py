"""Outlines of a mask along its pixels' edges: what a planning system draws, without smoothing."""

import numpy as np

Corner = tuple[int, int]


def outlines(plane: np.ndarray) -> list[np.ndarray]:
    """Closed outlines of a plane of 0 and 1: rows of column and row, in pixels; (0, 0) is the first pixel's centre.

    Holes are outlines of their own, so that a pixel is inside where it lies inside an odd number of them.
    """
    steps = _steps(plane)
    loops = []
    while steps:
        start = min(steps)
        corner, loop = start, []
        while True:
            loop.append(corner)
            ways = steps[corner]
            following = ways.pop(0)
            if not ways:
                del steps[corner]
            corner = following
            if corner == start:
                break
        loops.append(_turns(np.array(loop)) - 0.5)
    return loops


def _steps(plane: np.ndarray) -> dict[Corner, list[Corner]]:
    """From each corner of pixels to the next, with what is inside to the right."""
    padded = np.pad(plane.astype(bool), 1)
    here = padded[1:-1, 1:-1]
    beside = {
        ((0, 0), (1, 0)): padded[:-2, 1:-1],
        ((1, 0), (1, 1)): padded[1:-1, 2:],
        ((1, 1), (0, 1)): padded[2:, 1:-1],
        ((0, 1), (0, 0)): padded[1:-1, :-2],
    }
    steps: dict[Corner, list[Corner]] = {}
    for ((x0, y0), (x1, y1)), neighbour in beside.items():
        for row, column in np.argwhere(here & ~neighbour).tolist():
            steps.setdefault((column + x0, row + y0), []).append((column + x1, row + y1))
    return steps


def _turns(loop: np.ndarray) -> np.ndarray:
    """The corners at which an outline turns."""
    before, after = np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0)
    turned: np.ndarray = loop[((loop - before) != (after - loop)).any(axis=1)]
    return turned
