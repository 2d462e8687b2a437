"""One Newton step of calibration slope and intercept: mirrored by server/evaluation/calibration.py."""

import numpy as np
from pydantic import ValidationInfo, field_validator

from client.queries.logistic import logistic_sums
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from client.view_bounds import MAXIMUM_COEFFICIENT
from common.query import Answer


class Recalibration(Parameters):
    """The current intercept and slope (schemes × 2) of outcome on held-out linear predictor."""

    schemes: Schemes
    beta: bounded_array(2, -MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT)  # type: ignore[valid-type]

    @field_validator("beta")
    @classmethod
    def _a_pair_a_scheme(cls, beta: np.ndarray, info: ValidationInfo) -> np.ndarray:
        expected = (len(info.data.get("schemes", ())), 2)
        if beta.shape != expected:
            raise ValueError(f"found the shape {beta.shape}, expected {expected}")
        return beta


@query(
    "recalibration",
    Recalibration,
    leaves="Log-likelihood, gradient and second derivatives of the two-number recalibration of the predictions.",
)
def recalibration(rows: Rows, parameters: Recalibration) -> Answer:
    """The (weighted) sums of a logistic regression on [1, held-out linear predictor], for every scheme."""
    schemes = len(parameters.schemes)
    likelihood, gradient, hessian = np.zeros(schemes), np.zeros((schemes, 2)), np.zeros((schemes, 3))
    for index, (scheme, beta) in enumerate(zip(parameters.schemes, parameters.beta, strict=True)):
        score, outcome = rows.scores(scheme)
        weight = rows.weights(scheme)
        if weight is not None:
            score, outcome, weight = (values[weight > 0] for values in (score, outcome, weight))
        design = np.column_stack([np.ones(len(score)), score])
        likelihood[index], gradient[index], curvature = logistic_sums(rows, design, outcome, beta, prior=weight)
        hessian[index] = curvature[np.triu_indices(2)]
    return Answer(sums={"likelihood": likelihood, "gradient": gradient, "hessian": hessian})
