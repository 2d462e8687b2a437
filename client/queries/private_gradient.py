"""The gradient of a logistic model over clipped rows, with noise: mirrored by server/methods/private_logistic.py."""

import numpy as np

from client.noise import Release
from client.private import release_of
from client.queries.registry import Parameters, per_split, query
from client.rows import Rows
from client.view_rules import MAXIMUM_COEFFICIENT
from common.privacy_plan import clip_of, noise_of_gradient
from common.query import Answer

LONGEST = 1e100
"""Beyond it the length of a row would be infinite."""


class PrivateGradient(Parameters):
    """The current coefficients (splits × (1 + columns)), intercept first, and whether noise is added."""

    beta: per_split(-MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT, "1 + columns")  # type: ignore[valid-type]
    noise: bool = True


@query(
    "private_gradient",
    PrivateGradient,
    leaves="Per fold: the gradient of the log-likelihood over patients' rows of bounded length, with noise.",
)
def private_gradient(rows: Rows, parameters: PrivateGradient) -> Answer:
    """Σ x̃(y − p(x̃)) a split, x̃ = (1, z) shortened to the study's clip C: one patient changes it by C at most."""
    study, gradients = rows.study, []
    for split, (matrix, outcome), beta in zip(rows.query.splits, rows.tables(), parameters.beta, strict=True):
        columns = matrix.shape[1]
        release = release_of(rows, noise_of_gradient(study, split, columns), parameters.noise)
        gradients.append(noised_gradient(matrix, outcome, beta, clip_of(study, columns), release))
    return Answer(sums={"gradient": np.array(gradients)})


def noised_gradient(
    matrix: np.ndarray, outcome: np.ndarray, beta: np.ndarray, clip: float, release: Release
) -> np.ndarray:
    """The gradient at β, whatever the matrix holds."""
    design = np.column_stack([np.ones(len(matrix)), np.clip(np.nan_to_num(matrix), -LONGEST, LONGEST)])
    length = np.linalg.norm(design, axis=1, keepdims=True)
    clipped = design * np.minimum(1.0, clip / length)
    probability = 0.5 * (1.0 + np.tanh(0.5 * (clipped @ beta)))
    return release.total(clipped * (outcome - probability)[:, None])
