"""Fits of logistic regression: mirrored by server/methods/logistic.py."""

import numpy as np

from client.queries.problems import Contribution, One, Problems, sums_of
from client.queries.registry import query
from client.rows import Rows
from common.query import Answer


def length(columns: int) -> int:
    """An intercept and a slope a column."""
    return 1 + columns


@query(
    "logistic",
    Problems,
    leaves="Per fold and set of columns: the log-likelihood at the current coefficients, its gradient and, where "
    "they are asked, second derivatives.",
)
def logistic(rows: Rows, parameters: Problems) -> Answer:
    """Σ w·log-likelihood, ΣXᵀw(y − p) and the upper triangle of ΣXᵀWX, W = wp(1 − p), for every problem.

    w is 1, or for how many patients one stands whose outcome at a horizon is known (client/horizon.py).
    """
    return sums_of(rows, parameters, length, contribution)


def contribution(rows: Rows, one: One) -> Contribution:
    """What one problem adds."""
    design = np.column_stack([np.ones(len(one.matrix)), one.matrix])
    return logistic_sums(rows, design, one.outcome, one.beta, curved=one.curved, prior=one.weight)


def logistic_sums(
    rows: Rows,
    design: np.ndarray,
    outcome: np.ndarray,
    beta: np.ndarray,
    *,
    curved: bool = True,
    prior: np.ndarray | None = None,
) -> Contribution:
    """Log-likelihood, gradient and negative Hessian of a logistic model; refuses weights on few patients.

    Parameters
    ----------
    prior
        For how many patients each one stands; None: for itself.
    """
    stands_for = np.ones(len(outcome)) if prior is None else prior
    linear = design @ beta
    probability = 0.5 * (1.0 + np.tanh(0.5 * linear))
    weight = stands_for * probability * (1.0 - probability)
    for weights in (stands_for, weight):
        rows.refuse_weights_on_few_patients(weights)
    likelihood = float(stands_for @ (outcome * linear - np.logaddexp(0.0, linear)))
    curvature = (design * weight[:, None]).T @ design if curved else np.zeros((0, 0))
    return likelihood, design.T @ (stands_for * (outcome - probability)), curvature
