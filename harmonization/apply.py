"""The hospital's half of ComBat: with the published parameters it finishes alone.

``s = (y − grand − c·B)/σ``;  ``γ̂ = mean(s)``;  ``δ̂ = var(s, ddof=1)``;  shrunk to γ*, δ*;
``y* = (s − γ*)/√δ* · σ + grand + c·B``
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import Array, as_rows
from harmonization.empirical_bayes import BatchEffect, shrink, unchanged
from harmonization.neuroharmonize import apply_with_neuroharmonize, covers
from harmonization.parameters import CombatParameters, named
from harmonization.sums import centre_finite


def standardise(covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters) -> Array:
    """``(y − grand − c·B)/σ``, n×p. Zero for a feature that is not harmonised; missing cells are NaN."""
    c, y = _rows(covariates, features, parameters)
    changed = parameters.harmonised
    scale = np.sqrt(np.where(changed, parameters.variance, 1.0))
    s = np.where(changed, (y - _expected(c, parameters)) / scale, 0.0)
    return s


def estimate(covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters) -> BatchEffect:
    """γ and δ of one batch from its own rows (its training rows, or an unlabelled calibration set).

    Missing cells count per feature; rows with a missing covariate are left out. Nothing of the result leaves.
    """
    s = standardise(covariates, features, parameters)
    centred, n = centre_finite(s)
    gamma_hat = np.where(np.isfinite(s), s, 0.0).sum(axis=0) / np.maximum(n, 1.0)
    delta_hat = np.einsum("ij,ij->j", centred, centred) / np.maximum(n - 1.0, 1.0)
    groups = np.where(parameters.constant, -1, parameters.groups)
    return shrink(n, gamma_hat, delta_hat, parameters.settings, groups)


def harmonise(
    covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters, effect: BatchEffect
) -> Array:
    """The rows of one batch, harmonised: through neuroHarmonize where it covers the variant, else by `adjust`."""
    c, y = _rows(covariates, features, parameters)
    if covers(parameters, c) and len(y):
        return apply_with_neuroharmonize(c, y, parameters, effect)
    return adjust(c, y, parameters, effect)


def adjust(
    covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters, effect: BatchEffect
) -> Array:
    """``y* = (s − γ*)/√δ* · σ + grand + c·B``; what is not harmonised comes back as it was.

    A missing cell stays missing; a row with a missing covariate becomes missing in the harmonised features.
    """
    c, y = _rows(covariates, features, parameters)
    changed = parameters.harmonised & ~((effect.gamma == 0.0) & (effect.delta == 1.0))
    scale = np.sqrt(np.where(changed, parameters.variance, 1.0))
    expected = _expected(c, parameters)
    moved = ((y - expected) / scale - effect.gamma) / np.sqrt(effect.delta) * scale + expected
    return np.where(changed, moved, y)


def estimate_batches(
    covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters, batches: ArrayLike
) -> dict[Any, BatchEffect]:
    """`estimate` for every batch within the hospital (scanners), by its label."""
    c, y = as_rows(covariates, features)
    labels = np.asarray(batches)
    return {
        label: estimate(c[labels == label], y[labels == label], parameters) for label in np.unique(labels).tolist()
    }


def harmonise_batches(
    covariates: ArrayLike | None,
    features: ArrayLike,
    parameters: CombatParameters,
    batches: ArrayLike,
    effects: Mapping[Any, BatchEffect],
) -> tuple[Array, list[str]]:
    """Every row by its batch's effect, and what to report. A batch without an effect comes back unchanged."""
    c, y = as_rows(covariates, features)
    labels = np.asarray(batches)
    out, notes = np.empty_like(y), []
    for label in np.unique(labels).tolist():
        rows = labels == label
        effect = effects.get(label)
        if effect is None:
            notes.append(f"batch {label!r} was not in training: its {int(rows.sum())} row(s) are not harmonised")
            effect = unchanged(y.shape[1])
        out[rows] = harmonise(c[rows], y[rows], parameters, effect)
    return out, notes


def check_cells(covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters) -> list[str]:
    """What is missing in a table, in words for the hospital's own log; nothing of it stops the harmonisation."""
    c, y = as_rows(covariates, features)
    notes = []
    for table, names, words in (
        (c, parameters.covariate_names, "row(s) without a covariate, whose features stay missing"),
        (y, parameters.feature_names, "row(s) with a missing or infinite feature, which stays missing"),
    ):
        bad = ~np.isfinite(table)
        if bad.any():
            columns = np.flatnonzero(bad.any(axis=0))
            notes.append(f"{int(bad.any(axis=1).sum())} {words}: {named(columns, names)}")
    return notes


def _rows(covariates: ArrayLike | None, features: ArrayLike, parameters: CombatParameters) -> tuple[Array, Array]:
    c, y = as_rows(covariates, features)
    q, p = parameters.coefficients.shape
    if c.shape[1] != q or y.shape[1] != p:
        raise ValueError(
            f"the model was fitted on {q} covariates and {p} features; the table has {c.shape[1]} and {y.shape[1]}"
        )
    return np.where(np.isfinite(c), c, np.nan), np.where(np.isfinite(y), y, np.nan)


def _expected(c: Array, parameters: CombatParameters) -> Array:
    """grand + c·B; NaN in rows with a missing covariate."""
    incomplete = np.isnan(c).any(axis=1)
    expected: Array = parameters.grand_mean + np.where(incomplete[:, None], 0.0, c) @ parameters.coefficients
    expected[incomplete] = np.nan
    return expected
