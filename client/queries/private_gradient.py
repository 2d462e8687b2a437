"""The gradient of a logistic model over clipped rows, with noise: mirrored by server/methods/private_logistic.py."""

import numpy as np

from client.noise import Release, release_of
from client.queries.registry import Parameters, per_split, query
from client.rows import Rows
from client.view_bounds import MAXIMUM_COEFFICIENT
from common.errors import Code, HospitalError
from common.privacy_plan import clip_of, noise_of_gradient
from common.query import Answer

MOST_WEIGHTS = 20_000
"""Of a network: rounding so many numbers to the noise's grid stays within what the plan of the noise allows for."""
LONGEST = 1e100
"""Beyond it the length of a row would be infinite."""


class PrivateGradient(Parameters):
    """The current coefficients, splits × (1 + columns), intercept first, or × a network's weights; whether noise."""

    beta: per_split(-MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT, None)  # type: ignore[valid-type]
    noise: bool = True


@query(
    "private_gradient",
    PrivateGradient,
    leaves="Per fold: the gradient of the log-likelihood over patients' rows of bounded length (of a network: over "
    "patients' gradients of bounded length), with noise.",
)
def private_gradient(rows: Rows, parameters: PrivateGradient) -> Answer:
    """Σ x̃(y − p(x̃)) a split, x̃ = (1, z) shortened to the study's clip C: one patient changes it by C at most.

    A network: Σ gᵢ, each patient's gradient shortened to C.
    """
    study, gradients = rows.study, []
    _refuse_another_width(rows, parameters.beta.shape[1])
    for split, (matrix, outcome), beta in zip(rows.query.splits, rows.tables(), parameters.beta, strict=True):
        columns = matrix.shape[1]
        release = release_of(rows, noise_of_gradient(study, split, columns), parameters.noise)
        clip = clip_of(study, columns)
        if study.network is None:
            gradients.append(noised_gradient(matrix, outcome, beta, clip, release))
            continue
        from client.networks.patient_gradients import patient_gradients  # PyTorch, where a study has a network

        gradients.append(release.total(patient_gradients(study, _bounded(matrix), outcome, beta, clip)))
    return Answer(sums={"gradient": np.array(gradients)})


def _refuse_another_width(rows: Rows, found: int) -> None:
    """Refuse what is no coefficient a column, or no weights of the study's network."""
    columns = rows.width() or 0
    expected = 1 + columns
    if rows.study.network is not None:
        from common.networks.build import size

        expected = size(rows.study, max(1, columns))
        if expected > MOST_WEIGHTS:
            raise HospitalError(
                Code.BAD_PARAMETERS,
                f"query 'private_gradient': {expected} weights; with noise {MOST_WEIGHTS} at most: take fewer hidden "
                "units",
            )
    if found != expected:
        raise HospitalError(
            Code.BAD_PARAMETERS, f"query 'private_gradient': {found} coefficients, expected {expected}"
        )


def _bounded(matrix: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(matrix), -LONGEST, LONGEST)


def noised_gradient(
    matrix: np.ndarray, outcome: np.ndarray, beta: np.ndarray, clip: float, release: Release
) -> np.ndarray:
    """The gradient at β, whatever the matrix holds."""
    design = np.column_stack([np.ones(len(matrix)), _bounded(matrix)])
    length = np.linalg.norm(design, axis=1, keepdims=True)
    clipped = design * np.minimum(1.0, clip / length)
    probability = 0.5 * (1.0 + np.tanh(0.5 * (clipped @ beta)))
    return release.total(clipped * (outcome - probability)[:, None])
