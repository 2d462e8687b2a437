"""neuroHarmonize's `harmonizationApply` with a model of one hospital, built from the federated parameters.

neuroHarmonize's own model holds every patient's covariates and every hospital's γ, δ; it must never leave a
hospital. The model here is made where it is used, holds this hospital's effect alone, and is thrown away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmonization.arrays import Array
from harmonization.empirical_bayes import BatchEffect
from harmonization.parameters import CombatParameters

HOSPITAL = "hospital"


def single_precision(covariates: Array) -> Array:
    """Covariates as neuroHarmonize sees them: its linear mode rounds to float32. Do so before sums are formed."""
    rounded: Array = np.asarray(covariates, dtype=np.float32).astype(np.float64)
    return rounded


def covers(parameters: CombatParameters, covariates: Array) -> bool:
    """Whether neuroHarmonize has this variant: parametric or no empirical Bayes, scale too, linear covariates.

    Covariates that float32 would change (spline columns) are kept from it: what was fitted is what is applied.
    """
    settings = parameters.settings
    exact = bool(np.array_equal(single_precision(covariates), covariates, equal_nan=True))
    return settings.parametric and not settings.mean_only and not parameters.reference and exact


def one_hospital_model(
    parameters: CombatParameters, effect: BatchEffect, changed: NDArray[np.bool_]
) -> dict[str, Any]:
    """The dictionary that `harmonizationApply` expects, for the features that are to be changed."""
    variance, grand = parameters.variance[changed], parameters.grand_mean[changed]
    own_row = grand + effect.gamma_hat[changed] * np.sqrt(variance)
    return {
        "SITE_labels": np.array([HOSPITAL], dtype=object),
        "B_hat": np.vstack([own_row, parameters.coefficients[:, changed]]),
        "stand_mean": grand[:, None],
        "var_pooled": variance[:, None],
        "gamma_star": effect.gamma[None, changed],
        "delta_star": effect.delta[None, changed],
        "info_dict": {"ref_level": None},
        "smooth_model": {"perform_smoothing": False, "smooth_terms": [], "smooth_cols": []},
    }


def apply_with_neuroharmonize(
    covariates: Array, features: Array, parameters: CombatParameters, effect: BatchEffect
) -> Array:
    """The rows of one batch through `harmonizationApply`; what is not harmonised comes back as it was."""
    # Slow to import (statsmodels, nibabel) and only a hospital needs it.
    import pandas as pd
    from neuroHarmonize.harmonizationApply import harmonizationApply

    changed = parameters.harmonised & ~((effect.gamma == 0.0) & (effect.delta == 1.0))
    out = features.copy()
    if not changed.any():
        return out
    columns: dict[str, Any] = {"SITE": np.full(len(features), HOSPITAL, dtype=object)}
    columns |= {f"c{k}": covariates[:, k] for k in range(covariates.shape[1])}
    model = one_hospital_model(parameters, effect, changed)
    out[:, changed] = harmonizationApply(features[:, changed], pd.DataFrame(columns), model)
    return out
