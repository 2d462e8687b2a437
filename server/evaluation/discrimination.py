"""AUC from histograms with a certified interval, DeLong's error, ROC points, Brier score and calibration curve.

With P_b and N_b patients of the two classes in bin b of the predicted risk, every ordering of patients within
bins is possible, so the AUC of the pooled predictions lies in [lo, lo + width],
lo = Σ P_b N_{<b} / (n₁n₀) and width = Σ P_b N_b / (n₁n₀): that is the certificate. With bins of equal mass the
width is at most 1/bins. Bins: at most (smaller class)/5, and of ten patients or more by counts
that are known before the classes are asked about (server/evaluation/edges.py); the public thresholds of the decision
curve are edges too, so that one histogram serves both. DeLong's error from the bins'
placements: v10_b = (N_{<b} + N_b/2)/n₀, v01_b alike (≤ 1e-5 off the pooled one, measured).
What leaves: class histograms, Σp a bin and Σ(p − y)², as masked totals; each hospital's own AUC in clear.
Mirrored by client/queries/discrimination.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.query import Disclosed, Total
from server.evaluation.edges import choose_edges
from server.federation import Federation

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95 % interval; the value is None where it cannot be estimated."""

    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None

    @staticmethod
    def normal(value: float, standard_error: float, low: float = 0.0, high: float = 1.0) -> "Estimate":
        """A normal interval, kept within the range that the figure can take."""
        margin = NORMAL_95 * standard_error
        return Estimate(value, max(low, value - margin), min(high, value + margin), standard_error)


NOT_ESTIMABLE = Estimate(None, None, None, None)


@dataclass(frozen=True)
class Discrimination:
    """How one scheme's predictions separate the classes."""

    patients: int
    events: int
    overall: Estimate
    certified: tuple[float, float]
    bins: int
    within_sites: Estimate
    by_site: dict[str, Estimate]
    calibration_by_site: dict[str, tuple[float, float] | None]
    roc: list[tuple[float, float]]
    curve: list[tuple[float, float, int]]
    brier: float
    observed_to_expected: float
    edges: np.ndarray
    histogram: np.ndarray
    pairs: float


def discriminate(
    federation: Federation, view: str, schemes: tuple[str, ...], thresholds: Sequence[float] = ()
) -> dict[str, Discrimination]:
    """Judge the held-out predictions of every label; thresholds become edges where the cells allow it."""
    if not schemes:
        return {}
    edges = choose_edges(federation, view, schemes, np.asarray(thresholds, dtype=np.float64))
    total = federation.ask(
        "discrimination",
        view=view,
        rows="held_out",
        parameters={"schemes": list(schemes)},
        arrays={"edges": edges},
    )
    return {scheme: _judge(total, k, scheme, edges[k]) for k, scheme in enumerate(schemes)}


def _judge(total: Total, k: int, scheme: str, edges: np.ndarray) -> Discrimination:
    histogram = total.sums["histogram"][k]
    negative, positive = histogram
    predicted = total.sums["predicted"][k]
    filled = (negative + positive) > 0
    negative, positive, predicted = negative[filled], positive[filled], predicted[filled]
    n0, n1 = float(negative.sum()), float(positive.sum())
    patients = n0 + n1
    overall, certified = certified_auc(positive, negative)
    within = total.sums["within"][k]
    own = total.disclosed
    return Discrimination(
        patients=int(patients),
        events=int(n1),
        overall=overall,
        certified=certified,
        bins=len(negative),
        within_sites=Estimate.normal(within[0] / within[1], float(np.sqrt(within[2])) / within[1])
        if within[1] > 0
        else NOT_ESTIMABLE,
        by_site={name: _own_auc(figures, scheme) for name, figures in own.items()},
        calibration_by_site={name: figures.calibration.get(scheme) for name, figures in own.items()},
        roc=roc_points(positive, negative),
        curve=[
            (float(p / n), float(e / n), int(n))
            for p, e, n in zip(*_grouped(predicted, positive, negative), strict=True)
        ],
        brier=float(total.sums["squared_error"][k]) / patients,
        observed_to_expected=n1 / float(predicted.sum()),
        edges=edges,
        histogram=histogram,
        pairs=float(within[1]),
    )


def certified_auc(positive: np.ndarray, negative: np.ndarray) -> tuple[Estimate, tuple[float, float]]:
    """The AUC of binned predictions: estimate with DeLong's error, and the interval that surely holds it.

    The 95 % interval reaches from DeLong's lower limit below the certificate's lower end to its upper limit
    above the certificate's upper end.
    """
    n1, n0 = float(positive.sum()), float(negative.sum())
    if n1 == 0 or n0 == 0:
        return NOT_ESTIMABLE, (0.0, 1.0)
    below = np.concatenate([[0.0], np.cumsum(negative)[:-1]])
    low = float(positive @ below) / (n1 * n0)
    width = float(positive @ negative) / (n1 * n0)
    value = low + width / 2
    v10 = (below + negative / 2) / n0
    v01 = (n1 - np.cumsum(positive) + positive / 2) / n1
    variance = _variance(positive, v10, value, n1) + _variance(negative, v01, value, n0)
    error = float(np.sqrt(variance))
    interval = Estimate(
        value,
        max(0.0, low - NORMAL_95 * error),
        min(1.0, low + width + NORMAL_95 * error),
        error,
    )
    return interval, (low, low + width)


def _variance(counts: np.ndarray, placements: np.ndarray, value: float, size: float) -> float:
    if size < 2:
        return 0.25
    return float(counts @ (placements - value) ** 2) / (size - 1) / size


def _own_auc(figures: Disclosed, scheme: str) -> Estimate:
    return Estimate.normal(*figures.auc[scheme]) if scheme in figures.auc else NOT_ESTIMABLE


def roc_points(positive: np.ndarray, negative: np.ndarray) -> list[tuple[float, float]]:
    """Points (1 − specificity, sensitivity) at the bins' edges, from (0, 0) to (1, 1)."""
    sensitivity = np.concatenate([[0.0], np.cumsum(positive[::-1])]) / max(positive.sum(), 1)
    false_alarms = np.concatenate([[0.0], np.cumsum(negative[::-1])]) / max(negative.sum(), 1)
    return [(float(x), float(y)) for x, y in zip(false_alarms, sensitivity, strict=True)]


def _grouped(
    predicted: np.ndarray, positive: np.ndarray, negative: np.ndarray, most: int = 10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring bins merged into at most ten groups for the calibration curve: Σp, events, patients.

    A bin holds ten patients and more, so a group does too.
    """
    size = positive + negative
    group = np.minimum((np.cumsum(size) - size / 2) / size.sum() * most, most - 1).astype(int)
    chosen = np.unique(group)

    def merge(values: np.ndarray) -> np.ndarray:
        return np.array([values[group == g].sum() for g in chosen])

    return merge(predicted), merge(positive), merge(size)
