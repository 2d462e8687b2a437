"""Fits of the proportional-odds model: mirrored by server/methods/ordinal.py."""

import numpy as np

from client.queries.problems import Contribution, One, Problems, sums_of
from client.queries.registry import query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer


def length(rows: Rows, columns: int) -> int:
    """A threshold for every level but the highest, and a slope a column."""
    return rows.study.lines() + columns


@query(
    "ordinal",
    Problems,
    leaves="Per fold and set of columns: the log-likelihood at the current thresholds and coefficients, its gradient "
    "and, where they are asked, second derivatives.",
)
def ordinal(rows: Rows, parameters: Problems) -> Answer:
    """Σ log-likelihood of P(y ≤ j) = σ(θ_j − xᵀβ), its gradient and negative second derivatives for every problem.

    Coefficients: the thresholds θ of all classes but the highest, rising, then the slopes β.
    """
    return sums_of(rows, parameters, lambda columns: length(rows, columns), contribution)


def contribution(rows: Rows, one: One) -> Contribution:
    """What one problem adds: log[σ(u) − σ(l)] = log σ(u) + log σ(−l) + log(1 − e^(l − u)), u and l the two thresholds
    around the class, less the linear predictor; the last term knows thresholds alone."""
    count = rows.study.lines()
    theta, columns = one.beta[:count], one.matrix.shape[1]
    if (np.diff(theta) <= 0).any():
        raise HospitalError(Code.BAD_PARAMETERS, f"query {rows.query.name!r}: the thresholds do not rise")
    beyond = theta - (one.matrix @ one.beta[count:])[:, None]
    below = 0.5 * (1.0 + np.tanh(0.5 * beyond))  # σ(θ_j − η)
    density = below * (1.0 - below)
    for j in range(count):
        rows.refuse_weights_on_few_patients(density[:, j])
    level = one.outcome.astype(np.int64)
    at = np.arange(count)
    upper, lower = level[:, None] == at, level[:, None] == at + 1
    gap = np.diff(theta)
    inner = np.bincount(level, minlength=count + 1)[1:count]  # patients between two thresholds
    likelihood = float(
        -np.where(upper, np.logaddexp(0.0, -beyond), 0.0).sum()
        - np.where(lower, np.logaddexp(0.0, beyond), 0.0).sum()
        + (inner * np.log(-np.expm1(-gap))).sum()
    )
    pull = np.where(upper, 1.0 - below, 0.0) - np.where(lower, below, 0.0)
    gradient = np.concatenate([pull.sum(axis=0), -(pull.sum(axis=1) @ one.matrix)])
    open_gap = -np.expm1(-gap)
    push = inner * np.exp(-gap) / open_gap  # of two neighbouring thresholds from each other
    gradient[1:count] += push
    gradient[: count - 1] -= push
    if not one.curved:
        return likelihood, gradient, np.zeros((0, 0))
    weight = np.where(upper | lower, density, 0.0)
    curvature = np.zeros((count + columns, count + columns))
    curvature[at, at] = weight.sum(axis=0)
    stiffness = inner * np.exp(-gap) / open_gap**2
    curvature[at[1:], at[1:]] += stiffness
    curvature[at[:-1], at[:-1]] += stiffness
    curvature[at[1:], at[:-1]] = curvature[at[:-1], at[1:]] = -stiffness
    curvature[:count, count:] = -(weight.T @ one.matrix)
    curvature[count:, :count] = curvature[:count, count:].T
    curvature[count:, count:] = (one.matrix * weight.sum(axis=1)[:, None]).T @ one.matrix
    return likelihood, gradient, curvature
