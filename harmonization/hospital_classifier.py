"""Can a classifier tell the hospital? Each hospital against the rest, by Fisher's discriminant, on held-out rows.

No hospital's means leave it. The coordinator publishes totals over all hospitals; each hospital takes its own
rows off them, so it knows itself and the rest, and only n·AUC leaves, summed and masked. What leaves, per row set:
``n``, Σx, Σxxᵀ over k columns (k ≤ N/3 − 1: take the features with the largest F). Exact up to one assumption:
scores are normal within each side, ``AUC = Φ((μ₁ − μ₀)/√(v₁ + v₀))``.

0.5 is not the mark to reach: compare with `permutation_null`, and with the classifier on the covariates alone.
"""

from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from harmonization.arrays import Array, Sums, as_table, symmetric
from harmonization.least_squares import solve


def separation_sums(rows: ArrayLike, offset: ArrayLike | None = None) -> Sums:
    """``n``, ``x`` = Σx (k), ``xx`` = Σxxᵀ (upper triangle) about a public offset near the mean."""
    x = as_table(rows, "columns of the classifier")
    if offset is not None:
        x = x - np.asarray(offset, dtype=np.float64)
    return {"n": np.array([float(len(x))]), "x": x.sum(axis=0), "xx": (x.T @ x)[np.triu_indices(x.shape[1])]}


def separation(own_train: Sums, train: Sums, own_test: Sums, test: Sums) -> float:
    """One hospital's AUC against the rest on held-out rows, at the hospital, from its own sums and the totals.

    ``w = S⁻¹ (m_own − m_rest)`` on the training rows, S the covariance of all; means and variances of the scores
    ``w·x`` on the held-out rows. 0.5 where one side is empty.
    """
    rest_train = {key: train[key] - own_train[key] for key in train}
    rest_test = {key: test[key] - own_test[key] for key in test}
    if min(own_train["n"][0], rest_train["n"][0], own_test["n"][0], rest_test["n"][0]) < 2:
        return 0.5
    _, covariance = _moments(train)
    w = _direction(covariance, (_moments(own_train)[0] - _moments(rest_train)[0])[:, None])[:, 0]
    (own_mean, own_covariance), (rest_mean, rest_covariance) = _moments(own_test), _moments(rest_test)
    spread = max(float(w @ (own_covariance + rest_covariance) @ w), 0.0)
    return float(ndtr(w @ (own_mean - rest_mean) / np.sqrt(spread))) if spread > 0 else 0.5


def separation_answer(auc: float, patients: Array) -> Sums:
    """What leaves: ``n``, the held-out patients, and ``weighted`` = n · AUC."""
    return {"n": patients, "weighted": patients * auc}


def mean_separation(total: Sums) -> float:
    """The hospitals' mean AUC, by patients."""
    return float(total["weighted"][0] / total["n"][0])


def permutation_null(
    train: Sums, test: Sums, patients_train: ArrayLike, patients_test: ArrayLike, draws: int = 500, seed: int = 0
) -> Array:
    """Mean AUC if rows fell to hospitals by chance, from totals and the hospitals' n alone.

    Under permuted labels a hospital's mean is normal about the overall mean with covariance S/n (central limit
    theorem): so hospitals' means are drawn, on training and held-out rows, and classified as in `separation`.
    """
    rng = np.random.default_rng(seed)
    n, m = (np.asarray(a, dtype=np.float64) for a in (patients_train, patients_test))
    _, covariance = _moments(train)
    _, covariance_test = _moments(test)
    shape = (draws, len(n), len(covariance))
    means = rng.standard_normal(shape) @ _root(covariance).T / np.sqrt(n)[:, None]
    held_out = rng.standard_normal(shape) @ _root(covariance_test).T / np.sqrt(m)[:, None]
    w = _against_rest(means, n) @ _direction(covariance, np.eye(len(covariance))).T
    contrast = np.einsum("dhk,dhk->dh", _against_rest(held_out, m), w)
    spread = 2.0 * np.einsum("dhk,dhk->dh", w @ covariance_test, w)
    out: Array = ndtr(contrast / np.sqrt(np.where(spread > 0, spread, 1.0))) @ (m / m.sum())
    return out


def packed(sums: Sums) -> Array:
    """`separation_sums` as one row of numbers: n, x, xx."""
    return np.concatenate([sums["n"], sums["x"], sums["xx"]])


def unpacked(row: Array) -> Sums:
    """The sums of a row that `packed` made; its length 1 + k + k(k+1)/2 tells k."""
    k = (isqrt(8 * len(row) + 1) - 3) // 2
    if 1 + k + k * (k + 1) // 2 != len(row):
        raise ValueError(f"{len(row)} numbers are no sums of a classifier: expected 1 + k + k(k+1)/2 of them")
    return {"n": row[:1], "x": row[1 : 1 + k], "xx": row[1 + k :]}


def strongest(f: Array, allowed: int, at_most: int = 30) -> NDArray[np.intp]:
    """The columns with the largest F, as many as a cross-product over the training patients may cover; one at least."""
    k = max(min(allowed, at_most, len(f)), 1)
    return np.sort(np.argsort(-f, kind="stable")[:k])


def _moments(sums: Sums) -> tuple[Array, Array]:
    n, k = float(sums["n"][0]), len(sums["x"])
    mean = sums["x"] / n
    covariance: Array = symmetric(sums["xx"], k) / n - np.outer(mean, mean)
    return mean, covariance


def _direction(covariance: Array, contrast: Array) -> Array:
    return solve(covariance, contrast).coefficients


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _against_rest(means: Array, n: Array) -> Array:
    """Each hospital's mean minus that of all the others; hospitals are the last axis but one."""
    weighted = means * n[:, None]
    rest = (weighted.sum(axis=-2, keepdims=True) - weighted) / (n.sum() - n)[:, None]
    contrast: Array = means - rest
    return contrast
