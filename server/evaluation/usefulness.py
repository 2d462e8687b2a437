"""Decision curve: net benefit of acting on the predicted risk, from the histogram that the AUC comes from.

At a threshold t of the predicted risk, NB(t) = TP/n − FP/n · t/(1 − t), where TP and FP count the patients with p > t;
treating all has n₁/n − n₀/n · t/(1 − t), treating none 0 (Vickers and Elkin 2006, doi:10.1177/0272989X06295361). The
standard error is that of the shares of a multinomial sample. Thresholds are edges of the histogram
(server/evaluation/edges.py): those that would part fewer patients from the last one than a bin holds are left out.
Brier score scaled: 1 − Brier / (share · (1 − share)). Calibration error: Σ n_g |observed − predicted| / n over
the groups of the calibration curve, what the integrated calibration index is to a smooth one; and the largest of them.
Rounds: none. What leaves: nothing more. Exact at the thresholds that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.evaluation.discrimination import NORMAL_95, Discrimination


@dataclass(frozen=True)
class Benefit:
    """What acting at one threshold brings, as net true positives a patient."""

    threshold: float
    events_above: int
    others_above: int
    model: float
    low: float
    high: float
    treat_all: float


def decision_curve(found: Discrimination, thresholds: Sequence[float], spread: float = 1.0) -> list[Benefit]:
    """Net benefit at every threshold that is an edge of the histogram.

    Parameters
    ----------
    spread
        By how much weights of the patients widen an interval.
    """
    negative, positive = found.histogram
    n0, n1 = float(negative.sum()), float(positive.sum())
    patients = n0 + n1
    curve = []
    for threshold in thresholds:
        places = np.flatnonzero(found.edges == threshold)
        if not len(places):
            continue
        above = int(places[-1]) + 1  # a bin holds what lies at or below its right edge
        true, false = float(positive[above:].sum()), float(negative[above:].sum())
        odds = threshold / (1 - threshold)
        a, b = true / patients, false / patients
        value = a - odds * b
        error = spread * float(np.sqrt((a * (1 - a) + odds**2 * b * (1 - b) + 2 * odds * a * b) / patients))
        curve.append(
            Benefit(
                threshold=float(threshold),
                events_above=int(true),
                others_above=int(false),
                model=value,
                low=value - NORMAL_95 * error,
                high=value + NORMAL_95 * error,
                treat_all=n1 / patients - odds * n0 / patients,
            )
        )
    return curve


def scaled_brier(found: Discrimination) -> float | None:
    """Share of the Brier score of a constant risk that the model takes away; None with one class."""
    share = found.events / found.patients
    return None if share in (0.0, 1.0) else 1 - found.brier / (share * (1 - share))


def calibration_error(found: Discrimination) -> tuple[float, float]:
    """Mean and largest distance of observed share and mean predicted risk, over groups of ten patients and more."""
    sizes = np.array([size for _, _, size in found.curve], dtype=np.float64)
    apart = np.array([abs(observed - predicted) for predicted, observed, _ in found.curve])
    return float(sizes @ apart / sizes.sum()), float(apart.max())
