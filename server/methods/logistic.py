"""Logistic regression, equal to the pooled fit: mirrored by client/queries/logistic.py.

Maximises Σ [yη − log(1 + e^η)] − penalty, η = β₀ + xᵀβ, on standardised columns; the intercept is free. The penalty
is λ·share‖β‖₁ + ½λ(1 − share)‖β‖² (λ is scikit-learn's 1/C). Rounds: 6–10 Newton steps for all folds together. What
leaves: per problem the log-likelihood, its gradient (1 + p) and the triangle of second derivatives ((1 + p)(2 + p)/2),
as masked totals. Exact: within 1e-8 of scikit-learn on the pooled rows (tests/server/test_fits.py).
"""

import numpy as np

from server.methods.family import Family

RAREST = 1e-6


def _null(likelihood: float, gradient: np.ndarray) -> np.ndarray:
    patients = -likelihood / np.log(2.0)
    share = np.clip(gradient / patients + 0.5, RAREST, 1 - RAREST)
    return np.log(share / (1 - share))


LOGISTIC = Family("logistic", start=np.zeros(1), null=_null)
