"""The outcome must not be a preserved covariate: harmonising with it writes it into the features.

Measured on an outcome without any signal: AUC 0.66 harmonised in-fold with the outcome as covariate, 0.55 without.
"""

import numpy as np
from numpy.typing import ArrayLike

from harmonization.arrays import as_table


def outcome_in_disguise(covariates: ArrayLike, names: list[str], outcome: ArrayLike) -> list[str]:
    """The covariates that equal the outcome here, as it stands, reversed or rescaled (|r| = 1 to rounding).

    A hospital checks its own rows before it answers; every column of the outcome in turn.
    """
    table = as_table(covariates, "covariates")
    y = np.asarray(outcome, dtype=np.float64)
    found = []
    for k, name in enumerate(names):
        both = np.isfinite(table[:, k]) & np.isfinite(y)
        if both.sum() < 3:
            continue
        a, b = table[both, k], y[both]
        a, b = a - a.mean(), b - b.mean()
        product = float(np.sqrt((a @ a) * (b @ b)))
        if product > 0 and abs(a @ b) >= (1.0 - 1e-9) * product:
            found.append(name)
    return found
