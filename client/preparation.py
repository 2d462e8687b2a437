"""What a hospital answers before a study's features can be computed, and no more than that."""

import numpy as np

from client.cohort.samples import LANDMARKS, VOXELS, read_samples, sampled_now
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import ROLL_CALL
from common.study import Study

ASKED = {LANDMARKS: ("nyul_landmarks",), VOXELS: ("habitat_moments", "habitat_clusters", "habitat_mixture")}
"""The questions that learn from each kind of samples."""
QUESTIONS_BESIDE_ITERATIONS = 4
"""Roll call, moments twice, and one more."""


def refuse_beyond_preparation(name: str, study: Study, answered: int) -> None:
    """Of an unprepared study, refuse any other question, and more questions than learning takes.

    Parameters
    ----------
    answered
        How many questions of this study the hospital has answered already.
    """
    features = study.features
    if features is None or not features.to_be_learnt():
        return
    if name not in (ROLL_CALL, *ASKED[sampled_now(features)]):
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"query {name!r}: {', '.join(features.to_be_learnt())} of the study are still to be learnt, and nothing "
            "else may be asked before",
        )
    iterations = features.habitats.iterations if features.habitats is not None else 0
    if answered >= iterations + QUESTIONS_BESIDE_ITERATIONS:
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"query {name!r}: {answered} questions of the preparation were answered already, which is all that the "
            "study may ask (features.habitats.iterations)",
        )


def samples_of(rows: Rows, measurement: str) -> tuple[np.ndarray, ...]:
    """The samples of the cohort's patients, where the study learns from these now."""
    features = rows.study.features
    if features is None or not features.to_be_learnt() or sampled_now(features) != measurement:
        raise HospitalError(Code.BAD_PARAMETERS, f"the study does not learn from {measurement} now")
    return read_samples(rows.site, rows.study, rows.cohort.ids).arrays
