"""The proportional-odds model, equal to the pooled fit: mirrored by client/queries/ordinal.py.

Maximises Σ log[σ(θ_y − η) − σ(θ_(y−1) − η)] − penalty, η = xᵀβ on standardised columns, with thresholds θ_0 < … <
θ_(K−2) between the K levels, which are free; so P(y ≤ j) = σ(θ_j − η), and a positive coefficient speaks for higher
levels. The log-likelihood is concave; a step that would put thresholds out of order is halved before it is asked.
Rounds: 6–10 Newton steps for all folds together. What leaves: per problem the log-likelihood, its gradient (K − 1 +
p) and the triangle of second derivatives, as masked totals. Exact: within 1e-8 of statsmodels' OrderedModel on the
pooled rows (tests/server/test_fits.py).
"""

import numpy as np

from server.methods.family import Family

CLOSEST = 1e-6
"""Thresholds closer than this enclose a level that nobody has."""


def ordinal(classes: int) -> Family:
    """The family for a number of levels."""
    share = np.arange(1, classes) / classes
    start = np.log(share / (1 - share))

    def null(likelihood: float, gradient: np.ndarray) -> np.ndarray:
        patients = -likelihood / np.log(classes)
        falls = gradient / (share * (1 - share) * classes)  # n_j − n_(j+1)
        first = (patients + float((falls * np.arange(classes - 1, 0, -1)).sum())) / classes
        counts = np.maximum(first - np.concatenate([[0.0], np.cumsum(falls)]), 0.5)
        below = np.cumsum(counts)[:-1] / counts.sum()
        return np.log(below / (1 - below))

    return Family("ordinal", start=start, null=null, allowed=lambda beta: rising(beta[: classes - 1]))


def rising(thresholds: np.ndarray) -> bool:
    """Whether thresholds are in order."""
    return bool((np.diff(thresholds) > CLOSEST).all())
