"""Classes above and below a threshold: mirrored by server/evaluation/operating.py.

A threshold is chosen on the training rows of every split, from edges that were asked before without the outcome; it is
then applied to the patients that the split held out.
"""

import numpy as np
from pydantic import ValidationInfo, field_validator

from client import predictions
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Asked, Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.query import Answer
from common.splits import Label, outer_splits_of


class TrainingClasses(Parameters):
    """A model each, named by its `apparent` label, and inner edges of bins of its predicted probability.

    Parameters
    ----------
    edges
        Models × splits × edges: every training set has bins of its own.
    """

    schemes: Schemes
    edges: bounded_array(3, 0.0, 1.0)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _a_row_each(cls, edges: np.ndarray, info: ValidationInfo) -> np.ndarray:
        splits = info.context.splits if isinstance(info.context, Asked) else edges.shape[1]
        if edges.shape[:2] != (len(info.data.get("schemes", ())), splits):
            raise ValueError(f"found edges of {edges.shape}, expected models × splits × edges")
        return few_and_ascending(edges)


class ThresholdClasses(Parameters):
    """For every label a cut of the predicted probability a split (labels × the study's outer splits)."""

    schemes: Schemes
    cuts: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @field_validator("cuts")
    @classmethod
    def _a_row_a_label(cls, cuts: np.ndarray, info: ValidationInfo) -> np.ndarray:
        if len(cuts) != len(info.data.get("schemes", ())):
            raise ValueError(f"found cuts for {len(cuts)} labels, expected a row a label")
        return cuts


@query(
    "training_classes",
    TrainingClasses,
    leaves="Per training set: how many patients with and without the outcome fall into a few bins of the risk that the "
    "model fitted to them predicts.",
)
def training_classes(rows: Rows, parameters: TrainingClasses) -> Answer:
    """Class histograms of the training rows' predictions: splits × models × class × bin."""
    bins = parameters.edges.shape[2] + 1
    histogram = np.zeros((len(rows.query.splits), len(parameters.schemes), 2, bins))
    for k, (split, chosen) in enumerate(rows.chosen()):
        for m, label in enumerate(parameters.schemes):
            read = Label.read(label)
            lines = rows.linear_predictors(split, read.model)[chosen]
            risk = predictions.probability(rows.study, lines, read.level)
            outcome = predictions.outcome(rows.study, rows.cohort.outcome[chosen], read.level)
            bin_of = np.searchsorted(parameters.edges[m, k], risk, side="left")
            for kind in (0, 1):
                histogram[k, m, kind] = np.bincount(bin_of[outcome == kind], minlength=bins)
    return Answer(sums={"histogram": histogram})


@query(
    "threshold_classes",
    ThresholdClasses,
    leaves="How many patients with and without the outcome lie above the threshold that was chosen without them, and "
    "how many do not.",
)
def threshold_classes(rows: Rows, parameters: ThresholdClasses) -> Answer:
    """Σ of true and false, positive and negative: labels × class × (not above, above)."""
    splits = outer_splits_of(rows.study, rows.query.roster)
    counts = np.zeros((len(parameters.schemes), 2, 2))
    for k, label in enumerate(parameters.schemes):
        risk, outcome = rows.probabilities(label)
        cut = np.full(len(rows.cohort.ids), np.nan)
        for split, chosen in rows.held_out_of(Label.read(label).scheme):
            cut[chosen] = parameters.cuts[k, splits.index(split)]
        for kind in (0, 1):
            above = int((risk > cut[rows.judged(label)])[outcome == kind].sum())
            counts[k, kind] = [(outcome == kind).sum() - above, above]
    return Answer(sums={"counts": counts})
