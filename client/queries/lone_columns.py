"""How well each column alone tells the outcome: mirrored by server/evaluation/leakage.py."""

import numpy as np
from scipy.stats import rankdata

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL, Answer


class LoneColumns(Parameters):
    """Nothing can be chosen: all columns of the view."""


@query(
    "lone_columns",
    LoneColumns,
    leaves="For each column: over pairs of the hospital's patients with and without the outcome, how often the one "
    "with it has the higher value, and their number; nothing where fewer than five have the outcome or have it not, "
    "or fewer than five differ from the commonest value.",
)
def lone_columns(rows: Rows, _: LoneColumns) -> Answer:
    """Won pairs and pairs of every column, within this hospital, for every split."""
    if rows.study.outcome.kind != "binary":
        raise HospitalError(Code.BAD_PARAMETERS, "lone_columns: the study has no outcome of two classes")
    told = [_pairs(matrix, outcome) for matrix, outcome in rows.tables()]
    return Answer(
        sums={"won": np.array([won for won, _ in told]), "pairs": np.array([pairs for _, pairs in told])}
    )


def _pairs(matrix: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that the higher value puts in the right order, and all pairs; zeros for a column that may tell on one."""
    won, pairs = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
    positive = outcome == 1
    ill, well = int(positive.sum()), int((~positive).sum())
    if min(ill, well) >= SMALLEST_CELL:
        told = np.flatnonzero([_others(column) >= SMALLEST_CELL for column in matrix.T])
        ranks = rankdata(matrix[:, told], axis=0)
        won[told] = ranks[positive].sum(axis=0) - ill * (ill + 1) / 2
        pairs[told] = ill * well
    return won, pairs


def _others(column: np.ndarray) -> int:
    """How many patients do not have the column's commonest value: with one, its rank would show its outcome."""
    return len(column) - int(np.unique(column, return_counts=True)[1].max())
