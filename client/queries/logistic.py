"""One Newton step of logistic regression: mirrored by server/methods/logistic.py."""

import numpy as np

from client.queries.registry import Parameters, per_split, query
from client.rows import Rows
from client.view_rules import MAXIMUM_COEFFICIENT
from common.query import Answer


class Logistic(Parameters):
    """The current coefficients (splits × (1 + columns)), intercept first, on the view's columns."""

    beta: per_split(-MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT, "1 + columns")  # type: ignore[valid-type]


@query(
    "logistic",
    Logistic,
    leaves="Per fold: the log-likelihood at the current coefficients, its gradient and second derivatives.",
)
def logistic(rows: Rows, parameters: Logistic) -> Answer:
    """Σ log-likelihood, ΣXᵀ(y − p) and the upper triangle of ΣXᵀWX, W = p(1 − p), for every split."""
    likelihood, gradient, hessian = [], [], []
    for (matrix, outcome), beta in zip(rows.tables(), parameters.beta, strict=True):
        design = np.column_stack([np.ones(len(matrix)), matrix])
        value, slope, curvature = logistic_sums(rows, design, outcome, beta)
        likelihood.append(value)
        gradient.append(slope)
        hessian.append(curvature)
    return Answer(
        sums={"likelihood": np.array(likelihood), "gradient": np.array(gradient), "hessian": np.array(hessian)}
    )


def logistic_sums(
    rows: Rows, design: np.ndarray, outcome: np.ndarray, beta: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient and packed Hessian of a logistic model at β; refuses weights on few patients."""
    linear = design @ beta
    probability = 0.5 * (1.0 + np.tanh(0.5 * linear))
    weight = probability * (1.0 - probability)
    rows.refuse_weights_on_few_patients(weight)
    likelihood = float((outcome * linear - np.logaddexp(0.0, linear)).sum())
    curvature = (design * weight[:, None]).T @ design
    return likelihood, design.T @ (outcome - probability), curvature[np.triu_indices(design.shape[1])]
