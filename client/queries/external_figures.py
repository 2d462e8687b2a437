"""A sealed external hospital's own figures: mirrored by server/evaluation/external.py."""

import numpy as np

from client.queries.discrimination import auc_and_variance, own_calibration
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import SMALLEST_CLASS_FOR_OWN_AUC, Answer, Disclosed
from common.splits import external_labels_of
from common.whole_hospitals import trains


class ExternalFigures(Parameters):
    """Nothing: the study says which hospitals are external, and the view is the final model."""


@query(
    "external_figures",
    ExternalFigures,
    leaves="In clear, from a sealed external hospital with ten and more of each class: its own AUC, calibration slope "
    "and intercept by the final model, three decimals, once. From all others: nothing.",
)
def external_figures(rows: Rows, _: ExternalFigures) -> Answer:
    """AUC and calibration of the final model on the patients of this hospital, where it is external."""
    if trains(rows.study, rows.site.name):
        return Answer()
    auc: dict[str, tuple[float, float]] = {}
    calibration: dict[str, tuple[float, float]] = {}
    for label in external_labels_of(rows.study) if rows.study.outcome.kind != "survival" else ():
        score, outcome = rows.scores(label)
        if min((outcome == 0).sum(), (outcome == 1).sum()) < SMALLEST_CLASS_FOR_OWN_AUC:
            continue
        value, variance = auc_and_variance(score, outcome)
        auc[label] = (round(value, 3), round(float(np.sqrt(variance)), 3))
        own = own_calibration(score, outcome)
        if own is not None:
            calibration[label] = own
    return Answer(disclosed=Disclosed(auc=auc, calibration=calibration))
