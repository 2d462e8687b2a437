"""How many patients are in cells that a later question looks at by outcome: mirrored by server/evaluation.

What is counted so is handed round, and every hospital adds it up by itself (client/gate_rules/counted_cells.py).
"""

import numpy as np
from pydantic import model_validator

from client import predictions
from client.queries.quantiles import ScoreCounts, few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer
from common.splits import Label

MOST_CUTS = 2


class TrainingCounts(ScoreCounts):
    """A model each, named by its `apparent` label, and the inner edges of its bins of predicted probability."""


class GroupCounts(Parameters):
    """For every label the cuts between groups of patients, a row for each split that judges some of them.

    Parameters
    ----------
    fits
        The splits, in the order of the second axis of `cuts` (labels × splits × cuts, ascending).
    """

    schemes: Schemes
    fits: tuple[str, ...]
    cuts: bounded_array(3, 0.0, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _a_row_each(self) -> "GroupCounts":
        if self.cuts.shape[:2] != (len(self.schemes), len(self.fits)) or self.cuts.shape[2] > MOST_CUTS:
            raise ValueError(
                f"found cuts of {self.cuts.shape}, expected {len(self.schemes)} labels, {len(self.fits)} splits and at "
                f"most {MOST_CUTS} cuts"
            )
        few_and_ascending(self.cuts)
        return self


@query(
    "training_counts",
    TrainingCounts,
    leaves="Per training set: how many patients' predicted risk lies at or below each of a few edges.",
)
def training_counts(rows: Rows, asked: TrainingCounts) -> Answer:
    """Σ#{p ≤ e} over the training rows: splits × models × edges; and how many rows a split has."""
    below = np.zeros((len(rows.query.splits), *asked.edges.shape))
    patients = np.zeros(len(rows.query.splits))
    for k, (split, chosen) in enumerate(rows.chosen()):
        patients[k] = chosen.sum()
        for m, label in enumerate(asked.schemes):
            read = Label.read(label)
            lines = rows.linear_predictors(split, read.model)[chosen]
            risk = np.sort(predictions.probability(rows.study, lines, read.level))
            below[k, m] = np.searchsorted(risk, asked.edges[m], side="right")
    return Answer(sums={"below": below, "patients": patients})


@query(
    "group_counts",
    GroupCounts,
    leaves="Per evaluated model: how many patients fall into each group that the cut-offs of their own folds make.",
)
def group_counts(rows: Rows, asked: GroupCounts) -> Answer:
    """Patients by label and group: above so many of the cuts of the split that held them out."""
    groups = asked.cuts.shape[2] + 1
    patients = np.zeros((len(asked.schemes), groups))
    for k, label in enumerate(asked.schemes):
        patients[k] = np.bincount(_groups(rows, label, asked.fits, asked.cuts[k]), minlength=groups)
    return Answer(sums={"patients": patients})


def _groups(rows: Rows, label: str, fits: tuple[str, ...], cuts: np.ndarray) -> np.ndarray:
    """The group of every patient whom a label judges."""
    read = Label.read(label)
    groups = [np.zeros(0, dtype=np.int64)]
    for split, chosen in rows.held_out_of(read.scheme):
        if split not in fits:
            raise HospitalError(Code.BAD_PARAMETERS, f"{label}: no cuts were sent for {split}")
        lines = rows.linear_predictors(split, read.model)[chosen]
        risk = predictions.probability(rows.study, lines, read.level)
        groups.append(np.searchsorted(cuts[fits.index(split)], risk, side="left"))
    return np.concatenate(groups)
