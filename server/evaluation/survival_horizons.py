"""AUC, Brier score and calibration at a horizon, from weighted totals (server/evaluation/survival.py says which)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.query import Arrays
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.evaluation.survival_curves import Curve

MOST_GROUPS = 5


@dataclass(frozen=True)
class Benefit:
    """Net true positives a patient at one threshold of the risk: by the model, and if everyone were acted upon."""

    threshold: float
    model: float
    treat_all: float


@dataclass(frozen=True)
class AtHorizon:
    """What one label's predictions are worth at one horizon."""

    month: int
    cases: int
    followed: int
    auc: Estimate
    auc_within: float | None
    brier: float
    brier_reference: float
    observed: float
    expected: float
    curve: list[tuple[float, float, int]]
    benefit: list[Benefit]


def at_horizons(
    horizons: Sequence[int], order: Arrays, risk: Arrays, event_free: Curve, thresholds: np.ndarray
) -> tuple[AtHorizon, ...]:
    """One label's figures at every horizon.

    Parameters
    ----------
    thresholds
        Horizons × edges: the predicted risks at the right edges of the score's bins.
    """
    return tuple(
        _at(month, h, order, risk, event_free.at(month), thresholds[h]) for h, month in enumerate(horizons)
    )


def _at(month: int, h: int, order: Arrays, risk: Arrays, free: float, thresholds: np.ndarray) -> AtHorizon:
    won, pairs = order["horizon_within"][h][:2]
    patients, predicted = risk["patients"][h], risk["predicted"][h]
    had, had_not = risk["had_it"][h], risk["had_it_not"][h]
    n = float(patients.sum())
    return AtHorizon(
        month=month,
        cases=round(float(order["case_counts"][h].sum())),
        followed=round(float(order["controls"][h].sum())),
        auc=weighted_auc(
            (order["cases"][h], order["case_squares"][h]),
            (order["controls"][h], order["controls"][h]),
            order["horizon_within"][h],
        ),
        auc_within=float(won / pairs) if pairs else None,
        brier=float(risk["squared_error"][h]) / n,
        brier_reference=float(had.sum() * free**2 + had_not.sum() * (1 - free) ** 2) / n,
        observed=float(had.sum() / (had.sum() + had_not.sum())),
        expected=float(predicted.sum() / n),
        curve=weighted_curve(patients, predicted, had, had_not),
        benefit=net_benefit(thresholds, had, had_not),
    )


def risks_at(edges: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """The predicted risk at edges of 1/(1 + e^−η), by cumulative hazards at the horizons: horizons × edges."""
    relative = edges / np.maximum(1.0 - edges, 1e-12)
    risk: np.ndarray = 1.0 - np.exp(-baseline[:, None] * relative)
    return risk


def net_benefit(thresholds: np.ndarray, had: np.ndarray, had_not: np.ndarray) -> list[Benefit]:
    """Σ w of those with the event in the bins above an edge, less the others' at its odds, as shares of Σ w.

    Exact for whoever acts on scores above the edge. The threshold is the risk at the edge by the mean of the baselines
    of the label's training sets; those of single folds differ a little.
    """
    n = float(had.sum() + had_not.sum())
    found = []
    for place in np.flatnonzero(np.diff(thresholds, append=2.0) > 0):  # edges that pad a row make no bin
        threshold = float(thresholds[place])
        if not 0 < threshold < 1 or n <= 0:
            continue
        odds = threshold / (1 - threshold)
        model = float(had[place + 1 :].sum() - odds * had_not[place + 1 :].sum()) / n
        found.append(Benefit(threshold, model, float(had.sum() - odds * had_not.sum()) / n))
    return found


Weighted = tuple[np.ndarray, np.ndarray]
"""Σ of weights and Σ of their squares by bin."""


def weighted_auc(of_cases: Weighted, of_controls: Weighted, within: np.ndarray) -> Estimate:
    """The share of weighted (case, control) pairs in which the case scores higher.

    Pairs within a hospital are known exactly; of two hospitals' pairs, those of one bin are taken to be won as often as
    within hospitals. The error is DeLong's with weights taken as known.
    """
    (cases, squares), (controls, control_squares) = of_cases, of_controls
    weight, n = float(cases.sum()), float(controls.sum())
    if not weight or not n:
        return NOT_ESTIMABLE
    of_case = (np.cumsum(controls) - controls / 2) / n
    of_control = (weight - np.cumsum(cases) + cases / 2) / weight
    own_won, _, own_sure, own_tied, own_won_of_tied = within
    lower, tied = np.cumsum(controls) - controls, float(cases @ controls)
    of_tied = own_won_of_tied / own_tied if own_tied > 0 else 0.5
    won = own_won + float(cases @ lower) - own_sure + (tied - own_tied) * of_tied
    value = float(np.clip(won / (weight * n), 0.0, 1.0))
    variance = float(squares @ (of_case - value) ** 2) / weight**2
    variance += float(control_squares @ (of_control - value) ** 2) / n**2
    return Estimate.normal(value, float(np.sqrt(variance)))


def weighted_curve(
    patients: np.ndarray, predicted: np.ndarray, had: np.ndarray, had_not: np.ndarray
) -> list[tuple[float, float, int]]:
    """Neighbouring bins merged into at most five groups: mean predicted risk, observed risk, patients."""
    middle = (np.cumsum(patients) - patients / 2) / max(float(patients.sum()), 1.0)
    group = np.minimum((middle * MOST_GROUPS).astype(int), MOST_GROUPS - 1)
    points = []
    for g in np.unique(group[patients > 0]):
        chosen = group == g
        n, yes, no = (float(array[chosen].sum()) for array in (patients, had, had_not))
        if yes + no > 0:
            points.append((float(predicted[chosen].sum()) / n, yes / (yes + no), round(n)))
    return points
