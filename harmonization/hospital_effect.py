"""Does a feature still tell the hospital? ANOVA and Brown–Forsythe, exact from one total.

A hospital's means enter as Σ n_h m_h mᵀ_h over hospitals, a masked total. (With three hospitals in all, one
of them could work out the other two's means from it, though not whose is whose: means, never a patient.)

Ask on rows that were not fitted: on the rows that ComBat was fitted on, F is zero by construction. And ask fold by
fold: over all folds together the corrections average to the hospitals' own means, and F is near zero again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

from harmonization.arrays import Array, Sums, as_rows, batch_rows, symmetric
from harmonization.least_squares import residual_squares, solve
from harmonization.sums import combat_sums


class NothingToTest(ValueError):
    """As many batches and covariates as patients: no degree of freedom is left."""


@dataclass(frozen=True)
class HospitalEffect:
    """Per feature (p): the hospitals' F test and the share of variance they explain beyond the covariates.

    ``eta_squared`` is the raw (partial) share, ``omega_squared`` its unbiased form: around 0 without an effect.
    """

    f: Array
    p_value: Array
    eta_squared: Array
    omega_squared: Array
    patients: float
    batches: int

    def share(self, level: float = 0.05) -> float:
        """Share of features with p under ``level``."""
        return float(np.mean(self.p_value < level)) if len(self.p_value) else 0.0


def effect_sums(
    features: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    batches: ArrayLike | None = None,
    offset_covariates: ArrayLike | None = None,
    offset_features: ArrayLike | None = None,
) -> Sums:
    """`harmonization.sums.combat_sums`, plus the batches' means in the form that adds.

    ``batches`` = number of batches with rows, (1,); with c̄_b, ȳ_b their means about the offsets:
    ``between_cc`` = Σ_b n_b c̄_b c̄_bᵀ (upper triangle), ``between_cy`` (q×p), ``between_yy`` = Σ_b n_b ȳ_b² (p).
    """
    c, y = as_rows(covariates, features)
    o_c = np.zeros(c.shape[1]) if offset_covariates is None else np.asarray(offset_covariates, dtype=np.float64)
    o_y = np.zeros(y.shape[1]) if offset_features is None else np.asarray(offset_features, dtype=np.float64)
    sums = combat_sums(c - o_c, y - o_y, batches=batches)
    groups = [rows for rows in batch_rows(batches, len(y)) if len(rows)]
    root = np.sqrt([len(rows) for rows in groups])[:, None]
    c_means = np.array([c[rows].mean(axis=0) - o_c for rows in groups]).reshape(len(groups), len(o_c)) * root
    y_means = np.array([y[rows].mean(axis=0) - o_y for rows in groups]).reshape(len(groups), len(o_y)) * root
    sums["batches"] = np.array([float(len(groups))])
    sums["between_cc"] = (c_means.T @ c_means)[np.triu_indices(c.shape[1])]
    sums["between_cy"] = c_means.T @ y_means
    sums["between_yy"] = np.einsum("ij,ij->j", y_means, y_means)
    return sums


def hospital_effect(total: Sums) -> HospitalEffect:
    """The F test of "all hospitals alike", given the covariates, from the total of `effect_sums`.

    ``F = [(RSS₀ − RSS₁)/d] / [RSS₁/(N − k − rank)]``: RSS₁ of the regression with a mean per batch, RSS₀ with one.
    Without covariates this is the one-way ANOVA.
    """
    n, k = float(total["n"][0]), round(float(total["batches"][0]))
    q = total["cy"].shape[0]
    c_mean, y_mean = total["c"] / n, total["y"] / n
    within = symmetric(total["cc"], q)
    inside = solve(within, total["cy"])
    rss_within = residual_squares(within, total["cy"], total["yy"], inside.coefficients)
    overall = within + symmetric(total["between_cc"], q) - n * np.outer(c_mean, c_mean)
    cy = total["cy"] + total["between_cy"] - n * np.outer(c_mean, y_mean)
    between_yy = total["between_yy"] - n * y_mean**2
    between_yy = np.where(between_yy > 1e-14 * total["between_yy"], between_yy, 0.0)  # else a rounding remnant
    yy = total["yy"] + between_yy
    across = solve(overall, cy)
    rss_overall = residual_squares(overall, cy, yy, across.coefficients)
    # A covariate that is constant within hospitals already explains some of their differences.
    between = k - 1 - int(across.rank[0] - inside.rank[0])
    left = int(n) - k - int(inside.rank[0])
    if between < 1 or left < 1:
        raise NothingToTest(f"{k} batches, {int(n)} patients and {q} covariates leave no hospital effect to test")
    explained = np.maximum(rss_overall - rss_within, 0.0)
    noise = rss_within / left
    varies = rss_overall > 1e-13 * np.maximum(yy, np.finfo(float).tiny)
    safe = np.where(noise > 0, noise, 1.0)
    f = np.where(varies, np.where(noise > 0, explained / between / safe, np.inf), 0.0)
    whole = np.where(varies, rss_overall, 1.0)
    return HospitalEffect(
        f=f,
        p_value=f_distribution.sf(f, between, left),
        eta_squared=np.where(varies, explained / whole, 0.0),
        omega_squared=np.where(varies, (explained - between * noise) / (whole + noise), 0.0),
        patients=n,
        batches=k,
    )


def distance_from_median(features: ArrayLike, batches: ArrayLike | None = None) -> Array:
    """``|x − median of its batch|``: `effect_sums` of it gives the Brown–Forsythe test. The medians stay here."""
    _, y = as_rows(None, features)
    out = np.empty_like(y)
    for rows in batch_rows(batches, len(y)):
        out[rows] = np.abs(y[rows] - np.median(y[rows], axis=0))
    return out
