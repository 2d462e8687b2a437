"""Kaplan–Meier curves of risk groups and the log-rank test (server/evaluation/survival.py says from which totals).

Log-rank: χ² = Uᵀ V⁻¹ U on (groups − 1) degrees. Stratified by hospital: U and V are each hospital's own, exactly, and
added. Over all patients: from the cells' counts, as if all events of a cell came at its middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from common.query import Arrays
from server.evaluation.survival_curves import Curve, kaplan_meier


@dataclass(frozen=True)
class LogRank:
    """The test's statistic and p-value; None where a group had nobody to compare."""

    statistic: float
    degrees: int
    p: float


@dataclass(frozen=True)
class Groups:
    """The risk groups from low to high."""

    patients: tuple[int, ...]
    events: tuple[int, ...]
    curves: tuple[Curve, ...]
    stratified: LogRank | None
    overall: LogRank | None


def groups_of(months: Sequence[int], sums: Arrays) -> Groups:
    """One label's risk groups."""
    events, exits = sums["group_events"], sums["group_exits"]
    return Groups(
        patients=tuple(round(float(n)) for n in exits.sum(axis=1)),
        events=tuple(round(float(n)) for n in events.sum(axis=1)),
        curves=tuple(kaplan_meier(months, d, n - d) for d, n in zip(events, exits, strict=True)),
        stratified=_test(sums["difference"], sums["covariance"]),
        overall=_test(*_on_grid(events, exits)),
    )


def _on_grid(events: np.ndarray, exits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    groups = len(events)
    difference, covariance = np.zeros(groups), np.zeros((groups, groups))
    at_start = exits[:, ::-1].cumsum(axis=1)[:, ::-1]
    # The first half of the other exits has left, and of the events each in turn.
    at_risk = at_start - (exits - events) / 2 - np.maximum(events - 1, 0) / 2
    for k in range(events.shape[1]):
        n, d = float(at_risk[:, k].sum()), float(events[:, k].sum())
        if n <= 0 or d == 0:
            continue
        share = at_risk[:, k] / n
        difference += events[:, k] - d * share
        covariance += d * (np.diag(share) - np.outer(share, share))
    return difference[:-1], covariance[:-1, :-1]


def _test(difference: np.ndarray, covariance: np.ndarray) -> LogRank | None:
    if np.linalg.matrix_rank(covariance) < len(difference):
        return None
    statistic = float(difference @ np.linalg.solve(covariance, difference))
    return LogRank(statistic, len(difference), float(chi2.sf(statistic, len(difference))))
