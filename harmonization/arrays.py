"""What the functions of this room take and give: float64 tables, and sums that add across hospitals."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Sums = dict[str, Array]


def as_table(rows: ArrayLike, what: str) -> Array:
    """``rows`` as an n×columns float64 table; ValueError when it is not two-dimensional."""
    table = np.asarray(rows, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"{what}: expected a table of rows × columns, found {table.ndim} dimension(s)")
    return table


def as_rows(covariates: ArrayLike | None, features: ArrayLike) -> tuple[Array, Array]:
    """Covariates (n×q, q may be 0) and features (n×p) as float64 tables of equally many rows."""
    y = as_table(features, "features")
    c = np.zeros((len(y), 0)) if covariates is None else as_table(covariates, "covariates")
    if len(c) != len(y):
        raise ValueError(f"covariates have {len(c)} rows and features {len(y)}: one row a patient in both")
    return c, y


def batch_rows(batches: ArrayLike | None, n: int) -> list[NDArray[np.intp]]:
    """The row numbers of each batch within this hospital; one batch where ``batches`` is None."""
    if batches is None:
        return [np.arange(n)]
    labels = np.asarray(batches)
    if labels.shape != (n,):
        raise ValueError(f"batches: expected {n} labels, one a row, found shape {labels.shape}")
    _, code = np.unique(labels, return_inverse=True)
    return [np.flatnonzero(code == k) for k in range(code.max(initial=-1) + 1)]


def centre(table: Array) -> Array:
    """Columns minus their mean; a constant column becomes exactly zero, lest rounding look like spread."""
    if not len(table):
        return table.copy()
    centred = table - table.mean(axis=0)
    centred -= centred.mean(axis=0)
    centred[:, (table == table[0]).all(axis=0)] = 0.0
    return centred


def symmetric(upper: Array, q: int) -> Array:
    """The q×q matrices whose upper triangles (q(q+1)/2 first, anything after) were sent: shape (…, q, q)."""
    row, column = np.triu_indices(q)
    matrix = np.zeros((q, q, *upper.shape[1:]))
    matrix[row, column] = upper
    matrix[column, row] = upper
    return np.moveaxis(matrix, (0, 1), (-2, -1))
