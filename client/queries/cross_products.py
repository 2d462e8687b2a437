"""Cross-products of a few columns, for regressing the missing values of one column on the others.

Mirrored by server/methods/imputation.py.
"""

import numpy as np

from client.queries.registry import ColumnNumbers, Parameters, per_split, query
from client.rows import Rows
from client.view_bounds import LARGEST
from common.query import Answer


class CompleteRows(Parameters):
    """Columns that must all be known, and columns whose known values are counted among those rows."""

    targets: ColumnNumbers
    columns: ColumnNumbers


class CrossProducts(Parameters):
    """Which columns are regressed on which, by their numbers in the view, and the means that fill the gaps."""

    targets: ColumnNumbers
    predictors: ColumnNumbers
    fill: per_split(-LARGEST, LARGEST, "columns")  # type: ignore[valid-type]
    spread: per_split(0.0, LARGEST, "columns")  # type: ignore[valid-type]


@query(
    "complete_rows",
    CompleteRows,
    leaves="Per fold: how many patients there are, how many have a value in every column with gaps, and in how many "
    "of these each clinical column is known.",
)
def complete_rows(rows: Rows, parameters: CompleteRows) -> Answer:
    """N, |R| and the known values in R, the rows where every target is known."""
    counts, complete, known = [], [], []
    for matrix in rows.matrices():
        chosen = _complete(matrix, parameters.targets)
        counts.append(len(matrix))
        complete.append(chosen.sum())
        known.append((~np.isnan(matrix[chosen][:, list(parameters.columns)])).sum(axis=0))
    return Answer(
        sums={
            "rows": np.array(counts, float),
            "complete": np.array(complete, float),
            "known": np.array(known, float),
        }
    )


@query(
    "cross_products",
    CrossProducts,
    leaves="Per fold: sums of products of the clinical columns over the patients whose columns with gaps are all "
    "known.",
)
def cross_products(rows: Rows, parameters: CrossProducts) -> Answer:
    """DᵀD over the rows where every target is known; D = [1, (predictors − fill) / spread], 0 where unknown."""
    grams = []
    for matrix, fill, spread in zip(rows.matrices(), parameters.fill, parameters.spread, strict=True):
        scaled = np.where(np.isnan(matrix), 0.0, (matrix - fill) / np.where(spread > 0, spread, 1.0))
        chosen = scaled[_complete(matrix, parameters.targets)][:, list(parameters.predictors)]
        design = np.column_stack([np.ones(len(chosen)), chosen])
        grams.append(design.T @ design)
    return Answer(sums={"gram": np.array(grams)})


def _complete(matrix: np.ndarray, targets: tuple[int, ...]) -> np.ndarray:
    """A mask of the rows where every target is known."""
    complete: np.ndarray = ~np.isnan(matrix[:, list(targets)]).any(axis=1)
    return complete
