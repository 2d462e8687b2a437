"""Months since time zero: the only times at which survival is told, so that no patient's day of event leaves."""

from collections.abc import Sequence

import numpy as np

DAYS_A_MONTH = 30.4375
LAST_MONTH = 240
MONTHS_A_QUARTER = 3
"""Cells of a baseline hazard end at the study's horizons and at quarters of a year: nobody chooses them by who left."""
SMALLEST_FOLLOWED = 0.05
"""Of the curve of being followed: nobody stands for more than twenty patients."""


def in_days(months: Sequence[int] | np.ndarray) -> np.ndarray:
    """Months of 365.25/12 days, in days."""
    return np.asarray(months, dtype=np.float64) * DAYS_A_MONTH


def mid_month(days: np.ndarray) -> np.ndarray:
    """The middle of the month in which every time lies: a sum over one patient would tell the day otherwise."""
    middle: np.ndarray = (np.ceil(np.maximum(days, 1e-9) / DAYS_A_MONTH) - 0.5) * DAYS_A_MONTH
    return middle


def cell_of(days: np.ndarray, months: Sequence[int]) -> np.ndarray:
    """The cell of every time: (0, m₁], (m₁, m₂], …, (m_last, ∞)."""
    return np.searchsorted(in_days(months), days, side="left")


def on_grid(days: np.ndarray, months: Sequence[int], survival: np.ndarray) -> np.ndarray:
    """A curve at any time, linear between the months of a grid; it starts at time 0 and stays flat after the last."""
    return np.interp(days, np.concatenate([[0.0], in_days(months)]), survival)
