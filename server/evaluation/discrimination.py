"""AUC from histograms with a certified interval, DeLong's error, ROC points, Brier score and calibration curve.

With P_b and N_b patients of the two classes in bin b of the predicted risk, every ordering of patients within
bins is possible, so the AUC of the pooled predictions lies in [lo, lo + width],
lo = Σ P_b N_{<b} / (n₁n₀) and width = Σ P_b N_b / (n₁n₀): that is the certificate. With bins of equal mass the
width is at most 1/bins. Bins: at most (smaller class)/5, and of ten patients or more by counts
that are known before the classes are asked about. DeLong's error from the bins'
placements: v10_b = (N_{<b} + N_b/2)/n₀, v01_b alike (≤ 1e-5 off the pooled one, measured).
What leaves: class histograms, Σp a bin and Σ(p − y)², as masked totals; each hospital's own AUC in clear.
Mirrored by client/queries/discrimination.py.
"""

from dataclasses import dataclass

import numpy as np

from common.query import Disclosed, Total
from server.federation import Federation
from server.methods.quantiles import SMALLEST_INTERVAL, Counted, pad

MOST_BINS = 50
PATIENTS_OF_SMALLER_CLASS_A_BIN = 5
NARROWING_ROUNDS = 4
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


def discriminate(federation: Federation, view: str, schemes: tuple[str, ...]) -> dict[str, Discrimination]:
    """Judge the held-out predictions of every scheme."""
    edges = _edges(federation, view, schemes)
    total = federation.ask(
        "discrimination",
        view=view,
        rows="held_out",
        parameters={"schemes": list(schemes)},
        arrays={"edges": edges},
    )
    return {scheme: _judge(total, k, scheme) for k, scheme in enumerate(schemes)}


def _edges(federation: Federation, view: str, schemes: tuple[str, ...]) -> np.ndarray:
    """Edges of bins of about equal mass and ten patients at least, from counts that do not look at the outcome."""
    nothing = np.array([])
    counted = [Counted(nothing, nothing, 0.0, 0.0, 1.0) for _ in schemes]
    proposed = [np.linspace(0, 1, 9)[1:-1] for _ in schemes]
    targets = [nothing for _ in schemes]
    for _ in range(NARROWING_ROUNDS):
        sums = federation.ask(
            "score_counts",
            view=view,
            rows="held_out",
            parameters={"schemes": list(schemes)},
            arrays={"edges": pad(proposed, counted)},
        ).sums
        for k, new in enumerate(proposed):
            classes = sums["classes"][k]
            patients = float(classes.sum())
            bins = _bins(patients, float(classes.min()))
            targets[k] = patients * np.arange(1, bins) / bins
            counted[k] = counted[k].with_counts(new, sums["below"][k, : len(new)], patients)
        proposed = [c.narrower(t) for c, t in zip(counted, targets, strict=True)]
        if not any(len(new) for new in proposed):
            break
    # A scheme without edges is one bin: no probability lies above 1.
    whole = [Counted(nothing, nothing, 0.0, 0.0, 1.0) for _ in schemes]
    return pad([c.nearest(t) for c, t in zip(counted, targets, strict=True)], whole)


def _bins(patients: float, smaller_class: float) -> int:
    """As many bins as the cells allow."""
    allowed = min(smaller_class // PATIENTS_OF_SMALLER_CLASS_A_BIN, patients // SMALLEST_INTERVAL, MOST_BINS)
    return max(1, int(allowed))


def _judge(total: Total, k: int, scheme: str) -> Discrimination:
    negative, positive = total.sums["histogram"][k]
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
        roc=_roc(positive, negative),
        curve=[
            (float(p / n), float(e / n), int(n))
            for p, e, n in zip(*_grouped(predicted, positive, negative), strict=True)
        ],
        brier=float(total.sums["squared_error"][k]) / patients,
        observed_to_expected=n1 / float(predicted.sum()),
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


def _roc(positive: np.ndarray, negative: np.ndarray) -> list[tuple[float, float]]:
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
