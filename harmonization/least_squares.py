"""Solving normal equations that may be singular: scaled to correlations, small eigenvalues cut and reported."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harmonization.arrays import Array

EIGENVALUE_CUTOFF = 1e-10


@dataclass(frozen=True)
class Solution:
    """``coefficients`` (q×p) of ``cc · B = cy``, and what could not be told apart.

    ``empty`` (m×q): covariates without spread within any batch. ``tangled`` (m×q): covariates that take part in a
    direction that was cut. ``inverse_diagonal`` (m×q): diagonal of the (pseudo-)inverse. m is 1, or p where each
    feature has its own cross-product.
    """

    coefficients: Array
    rank: NDArray[np.intp]
    empty: NDArray[np.bool_]
    tangled: NDArray[np.bool_]
    inverse_diagonal: Array


def solve(cc: Array, cy: Array, penalty: Array | None = None, cutoff: float = EIGENVALUE_CUTOFF) -> Solution:
    """Minimum-norm solution of ``(cc + penalty) B = cy`` on the correlation scale.

    Parameters
    ----------
    cc : (q, q), or (p, q, q) where every feature has its own
    cy : (q, p)
    penalty : (q, q), already multiplied (for a smooth term 2αΩ)
    """
    own = cc.ndim == 3
    q = cc.shape[-1]
    stacked = cc if own else cc[None]
    if penalty is not None:
        stacked = stacked + penalty
    diagonal = np.einsum("mkk->mk", stacked)
    # A column that is constant among a feature's own rows keeps a rounding remnant: compare with the fullest.
    floor = 1e-13 * diagonal.max(axis=0, initial=0.0) if own else np.zeros(q)
    empty = diagonal <= floor
    scale = np.sqrt(np.where(empty, 1.0, diagonal))
    correlation = np.where(empty[:, :, None] | empty[:, None, :], 0.0, stacked)
    correlation = correlation / (scale[:, :, None] * scale[:, None, :])
    values, vectors = np.linalg.eigh(correlation)
    kept = values > cutoff * np.maximum(values.max(axis=1, keepdims=True, initial=0.0), cutoff)
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    right = cy.T[:, :, None] if own else cy[None]
    right = np.where(empty[:, :, None], 0.0, right) / scale[:, :, None]
    rotated = inverse[:, :, None] * (np.swapaxes(vectors, 1, 2) @ right)
    solved = (vectors @ rotated) / scale[:, :, None]
    coefficients = solved[:, :, 0].T if own else solved[0]
    shares = np.where(kept[:, None, :], 0.0, np.abs(vectors)).max(axis=2, initial=0.0)
    inverse_diagonal = np.einsum("mki,mi,mki->mk", vectors, inverse, vectors) / scale**2
    return Solution(coefficients, kept.sum(axis=1), empty, ~empty & (shares > 0.1), inverse_diagonal)


def residual_squares(cc: Array, cy: Array, yy: Array, coefficients: Array) -> Array:
    """``yy − 2 Bᵀcy + Bᵀ cc B`` per feature, not below 0: the residual squares of any B, penalised too."""
    own = cc.ndim == 3
    fitted = np.einsum("jkl,lj->kj", cc, coefficients) if own else cc @ coefficients
    squares: Array = yy + np.einsum("kj,kj->j", coefficients, fitted - 2.0 * cy)
    return np.maximum(squares, 0.0)
