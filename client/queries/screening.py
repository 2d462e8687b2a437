"""One number a feature against the outcome, from O(p) sums: mirrored by server/methods/screening.py.

No product of two features leaves here, so a study may ask about more features than it has patients.
"""

import numpy as np
from pydantic import Field

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.outcomes import TimedOutcome
from common.query import Answer
from common.study import Study
from harmonization.kruskal import bins, histogram_sums

MOST_BINS = 64


class Everywhere(Parameters):
    """No parameters: the training rows of every split, as the view shows them."""


class Histogrammed(Parameters):
    """Number of bins; their edges are the quantiles of the standard normal distribution, the same in every study."""

    bins: int = Field(ge=2, le=MOST_BINS)


@query(
    "class_sums",
    Everywhere,
    leaves="Per fold: number of patients of each class, the sum of every standardised column in each class, and its "
    "sum of squares over all classes.",
)
def class_sums(rows: Rows, _: Everywhere) -> Answer:
    """Σ1 and Σx by class, Σx²: what t and F are made of."""
    classes = number_of_classes(rows.study)
    patients, first, second = [], [], []
    for matrix, outcome in rows.tables():
        member = _members(outcome, classes)
        patients.append(member.sum(axis=0))
        first.append(member.T @ matrix)
        second.append(member.sum(axis=1) @ matrix**2)
    return Answer(sums={"patients": np.array(patients), "first": np.array(first), "second": np.array(second)})


@query(
    "class_histograms",
    Histogrammed,
    leaves="Per fold: of every standardised column, how many patients of each of the two classes fall into a few bins.",
)
def class_histograms(rows: Rows, asked: Histogrammed) -> Answer:
    """Counts by class, bin and column: what the Mann–Whitney statistic of binned values is made of."""
    if rows.study.outcome.kind != "binary":
        raise HospitalError(Code.BAD_PARAMETERS, "class_histograms: the study has no outcome of two classes")
    counts = []
    for matrix, outcome in rows.tables():
        binned = bins(matrix, 0.0, 1.0, asked.bins)
        counts.append([histogram_sums(binned[outcome == label], asked.bins)["counts"] for label in (0, 1)])
    return Answer(sums={"counts": np.array(counts)})


@query(
    "cox_scores",
    Everywhere,
    leaves="Per fold: number of events, and for every standardised column the score of a Cox model of that column "
    "alone at coefficient zero and its variance, over this hospital's own patients at risk.",
)
def cox_scores(rows: Rows, _: Everywhere) -> Answer:
    """U = Σ over events of x − mean at risk, V = Σ of the variance at risk, within this hospital."""
    if not isinstance(rows.study.outcome, TimedOutcome):
        raise HospitalError(Code.BAD_PARAMETERS, "cox_scores: the study has no times to an event")
    found = [score_at_zero(matrix, outcome[:, 0], outcome[:, 1] == 1) for matrix, outcome in rows.tables()]
    return Answer(
        sums={
            "events": np.array([float((outcome[:, 1] == 1).sum()) for _, outcome in rows.tables()]),
            "score": np.array([score for score, _ in found]),
            "variance": np.array([variance for _, variance in found]),
        }
    )


def score_at_zero(matrix: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and information of every column's own Cox model at 0; events of one time share the patients at risk.

    Peto's and Breslow's form of the log-rank score: U = Σ_t [Σ_{died at t} x − d_t·x̄(t)], V = Σ_t d_t·var(t).
    """
    if not event.any():
        return np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
    order = np.argsort(-time, kind="stable")
    x, late = matrix[order], -time[order]
    died = event[order]
    # Patients at risk at a time are all that come no later in this order, ties included.
    at_risk = np.searchsorted(late, late[died], side="right")
    mean = np.cumsum(x, axis=0)[at_risk - 1] / at_risk[:, None]
    square = np.cumsum(x**2, axis=0)[at_risk - 1] / at_risk[:, None]
    return (x[died] - mean).sum(axis=0), np.maximum(square - mean**2, 0.0).sum(axis=0)


def number_of_classes(study: Study) -> int:
    """How many classes the outcome has."""
    if isinstance(study.outcome, TimedOutcome):
        raise HospitalError(Code.BAD_PARAMETERS, "a time to an event has no classes without weights")
    if study.outcome.kind != "multiclass":
        return 2
    return len(study.variable(study.outcome_columns()[-1]).levels or [])


def _members(outcome: np.ndarray, classes: int) -> np.ndarray:
    """Patients × classes, 1 where the patient is of the class; nothing for one whose class is not known."""
    member: np.ndarray = (outcome[:, None] == np.arange(classes)).astype(np.float64)
    return member
