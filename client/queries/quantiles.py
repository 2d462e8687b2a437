"""How many values lie at or below public edges: what quantiles are found from, never a patient's value."""

import numpy as np
from pydantic import ValidationInfo, field_validator

from client.queries.registry import Parameters, Schemes, bounded_array, per_split, query
from client.rows import Rows
from client.view_bounds import LARGEST
from common.query import Answer

MAXIMUM_EDGES = 256


def few_and_ascending(edges: np.ndarray) -> np.ndarray:
    """Edges along the last axis; ValueError if there are more than the bound or they do not ascend."""
    if not edges.size:
        raise ValueError(f"found the shape {edges.shape}: an axis is empty")
    if edges.shape[-1] > MAXIMUM_EDGES:
        raise ValueError(f"{edges.shape[-1]} edges, at most {MAXIMUM_EDGES} are allowed")
    if (np.diff(edges, axis=-1) < 0).any():
        raise ValueError("the edges do not ascend")
    return edges


class ColumnCounts(Parameters):
    """Edges a column (splits × columns × edges), ascending, public or from earlier totals."""

    edges: per_split(-LARGEST, LARGEST, "columns", None)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray) -> np.ndarray:
        return few_and_ascending(edges)


class ScoreCounts(Parameters):
    """Edges of the predicted probability (schemes × edges)."""

    schemes: Schemes
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray, info: ValidationInfo) -> np.ndarray:
        if len(edges) != len(info.data.get("schemes", ())):
            raise ValueError(f"found edges for {len(edges)} schemes, expected a row a scheme")
        return few_and_ascending(edges)


@query(
    "column_counts", ColumnCounts, leaves="Per column: how many values lie at or below each of a few public edges."
)
def column_counts(rows: Rows, parameters: ColumnCounts) -> Answer:
    """Σ#{x ≤ e}, and the number of known values."""
    splits, columns, edges = parameters.edges.shape
    below = np.zeros((splits, columns, edges))
    known = np.zeros((splits, columns))
    for split, matrix in enumerate(rows.matrices()):
        for column in range(columns):
            values = np.sort(matrix[~np.isnan(matrix[:, column]), column])
            below[split, column] = np.searchsorted(values, parameters.edges[split, column], side="right")
            known[split, column] = len(values)
    return Answer(sums={"below": below, "known": known})


@query(
    "score_counts", ScoreCounts, leaves="How many held-out predictions lie at or below each of a few public edges."
)
def score_counts(rows: Rows, parameters: ScoreCounts) -> Answer:
    """Σ#{p ≤ e} over the held-out predictions of every scheme, and the classes' sizes."""
    below = np.zeros(parameters.edges.shape)
    classes = np.zeros((len(parameters.schemes), 2))
    for index, scheme in enumerate(parameters.schemes):
        score, outcome = rows.probabilities(scheme)
        happened = outcome if outcome.ndim == 1 else outcome[:, 1]
        known = np.sort(score[~np.isnan(happened)])
        below[index] = np.searchsorted(known, parameters.edges[index], side="right")
        classes[index] = [(happened == 0).sum(), (happened == 1).sum()]
    return Answer(sums={"below": below, "classes": classes})
