"""Sums and squares of bounded columns, with noise: mirrored by server/methods/private_pipeline.py."""

import numpy as np

from client.noise import Release, release_of
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.privacy_plan import noise_of_moments
from common.query import Answer
from common.splits import FINAL


class PrivateMoments(Parameters):
    """Whether noise is added; without it only on one machine that holds all the data."""

    noise: bool = True


@query(
    "private_moments",
    PrivateMoments,
    leaves="Per column, cut to its public bounds and moved to −1 … 1: sum and sum of squares, with noise.",
)
def private_moments(rows: Rows, parameters: PrivateMoments) -> Answer:
    """Σu and Σu² over all patients, |u| ≤ 1, gaps 0: their L2 norm changes by √(2·columns) with one patient."""
    if rows.query.splits != (FINAL,):
        raise HospitalError(Code.BAD_PARAMETERS, "private_moments: they are over all patients, once")
    moments = []
    for matrix in rows.matrices():
        release = release_of(rows, noise_of_moments(rows.study, matrix.shape[1]), parameters.noise)
        moments.append(noised_moments(matrix, release))
    return Answer(sums={"moments": np.array(moments)})


def noised_moments(matrix: np.ndarray, release: Release) -> np.ndarray:
    """Sums and sums of squares a column, whatever the matrix holds."""
    bounded = np.clip(np.nan_to_num(matrix), -1.0, 1.0)
    return release.total(np.stack([bounded, bounded**2], axis=1))
