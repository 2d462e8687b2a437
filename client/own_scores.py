"""Recalibration and radiomics score of a hospital's own patients; both stay in its folder.

Recalibration: logistic regression of the outcome on the held-out linear predictor of the hospital's own patients,
logit p' = intercept + slope · η. With few patients a shift alone is safer: `shift` is the intercept with a slope of 1.
What is learnt from patients whom the model did not see is meant for the hospital's next patients and the final model;
the recalibrated predictions of the same patients are, like every fit to its own data, a little too good.
Radiomics score: the part Σ β_j z_j of the linear predictor that image features bring, one number a patient.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from client.own_files import write_text
from client.rows import Rows
from common.outcomes import TimedOutcome
from common.query import SMALLEST_CLASS_FOR_OWN_AUC

STEEPEST = 20.0
"""A slope or intercept beyond this is no calibration: the predictions separate the classes."""


@dataclass(frozen=True)
class Recalibrated:
    """How this hospital's own risks follow from the model's linear predictor."""

    patients: int
    events: int
    intercept: float
    slope: float
    shift: float

    def risk(self, score: np.ndarray) -> np.ndarray:
        """The recalibrated risk of linear predictors."""
        corrected: np.ndarray = expit(self.intercept + self.slope * score)
        return corrected


def recalibrate(score: np.ndarray, outcome: np.ndarray) -> Recalibrated | None:
    """Fit to one hospital's patients; None with fewer than ten of a class, or where nothing finite fits."""
    events = int((outcome == 1).sum())
    if min(events, len(outcome) - events) < SMALLEST_CLASS_FOR_OWN_AUC or np.ptp(score) == 0:
        return None
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=500).fit(score[:, None], outcome)
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if max(abs(slope), abs(intercept)) > STEEPEST:
        return None
    furthest = STEEPEST + float(np.abs(score).max())
    shift = brentq(lambda a: float((outcome - expit(a + score)).sum()), -furthest, furthest)
    return Recalibrated(len(outcome), events, intercept, slope, float(shift))


def recalibrations(rows: Rows, labels: Iterable[str]) -> dict[str, Recalibrated]:
    """By label, where the hospital has patients enough; none where the outcome is a time, or needs weights."""
    if isinstance(rows.study.outcome, TimedOutcome):
        return {}
    found = {label: recalibrate(*rows.scores(label)) for label in labels}
    return {label: fit for label, fit in found.items() if fit is not None}


def write_recalibrations(rows: Rows, found: dict[str, Recalibrated]) -> None:
    """Write recalibration.json into the hospital's own folder."""
    content = {label: asdict(fit) for label, fit in found.items()}
    write_text(
        rows.site.own_folder / "recalibration.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    )


def radiomics_score(rows: Rows, split: str, model: str) -> np.ndarray | None:
    """Every patient's part of the linear predictor that image features bring; None where the model sees none.

    A model that weighs other models' scores, and one with a linear predictor a class, has no such number.
    """
    candidate = rows.study.compare.get(model)
    linear = next((v for v in rows.views.chain(str(rows.query.view)) if v.step == "linear"), None)
    if linear is None or linear.parent is None or rows.study.lines() > 1 or (candidate and candidate.stack):
        return None
    names: list[str] = []
    for view in reversed(rows.views.chain(linear.parent)):
        if view.step == "columns":
            names = [str(name) for name in view.parameters["columns"]]
        elif view.step == "select":
            names = [names[int(j)] for j in view.parameters["columns"]]
    beta = rows.views.fitted(linear, split).array("beta")[rows.study.models().index(model), 1:]
    images = [j for j, name in enumerate(names) if name in rows.cohort.feature_names and beta[j] != 0]
    if not images:
        return None
    score: np.ndarray = rows.views.matrix(linear.parent, split)[:, images] @ beta[images]
    return score
