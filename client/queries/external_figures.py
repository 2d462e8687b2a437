"""A sealed external hospital's own figures: mirrored by server/evaluation/external.py."""

import numpy as np
from pydantic import model_validator

from client.clear_figures import centred, may_be_judged_in_clear
from client.concordance import harrell
from client.own_slope import slope_of
from client.queries.discrimination import auc_and_variance, own_calibration
from client.queries.follow_up import Months
from client.queries.registry import Parameters, bounded_array, query
from client.queries.survival_risk import LONGEST_LINE, MOST_HAZARD
from client.rows import Rows
from common.months import in_days
from common.query import SMALLEST_CLASS_FOR_OWN_AUC, Answer, Disclosed
from common.splits import Label, external_labels_of
from common.whole_hospitals import trains

Pair = tuple[float, float]


class ExternalFigures(Parameters):
    """For survival the final model's baseline: its cumulative hazard at some months; otherwise nothing.

    The study says which hospitals are external, and the view is the final model.
    """

    months: Months | None = None
    baseline: bounded_array(1, 0.0, MOST_HAZARD) | None = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _aligned(self) -> "ExternalFigures":
        found = () if self.baseline is None else self.baseline
        if len(found) != len(self.months or ()):
            raise ValueError(f"found {len(found)} cumulative hazards for {len(self.months or ())} months")
        if (np.diff(found, prepend=0.0) < 0).any():
            raise ValueError("a cumulative hazard falls")
        return self


@query(
    "external_figures",
    ExternalFigures,
    leaves="In clear, from a sealed external hospital with ten and more of each class: its own AUC or C, calibration "
    "slope and intercept by the final model, three decimals, once. From all others: nothing.",
)
def external_figures(rows: Rows, asked: ExternalFigures) -> Answer:
    """Discrimination and calibration of the final model on the patients of this hospital, where it is external."""
    if trains(rows.study, rows.site.name):
        return Answer()
    auc: dict[str, Pair] = {}
    calibration: dict[str, Pair] = {}
    for label in external_labels_of(rows.study):
        if Label.read(label).model:  # many of a hospital's figures would be points of its own curve
            continue
        score, outcome = rows.scores(label)
        had = outcome if outcome.ndim == 1 else outcome[:, 1]
        if min((had == 0).sum(), (had == 1).sum()) < SMALLEST_CLASS_FOR_OWN_AUC:
            continue
        if not may_be_judged_in_clear(centred(score)):
            continue
        if outcome.ndim == 1:
            value, variance = auc_and_variance(score, outcome)
            own = own_calibration(score, outcome)
        else:
            value, variance = _c_and_variance(score, outcome)
            own = _calibration_of_times(asked, score, outcome)
        auc[label] = (round(value, 3), round(float(np.sqrt(variance)), 3))
        if own is not None:
            calibration[label] = own
    return Answer(disclosed=Disclosed(auc=auc, calibration=calibration))


def _c_and_variance(score: np.ndarray, outcome: np.ndarray) -> Pair:
    found = harrell(outcome[:, 0], outcome[:, 1], score)
    return found.value, found.spread / found.pairs**2


def _calibration_of_times(asked: ExternalFigures, score: np.ndarray, outcome: np.ndarray) -> Pair | None:
    """Cox's slope of the linear predictor; the logarithm of observed over expected events up to the last month."""
    if asked.months is None or asked.baseline is None:
        return None
    slope = slope_of(score, outcome) if may_be_judged_in_clear(score) else None
    expected, observed = expected_and_observed(score, outcome, asked.months, asked.baseline)
    if slope is None or expected <= 0 or observed < SMALLEST_CLASS_FOR_OWN_AUC:
        return None
    return round(slope, 3), round(float(np.log(observed / expected)), 3)


def expected_and_observed(
    score: np.ndarray, outcome: np.ndarray, months: tuple[int, ...], hazards: np.ndarray
) -> Pair:
    """Σ H₀(T) e^η and the events, both up to the last month; H₀ is linear between the months (Crowson 2016)."""
    ends, time = in_days(months), outcome[:, 0]
    gathered = np.interp(time, np.concatenate([[0.0], ends]), np.concatenate([[0.0], hazards]))
    expected = gathered @ np.exp(np.clip(score, -LONGEST_LINE, LONGEST_LINE))
    return float(expected), float(outcome[time <= ends[-1], 1].sum())
