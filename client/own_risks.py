"""Recalibration of survival risks to a hospital's own patients; it stays in the hospital's folder.

At every horizon h the shift a for which the mean of 1 − exp(−H₀(h) e^{η + a}) over the hospital's patients, each by the
model that did not see it, is the hospital's own Kaplan–Meier risk by h; and Cox's slope of η among them. With few
patients a shift alone is safer than a slope. What is learnt is meant for the hospital's next patients and the final
model; recalibrated risks of the same patients are, like every fit to its own data, a little too good.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from client.own_slope import STEEPEST, slope_of
from common.months import in_days
from common.query import SMALLEST_CLASS_FOR_OWN_AUC


@dataclass(frozen=True)
class OwnRisk:
    """One horizon: events by then, risk by Kaplan–Meier, mean predicted risk, and the shift of the score."""

    events: int
    observed: float
    predicted: float
    shift: float

    def risk(self, hazard: np.ndarray, score: np.ndarray) -> np.ndarray:
        """The recalibrated risk, by the baseline's hazard at the horizon."""
        return _risk(hazard, score + self.shift)


@dataclass(frozen=True)
class OwnRisks:
    """A hospital's own patients: how steep the score is among them, and every horizon that can be judged."""

    patients: int
    events: int
    slope: float | None
    horizons: dict[str, OwnRisk]


def own_risks(score: np.ndarray, outcome: np.ndarray, hazard: np.ndarray, months: Sequence[int]) -> OwnRisks:
    """Fit to one hospital's patients.

    Parameters
    ----------
    hazard
        Patients × months: the baseline's cumulative hazard by the model that did not see the patient.
    """
    had = outcome[:, 1] == 1
    enough = min(int(had.sum()), int((~had).sum())) >= SMALLEST_CLASS_FOR_OWN_AUC
    found = {}
    for k, month in enumerate(months):
        at = _at(score, outcome, hazard[:, k], float(in_days([month])[0]))
        if at is not None:
            found[str(month)] = at
    return OwnRisks(len(score), int(had.sum()), slope_of(score, outcome) if enough else None, found)


def _at(score: np.ndarray, outcome: np.ndarray, hazard: np.ndarray, until: float) -> OwnRisk | None:
    """None with fewer than ten events by then or ten patients followed beyond, or where nothing finite fits."""
    time, had = outcome[:, 0], outcome[:, 1] == 1
    events = int((had & (time <= until)).sum())
    if min(events, int((time > until).sum())) < SMALLEST_CLASS_FOR_OWN_AUC or (hazard <= 0).any():
        return None
    observed = _risk_by(time, had, until)

    def apart(shift: float) -> float:
        return float(_risk(hazard, score + shift).mean()) - observed

    if apart(-STEEPEST) > 0 or apart(STEEPEST) < 0:
        return None
    return OwnRisk(events, observed, apart(0.0) + observed, float(brentq(apart, -STEEPEST, STEEPEST)))


def _risk(hazard: np.ndarray, score: np.ndarray) -> np.ndarray:
    risk: np.ndarray = 1.0 - np.exp(-hazard * np.exp(score))
    return risk


def _risk_by(time: np.ndarray, had: np.ndarray, until: float) -> float:
    """1 − Kaplan–Meier."""
    free = 1.0
    for t in np.unique(time[had & (time <= until)]):
        free *= 1.0 - float(((time == t) & had).sum()) / float((time >= t).sum())
    return 1.0 - free
