"""ComBat over batch levels that several hospitals share (vendor, kernel): three rounds of sums a variable.

1. per level n, Σc, Σy → the level's means, published;
2. cross-products centred on those means → B, grand mean, σ² by `harmonization.fit.fit`;
3. per level Σ (s − γ̂)² → δ̂; γ*, δ* of the levels are worked out by the coordinator and published.

Every figure is a total over hospitals. Nested variables are taken one after the other: harmonise by the
first, then ask again with the harmonised features for the second. Exact: as pooled, with the level as batch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harmonization.apply import standardise
from harmonization.arrays import Array, Sums, as_rows
from harmonization.empirical_bayes import BatchEffect, shrink
from harmonization.parameters import CombatParameters


@dataclass(frozen=True)
class LevelMeans:
    """What round 1 published: n (levels), mean covariates (levels×q) and mean features (levels×p)."""

    patients: Array
    covariates: Array
    features: Array


def level_sums(
    covariates: ArrayLike | None,
    features: ArrayLike,
    levels: ArrayLike,
    n_levels: int,
    *,
    offset_covariates: ArrayLike | None = None,
    offset_features: ArrayLike | None = None,
) -> Sums:
    """Round 1, per level: ``n`` (levels), ``c`` (levels×q), ``y`` (levels×p)."""
    c, y, level = _coded(covariates, features, levels, n_levels)
    if offset_covariates is not None:
        c = c - np.asarray(offset_covariates, dtype=np.float64)
    if offset_features is not None:
        y = y - np.asarray(offset_features, dtype=np.float64)
    member = _membership(level, n_levels)
    return {"n": member.sum(axis=0), "c": member.T @ c, "y": member.T @ y}


def level_means(
    total: Sums, *, offset_covariates: ArrayLike | None = None, offset_features: ArrayLike | None = None
) -> LevelMeans:
    """The means of every level from the total of round 1; a level without patients has the offset for its mean."""
    n = np.maximum(total["n"], 1.0)[:, None]
    o_c = 0.0 if offset_covariates is None else np.asarray(offset_covariates, dtype=np.float64)
    o_y = 0.0 if offset_features is None else np.asarray(offset_features, dtype=np.float64)
    return LevelMeans(total["n"], total["c"] / n + o_c, total["y"] / n + o_y)


def level_crossproducts(
    covariates: ArrayLike | None,
    features: ArrayLike,
    levels: ArrayLike,
    means: LevelMeans,
    *,
    offset_covariates: ArrayLike | None = None,
    offset_features: ArrayLike | None = None,
) -> Sums:
    """Round 2: the sums of `harmonization.sums.combat_sums`, centred on the levels' means over all hospitals."""
    c, y, level = _coded(covariates, features, levels, len(means.patients))
    c0, y0 = c - means.covariates[level], y - means.features[level]
    o_c = 0.0 if offset_covariates is None else np.asarray(offset_covariates, dtype=np.float64)
    o_y = 0.0 if offset_features is None else np.asarray(offset_features, dtype=np.float64)
    return {
        "n": np.array([float(len(y))]),
        "c": (c - o_c).sum(axis=0),
        "y": (y - o_y).sum(axis=0),
        "cc": (c0.T @ c0)[np.triu_indices(c.shape[1])],
        "cy": c0.T @ y0,
        "yy": np.einsum("ij,ij->j", y0, y0),
    }


def level_gamma_hat(means: LevelMeans, parameters: CombatParameters) -> Array:
    """γ̂ of every level (levels×p): the standardised level means; needs no row."""
    return standardise(means.covariates, means.features, parameters)


def level_spread_sums(
    covariates: ArrayLike | None,
    features: ArrayLike,
    levels: ArrayLike,
    means: LevelMeans,
    parameters: CombatParameters,
) -> Sums:
    """Round 3: ``ss`` = Σ (s − γ̂)² per level, levels×p."""
    c, y, level = _coded(covariates, features, levels, len(means.patients))
    distance = standardise(c, y, parameters) - level_gamma_hat(means, parameters)[level]
    return {"ss": _membership(level, len(means.patients)).T @ distance**2}


def level_effects(total: Sums, means: LevelMeans, parameters: CombatParameters) -> dict[int, BatchEffect]:
    """γ*, δ* of every level that has patients, for `harmonization.apply.harmonise_batches`."""
    gamma_hat = level_gamma_hat(means, parameters)
    groups = np.where(parameters.constant, -1, parameters.groups)
    effects = {}
    for level, n in enumerate(means.patients):
        if n > 0:
            delta_hat = total["ss"][level] / max(n - 1.0, 1.0)
            patients = np.full(len(groups), n)
            effects[level] = shrink(patients, gamma_hat[level], delta_hat, parameters.settings, groups)
    return effects


def _coded(
    covariates: ArrayLike | None, features: ArrayLike, levels: ArrayLike, n_levels: int
) -> tuple[Array, Array, NDArray[np.intp]]:
    c, y = as_rows(covariates, features)
    if not (np.isfinite(c).all() and np.isfinite(y).all()):
        raise ValueError("shared batch levels need complete rows: impute the missing or infinite cells first")
    level = np.asarray(levels, dtype=np.intp)
    if level.shape != (len(y),) or (len(level) and (level.min() < 0 or level.max() >= n_levels)):
        raise ValueError(f"levels: expected {len(y)} whole numbers from 0 to {n_levels - 1}, one a row")
    return c, y, level


def _membership(level: NDArray[np.intp], n_levels: int) -> Array:
    member: Array = (level[:, None] == np.arange(n_levels)).astype(np.float64)
    return member
