"""Histograms of held-out predictions by class: mirrored by server/evaluation/discrimination.py."""

import numpy as np
from pydantic import field_validator
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from client.clear_figures import may_be_judged_in_clear
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, bounded_array, query
from client.rows import Rows
from common.query import SMALLEST_CLASS_FOR_OWN_AUC, Answer, Disclosed


class Discrimination(Parameters):
    """The schemes to judge and, for each, the inner edges of its bins of predicted probability."""

    schemes: tuple[str, ...]
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray) -> np.ndarray:
        return few_and_ascending(edges)


@query(
    "discrimination",
    Discrimination,
    leaves="In clear: this hospital's own AUC, calibration slope and intercept, three decimals, with ten and more "
    "of each class. As sums: counts of the classes and predicted risk in a few bins, squared error, and the "
    "hospital's part of the within-hospital AUC.",
)
def discrimination(rows: Rows, parameters: Discrimination) -> Answer:
    """Per scheme: class histograms, Σp a bin, Σ(p − y)², and the won pairs within this hospital."""
    schemes, bins = len(parameters.schemes), parameters.edges.shape[1] + 1
    histogram = np.zeros((schemes, 2, bins))
    predicted = np.zeros((schemes, bins))
    within = np.zeros((schemes, 3))
    squared_error = np.zeros(schemes)
    auc: dict[str, tuple[float, float]] = {}
    calibration: dict[str, tuple[float, float]] = {}
    for index, scheme in enumerate(parameters.schemes):
        score, outcome = rows.probabilities(scheme)
        bin_of = np.searchsorted(parameters.edges[index], score, side="left")
        for label in (0, 1):
            histogram[index, label] = np.bincount(bin_of[outcome == label], minlength=bins)
        predicted[index] = np.bincount(bin_of, weights=score, minlength=bins)
        squared_error[index] = ((score - outcome) ** 2).sum()
        negatives, positives = int((outcome == 0).sum()), int((outcome == 1).sum())
        pairs = negatives * positives
        if pairs:
            value, variance = auc_and_variance(score, outcome)
            within[index] = [value * pairs, pairs, variance * pairs**2]
            if min(negatives, positives) >= SMALLEST_CLASS_FOR_OWN_AUC and may_be_judged_in_clear(score):
                auc[scheme] = (round(value, 3), round(float(np.sqrt(variance)), 3))
                own = own_calibration(*rows.scores(scheme))
                if own is not None:
                    calibration[scheme] = own
    return Answer(
        sums={"histogram": histogram, "predicted": predicted, "within": within, "squared_error": squared_error},
        disclosed=Disclosed(auc=auc, calibration=calibration),
    )


def auc_and_variance(score: np.ndarray, outcome: np.ndarray) -> tuple[float, float]:
    """The AUC by midranks and its variance by DeLong (Sun and Xu 2014, doi:10.1109/LSP.2014.2337313)."""
    positive, negative = score[outcome == 1], score[outcome == 0]
    m, n = len(positive), len(negative)
    together = rankdata(np.concatenate([positive, negative]))
    value = float((together[:m].sum() - m * (m + 1) / 2) / (m * n))
    placement_positive = (together[:m] - rankdata(positive)) / n
    placement_negative = 1.0 - (together[m:] - rankdata(negative)) / m
    variance = sum(
        float(placement.var(ddof=1)) / len(placement) if len(placement) > 1 else 0.25
        for placement in (placement_positive, placement_negative)
    )
    return value, variance


def own_calibration(
    score: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None
) -> tuple[float, float] | None:
    """Slope and intercept of this hospital's own predictions; None where they cannot be estimated."""
    if not may_be_judged_in_clear(score):
        return None
    fit = LogisticRegression(C=np.inf, tol=1e-9, max_iter=200).fit(score[:, None], outcome, weight)
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if abs(slope) > 20 or abs(intercept) > 20:
        return None
    return round(slope, 3), round(intercept, 3)
