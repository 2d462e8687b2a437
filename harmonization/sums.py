"""What one hospital contributes to ComBat: one message of sums, centred on its own means so that they add."""

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Array, Sums, as_rows, batch_rows, centre


def combat_sums(
    covariates: ArrayLike | None,
    features: ArrayLike,
    *,
    offset_covariates: ArrayLike | None = None,
    offset_features: ArrayLike | None = None,
    batches: ArrayLike | None = None,
    missing: bool = False,
) -> Sums:
    """The sums from which the total alone gives pooled ComBat's regression (Frisch–Waugh).

    With c, y shifted by the public offsets and c̄_b, ȳ_b the means of batch b at this hospital:

    - ``n``  = number of rows, shape (1,)
    - ``c``  = Σ c, (q,);  ``y`` = Σ y, (p,)
    - ``cc`` = Σ_b Σ (c − c̄_b)(c − c̄_b)ᵀ, its upper triangle, (q(q+1)/2,)
    - ``cy`` = Σ_b Σ (c − c̄_b)(y − ȳ_b)ᵀ, (q, p);  ``yy`` = Σ_b Σ (y − ȳ_b)², (p,)

    Parameters
    ----------
    covariates : n×q preserved covariates, or None for none.
    features : n×p features.
    offset_covariates, offset_features
        Public shifts (q), (p) that keep Σc and Σy small; `harmonization.fit.fit` takes the same.
    batches : n labels
        Batches inside the hospital (scanners): rows are centred within each. Default: the hospital is one batch.
    missing : bool
        Cells may be missing (NaN or infinite): ``n``, ``c`` and ``cc`` then come per feature, with a last
        axis of p. A row whose covariate is missing is left out. Without it any such cell is refused.
    """
    c, y = as_rows(covariates, features)
    if offset_covariates is not None:
        c = c - np.asarray(offset_covariates, dtype=np.float64)
    if offset_features is not None:
        y = y - np.asarray(offset_features, dtype=np.float64)
    if missing:
        return _sums_with_missing(c, y, batches)
    _refuse_missing(c, "covariates")
    _refuse_missing(y, "features")
    q = c.shape[1]
    upper = np.triu_indices(q)
    cc, cy, yy = np.zeros(q * (q + 1) // 2), np.zeros((q, y.shape[1])), np.zeros(y.shape[1])
    for rows in batch_rows(batches, len(y)):
        c0, y0 = centre(c[rows]), centre(y[rows])
        cc += (c0.T @ c0)[upper]
        cy += c0.T @ y0
        yy += np.einsum("ij,ij->j", y0, y0)
    return {"n": np.array([float(len(y))]), "c": c.sum(axis=0), "y": y.sum(axis=0), "cc": cc, "cy": cy, "yy": yy}


def _sums_with_missing(c: Array, y: Array, batches: ArrayLike | None) -> Sums:
    """The same sums where every feature has its own rows; O(q² p) numbers."""
    q, p = c.shape[1], y.shape[1]
    row, column = np.triu_indices(q)
    usable = np.isfinite(c).all(axis=1)
    total: Sums = {
        "n": np.zeros(p),
        "c": np.zeros((q, p)),
        "y": np.zeros(p),
        "cc": np.zeros((q * (q + 1) // 2, p)),
        "cy": np.zeros((q, p)),
        "yy": np.zeros(p),
    }
    for rows in batch_rows(batches, len(y)):
        rows = rows[usable[rows]]
        if not len(rows):
            continue
        c_mean = c[rows].mean(axis=0)
        c0 = centre(c[rows])
        y0, n = centre_finite(y[rows])
        seen = np.isfinite(y[rows]).astype(np.float64)
        c_sum = c0.T @ seen
        c_bar = c_sum / np.maximum(n, 1)
        total["n"] += n
        total["c"] += c_sum + np.outer(c_mean, n)
        total["y"] += np.where(np.isfinite(y[rows]), y[rows], 0.0).sum(axis=0)
        total["cc"] += (c0[:, row] * c0[:, column]).T @ seen - c_sum[row] * c_bar[column]
        total["cy"] += c0.T @ y0
        total["yy"] += np.einsum("ij,ij->j", y0, y0)
    return total


def centre_finite(table: Array) -> tuple[Array, Array]:
    """Columns minus the mean of their finite cells, zero elsewhere; and the number of finite cells per column."""
    finite = np.isfinite(table)
    n = finite.sum(axis=0).astype(np.float64)
    values = np.where(finite, table, 0.0)
    centred = np.where(finite, values - values.sum(axis=0) / np.maximum(n, 1), 0.0)
    centred -= np.where(finite, centred.sum(axis=0) / np.maximum(n, 1), 0.0)
    first = values[finite.argmax(axis=0), np.arange(table.shape[1])] if len(table) else np.zeros(table.shape[1])
    constant = (~finite | (values == first)).all(axis=0)
    centred[:, constant] = 0.0
    return centred, n


def _refuse_missing(table: Array, what: str) -> None:
    bad = ~np.isfinite(table)
    if bad.any():
        columns = np.flatnonzero(bad.any(axis=0))
        shown = ", ".join(str(j) for j in columns[:5]) + (", …" if len(columns) > 5 else "")
        raise ValueError(
            f"{what}: {int(bad.sum())} missing or infinite cell(s) in {len(columns)} column(s) (number {shown}); "
            "impute them first, or ask for the sums with missing values per feature"
        )
