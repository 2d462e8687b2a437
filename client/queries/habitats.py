"""Habitats from sums: mirrored by server/methods/habitats.py.

A patient counts as one: every voxel weighs 1 / the patient's number of voxels. Centres come from the coordinator, so
where one to four of the hospital's patients have a voxel of a habitat, zeros are sent for all habitats.
"""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, StrictInt

from client.cohort.samples import VOXELS
from client.habitat_assignment import log_joint, responsibilities, squared_distances
from client.preparation import samples_of
from client.queries.registry import Parameters, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.habitats import Habitats
from common.query import SMALLEST_CELL, Answer

LARGEST_INTENSITY = 1e6
SMALLEST_SPREAD = 1e-6
WORST_CONDITION = 1e8

SMALLEST_SHARE = 1e-9
"""A voxel belongs to a habitat a little from this probability on."""


class HabitatMoments(Parameters):
    """Where intensities are centred, a number a phase."""

    centre: bounded_array(1, -LARGEST_INTENSITY, LARGEST_INTENSITY)  # type: ignore[valid-type]


class HabitatClusters(Parameters):
    """The centres of this iteration (habitats × phases), and the standard deviation of each phase."""

    iteration: StrictInt
    centres: bounded_array(2, -LARGEST_INTENSITY, LARGEST_INTENSITY)  # type: ignore[valid-type]
    spreads: bounded_array(1, SMALLEST_SPREAD, LARGEST_INTENSITY)  # type: ignore[valid-type]


def _covariances(matrices: np.ndarray) -> np.ndarray:
    if matrices.shape[1] != matrices.shape[2] or not np.array_equal(matrices, matrices.transpose(0, 2, 1)):
        raise ValueError("expected symmetric matrices")
    eigenvalues = np.linalg.eigvalsh(matrices)
    if (eigenvalues[:, 0] * WORST_CONDITION < eigenvalues[:, -1]).any() or eigenvalues.min() < SMALLEST_SPREAD**2:
        raise ValueError("a covariance is not positive definite, or nearly not")
    return matrices


class HabitatMixture(Parameters):
    """Centres, covariances (habitats × phases × phases) and shares of this iteration."""

    iteration: StrictInt
    centres: bounded_array(2, -LARGEST_INTENSITY, LARGEST_INTENSITY)  # type: ignore[valid-type]
    covariances: Annotated[
        bounded_array(3, -(LARGEST_INTENSITY**2), LARGEST_INTENSITY**2),  # type: ignore[valid-type]
        AfterValidator(_covariances),
    ]
    shares: bounded_array(1, 1e-6, 1.0)  # type: ignore[valid-type]


@query(
    "habitat_moments",
    HabitatMoments,
    leaves="The number of patients, and over patients the sums of each one's mean intensities in the tumour, a phase "
    "each, and of their mean products.",
)
def habitat_moments(rows: Rows, asked: HabitatMoments) -> Answer:
    """Σ1, Σ mean(x − c) and Σ mean((x − c)(x − c)ᵀ) over patients."""
    _refuse_unless(asked.centre.shape == (len(_habitats(rows).phases),))
    samples = _voxels(rows)
    width = len(asked.centre)
    first, second = np.zeros(width), np.zeros((width, width))
    for voxels in samples:
        deviation = voxels - asked.centre
        first += deviation.mean(axis=0)
        second += deviation.T @ deviation / len(voxels)
    patients = np.array([float(len(samples))])
    return Answer(sums={"hospitals": np.ones(1), "patients": patients, "first": first, "second": second})


