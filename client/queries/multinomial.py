"""Fits of multinomial regression, class 0 as reference: mirrored by server/methods/multinomial.py."""

import numpy as np
from scipy.special import logsumexp

from client.queries.problems import Contribution, One, Problems, sums_of
from client.queries.registry import query
from client.rows import Rows
from common.query import Answer


def length(rows: Rows, columns: int) -> int:
    """An intercept and a slope a column for every class but the reference."""
    return rows.study.lines() * (1 + columns)


@query(
    "multinomial",
    Problems,
    leaves="Per fold and set of columns: the log-likelihood at the current coefficients of every class, its gradient "
    "and, where they are asked, second derivatives.",
)
def multinomial(rows: Rows, parameters: Problems) -> Answer:
    """Σ log-likelihood, its gradient and negative second derivatives for every problem.

    Coefficients: the intercepts of the classes 1 … C − 1, then the slopes of class 1, of class 2, ….
    """
    return sums_of(rows, parameters, lambda columns: length(rows, columns), contribution)


def contribution(rows: Rows, one: One) -> Contribution:
    """What one problem adds."""
    others, columns = rows.study.lines(), one.matrix.shape[1]
    linear = one.beta[:others] + one.matrix @ one.beta[others:].reshape(others, columns).T
    normaliser = logsumexp(np.column_stack([np.zeros(len(linear)), linear]), axis=1)
    probability = np.exp(linear - normaliser[:, None])
    weight = probability * (1.0 - probability)
    for c in range(others):
        rows.refuse_weights_on_few_patients(weight[:, c])
    is_class = one.outcome[:, None] == np.arange(1, others + 1)
    likelihood = float((np.where(is_class, linear, 0.0).sum(axis=1) - normaliser).sum())
    residual = is_class - probability
    gradient = np.concatenate([residual.sum(axis=0), (residual.T @ one.matrix).ravel()])
    if not one.curved:
        return likelihood, gradient, np.zeros((0, 0))
    design = np.column_stack([np.ones(len(one.matrix)), one.matrix])
    full = np.zeros((others, 1 + columns, others, 1 + columns))
    for c in range(others):
        for d in range(c, others):
            between = weight[:, c] if c == d else -probability[:, c] * probability[:, d]
            full[c, :, d, :] = (design * between[:, None]).T @ design
            full[d, :, c, :] = full[c, :, d, :]  # a symmetric block
    square = full.reshape(others * (1 + columns), -1)
    place = np.arange(others * (1 + columns)).reshape(others, 1 + columns)
    order = np.concatenate([place[:, 0], place[:, 1:].ravel()])  # intercepts first
    return likelihood, gradient, square[np.ix_(order, order)]
