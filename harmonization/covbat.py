"""CovBat: after ComBat, the hospitals' covariances are brought together too. doi:10.1002/hbm.25688

Three rounds after ComBat's own, all *masked totals*:

2. mean of the ComBat residuals ``e = (s − γ*)/√δ*``;
3. their p×p covariance, hence no more features than N/3 − 1 → principal components that explain 95 %;
4. the scores' spread within hospitals.

Each hospital then brings its scores on those components to mean 0 and the pooled spread, without empirical Bayes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from harmonization.apply import standardise
from harmonization.arrays import Array, Sums, batch_rows, centre, symmetric
from harmonization.empirical_bayes import TINY_VARIANCE, BatchEffect
from harmonization.parameters import CombatParameters


@dataclass(frozen=True)
class Components:
    """The principal components of the residuals: ``mean`` (p), ``scale`` (p), ``rotation`` (p×k)."""

    mean: Array
    scale: Array
    rotation: Array
    patients: float

    def scores(self, residuals: Array) -> Array:
        """The rows on the components, n×k."""
        scores: Array = ((residuals - self.mean) / self.scale) @ self.rotation
        return scores


@dataclass(frozen=True)
class ScoreEffect:
    """One hospital's location and scale of the scores (k); they stay in the hospital."""

    gamma: Array
    delta: Array


def residuals(
    covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters, effect: BatchEffect
) -> Array:
    """``(s − γ*)/√δ*`` of one batch, only the features that are harmonised: n×p'."""
    s = standardise(covariates, features, parameters)
    if not np.isfinite(s).all():
        raise ValueError("CovBat needs complete rows: impute the missing or infinite cells first")
    e: Array = ((s - effect.gamma) / np.sqrt(effect.delta))[:, parameters.harmonised]
    return e


def residual_crossproducts(rows: Array, mean: Array) -> Sums:
    """Round 3: ``n`` and ``ee`` = Σ (e − ē)(e − ē)ᵀ, upper triangle."""
    centred = rows - mean
    return {"n": np.array([float(len(rows))]), "ee": (centred.T @ centred)[np.triu_indices(rows.shape[1])]}


def components(total: Sums, mean: Array, *, explained: float = 0.95, standardised: bool = True) -> Components:
    """The fewest principal components that explain the given share of the residuals' variance.

    ``standardised``: of the correlation matrix, as CovBat's own default (``std.var = TRUE``).
    """
    n, p = float(total["n"][0]), len(mean)
    covariance = symmetric(total["ee"], p) / (n - 1.0)
    scale = np.sqrt(np.diagonal(covariance)) if standardised else np.ones(p)
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    k = min(int(np.searchsorted(share, explained - 1e-12)) + 1, p)
    return Components(mean, scale, vectors[:, :k].copy(), n)


def score_sums(scores: Array, batches: ArrayLike | None = None) -> Sums:
    """Round 4: ``n`` and ``zz`` = Σ (z − z̄ of the batch)² of the scores, (k); their pooled variance is Σzz / N."""
    squares = np.zeros(scores.shape[1])
    for batch in batch_rows(batches, len(scores)):
        squares += (centre(scores[batch]) ** 2).sum(axis=0)
    return {"n": np.array([float(len(scores))]), "zz": squares}


def estimate_scores(rows: Array, basis: Components, variance: Array) -> ScoreEffect:
    """γ̂ and δ̂ of one batch's scores; scale is left alone where a score does not vary or there is one patient."""
    s = basis.scores(rows) / np.sqrt(np.where(variance > 0, variance, 1.0))
    delta = s.var(axis=0, ddof=1) if len(s) > 1 else np.ones(s.shape[1])
    return ScoreEffect(s.mean(axis=0), np.where(delta > TINY_VARIANCE, delta, 1.0))


def harmonise_covariance(
    covariates: ArrayLike | None,
    features: ArrayLike,
    parameters: CombatParameters,
    effect: BatchEffect,
    basis: Components,
    variance: Array,
    scores: ScoreEffect,
) -> Array:
    """ComBat and then CovBat for the rows of one batch.

    ``z* = (z/σ_z − γ̂_z)/√δ̂_z · σ_z``;  ``e* = e + (z* − z) Vᵀ · scale``;  ``y* = y + (e* − s) σ``
    """
    y = np.asarray(features, dtype=np.float64)
    changed = parameters.harmonised
    e = residuals(covariates, y, parameters, effect)
    z = basis.scores(e)
    sigma_z = np.sqrt(np.where(variance > 0, variance, 1.0))
    z_star = (z / sigma_z - scores.gamma) / np.sqrt(scores.delta) * sigma_z
    e_star = e + ((z_star - z) @ basis.rotation.T) * basis.scale
    s = standardise(covariates, y, parameters)[:, changed]
    out = y.copy()
    out[:, changed] += (e_star - s) * np.sqrt(parameters.variance[changed])
    return out
