"""Curves on a grid of months from the totals of each cell: mirrored by client/queries/follow_up.py.

Kaplan–Meier  S = Π (1 − d/(n − c/2)), n patients at the start of a cell, d events and c other exits in it (half of them
before the events: the life table's rule). Exact at the end of every cell without other exits in it, else within 0.01
as a rule (tests/server/test_survival.py). Followed: the same of the censorings (reverse Kaplan–Meier). Cumulative
incidence (Aalen–Johansen)  F = Σ S⁻ d/(n − c/2), S⁻ being free of any event. What leaves: counts by cell, as masked
totals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Curve:
    """A curve at the months that end a cell, with Greenwood's 95 % limits on the log-log scale."""

    months: tuple[int, ...]
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at_risk: np.ndarray
    """At the start of each cell, and at the last month."""

    def at(self, month: int) -> float:
        """The value at a month of the grid."""
        return float(self.value[self.months.index(month)])

    def median(self) -> float | None:
        """The month at which the curve falls to one half, linear within a cell; None where it does not."""
        values = np.concatenate([[1.0], self.value])
        ends = np.concatenate([[0.0], self.months])
        below = np.flatnonzero(values <= 0.5)
        if not len(below):
            return None
        k = int(below[0])
        return float(np.interp(0.5, [values[k], values[k - 1]], [ends[k], ends[k - 1]]))


def kaplan_meier(months: Sequence[int], events: np.ndarray, others: np.ndarray) -> Curve:
    """The curve of being free of an event.

    Parameters
    ----------
    events, others
        By cell, the open one last: patients with the event, and all who left without it.
    """
    at_risk = _at_start(events + others)
    exposed = np.maximum(at_risk - others / 2, events)[:-1]
    d = events[:-1]
    hazard = np.divide(d, exposed, out=np.zeros(len(d)), where=exposed > 0)
    value = np.cumprod(1.0 - hazard)
    left = exposed * (exposed - d)
    variance = np.cumsum(np.divide(d, left, out=np.zeros(len(d)), where=left > 0))
    inside = (value > 0) & (value < 1)
    log = np.log(np.where(inside, value, 0.5))
    reach = np.where(inside, NORMAL_95 * np.sqrt(variance) / np.abs(log), 0.0)
    low = np.where(inside, np.exp(log * np.exp(reach)), value)
    high = np.where(inside, np.exp(log * np.exp(-reach)), value)
    return Curve(tuple(months), value, low, high, at_risk)


def cumulative_incidence(
    months: Sequence[int], events: np.ndarray, competing: np.ndarray, censored: np.ndarray
) -> np.ndarray:
    """The share that has had the event by each month, when others had a competing one first."""
    at_risk = _at_start(events + competing + censored)
    exposed = np.maximum(at_risk - censored / 2, events + competing)[:-1]
    positive = exposed > 0
    first = np.divide(events[:-1], exposed, out=np.zeros(len(exposed)), where=positive)
    either = np.divide((events + competing)[:-1], exposed, out=np.zeros(len(exposed)), where=positive)
    free = np.concatenate([[1.0], np.cumprod(1.0 - either)[:-1]])
    incidence: np.ndarray = np.cumsum(free * first)
    return incidence


def _at_start(exits: np.ndarray) -> np.ndarray:
    at_risk: np.ndarray = exits[::-1].cumsum()[::-1]
    return at_risk