@query(
    "habitat_clusters",
    HabitatClusters,
    leaves="Where no habitat has voxels of one to four patients, for each habitat: its share of the tumours, and the "
    "sums of intensities and squared distances from the centre asked about, a patient counting as one. Else zeros.",
)
def habitat_clusters(rows: Rows, asked: HabitatClusters) -> Answer:
    """One step of k-means: sums about the centres, voxels going to the nearest."""
    _check_shapes(asked, _habitats(rows))
    number, phases = asked.centres.shape
    weight, within, present = np.zeros(number), np.zeros(number), np.zeros(number)
    first = np.zeros((number, phases))
    for voxels in _voxels(rows):
        distances = squared_distances(voxels, asked.centres, asked.spreads)
        nearest = distances.argmin(axis=1)
        belongs = nearest[:, None] == np.arange(number)
        present += belongs.any(axis=0)
        weight += belongs.mean(axis=0)
        within += (distances * belongs).mean(axis=0)
        first += belongs.T.astype(np.float64) @ (voxels - asked.centres[nearest]) / len(voxels)
    return Answer(sums=_of_enough_patients(present, weight=weight, within=within, first=first))


@query(
    "habitat_mixture",
    HabitatMixture,
    leaves="Where no habitat has voxels of one to four patients, for each habitat: its share of the tumours, the sums "
    "of intensities and their products about the centre asked about, a patient counting as one, and how well the "
    "mixture fits. Else zeros.",
)
def habitat_mixture(rows: Rows, asked: HabitatMixture) -> Answer:
    """One step of expectation: sums about the centres, voxels going to all habitats by their probability."""
    _check_shapes(asked, _habitats(rows))
    number, phases = asked.centres.shape
    weight, present, fit = np.zeros(number), np.zeros(number), np.zeros(1)
    first, second = np.zeros((number, phases)), np.zeros((number, phases, phases))
    for voxels in _voxels(rows):
        joint = log_joint(voxels, asked.centres, asked.covariances, asked.shares)
        shared = responsibilities(joint) / len(voxels)
        present += shared.max(axis=0) * len(voxels) > SMALLEST_SHARE
        weight += shared.sum(axis=0)
        fit += np.logaddexp.reduce(joint, axis=1).mean()
        deviation = voxels[:, None, :] - asked.centres
        first += np.einsum("nk,nkp->kp", shared, deviation)
        second += np.einsum("nk,nkp,nkq->kpq", shared, deviation, deviation)
    return Answer(sums=_of_enough_patients(present, fit=fit, weight=weight, first=first, second=second))


def _habitats(rows: Rows) -> Habitats:
    features = rows.study.features
    if features is None or features.habitats is None:
        raise HospitalError(Code.BAD_PARAMETERS, "the study has no habitats to be learnt")
    return features.habitats


def _voxels(rows: Rows) -> list[np.ndarray]:
    """Voxels × phases of every patient who has all phases; HospitalError where these are few."""
    found = [voxels for voxels in samples_of(rows, VOXELS) if len(voxels)]
    if len(found) < SMALLEST_CELL:
        raise HospitalError(
            Code.TOO_FEW_PATIENTS,
            f"{len(found)} patients have all phases of the habitats, {SMALLEST_CELL} are needed: add the phases that "
            "are missing, or do not take part",
        )
    return found


def _check_shapes(asked: HabitatClusters | HabitatMixture, habitats: Habitats) -> None:
    number, phases = habitats.number, len(habitats.phases)
    _refuse_unless(1 <= asked.iteration <= habitats.iterations and asked.centres.shape == (number, phases))
    if isinstance(asked, HabitatClusters):
        _refuse_unless(asked.spreads.shape == (phases,))
    else:
        _refuse_unless(asked.covariances.shape == (number, phases, phases) and asked.shares.shape == (number,))


def _refuse_unless(fits: bool) -> None:
    if not fits:
        raise HospitalError(
            Code.BAD_PARAMETERS, "the question's arrays or iteration are not those of the study's habitats"
        )


def _of_enough_patients(present: np.ndarray, **sums: np.ndarray) -> dict[str, np.ndarray]:
    """The sums, if every habitat has voxels of nobody or of five patients and more; else zeros for all habitats.

    Zeros for one habitat alone would say what it holds: what the others lack.
    """
    if ((present > 0) & (present < SMALLEST_CELL)).any():
        return {
            "hospitals": np.zeros(len(present)),
            **{name: np.zeros_like(value) for name, value in sums.items()},
        }
    return {"hospitals": (present > 0).astype(np.float64), **sums}
