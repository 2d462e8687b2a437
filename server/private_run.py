"""A study with differential privacy, from roll call to results: every total that it asks for carries noise.

It asks little: numbers of patients in the roll call, moments once, a few gradient steps, histograms once. A hospital
that is lost stops it: totals of a second roster would spend the patients' budget again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flwr.serverapp import Grid

from common.errors import HospitalLost, StudyError, StudyStopped
from common.networks.installed import lacks_pytorch
from common.privacy_plan import times_of
from common.query import View
from common.splits import FINAL, schemes_of
from common.study import Study
from server.checkpoint import Checkpoint
from server.evaluation.private_discrimination import PrivatelyJudged, bin_edges, judge_privately
from server.federation import Asked, FlowerFederation
from server.hospitals import Hospitals
from server.methods.private_cost import Cost, refuse_pointless
from server.methods.private_logistic import fit_privately
from server.methods.private_network import edges_of_a_network, fit_network_privately, view_of
from server.methods.private_pipeline import PrivatelyPrepared, prepare_privately, private_columns
from server.progress import Progress
from server.roll_call import GO_ON, Present, roll_call


@dataclass(frozen=True)
class PrivateModel:
    """A pipeline, a model for every split, and how its predictions were judged.

    Parameters
    ----------
    fitted
        Splits × (1 + columns): coefficients on standardised columns; of a network, splits × weights.
    """

    prepared: PrivatelyPrepared
    fitted: np.ndarray
    judged: dict[str, PrivatelyJudged]


@dataclass(frozen=True)
class FinishedPrivately:
    """Everything that a private study found out; `without_noise` in simulations alone."""

    study: Study
    present: Present
    splits: tuple[str, ...]
    patients: int
    cost: Cost
    model: PrivateModel
    without_noise: PrivateModel | None
    record: tuple[Asked, ...]


def run_privately(
    study: Study, grid: Grid, checkpoint_file: Path, progress: Progress, *, beside: bool
) -> tuple[FinishedPrivately, Hospitals]:
    """Run a private study, or go on with one that was interrupted.

    Parameters
    ----------
    beside
        Whether the same study without noise runs beside it, to show what privacy cost: hospitals answer it only on
        one machine that holds all the data.
    """
    if lacking := lacks_pytorch(study):
        raise StudyError(lacking)
    checkpoint = Checkpoint(checkpoint_file)
    try:
        checkpoint.begin(study)
        hospitals = Hospitals(grid, 60 * study.lost_hospital.wait_minutes, progress)
        progress.phase("roll call", 1)
        present = roll_call(hospitals, study, checkpoint.begun())
        checkpoint.begin_with(present.begun)
        patients = sum(figures.patients or 0 for figures in present.disclosed.values())
        bounds = private_columns(study, present.features)
        _refuse_a_large_delta(study, patients)
        cost = refuse_pointless(study, patients, len(bounds))
        federation = FlowerFederation(hospitals, study, present.roster, checkpoint, progress)
        try:
            model = _model(federation, study, bounds, patients, progress, noise=True)
            record = tuple(federation.record)
            silent = _model(federation, study, bounds, patients, progress, noise=False) if beside else None
        except HospitalLost as lost:
            raise StudyStopped(
                f"{lost}. A study with differential privacy waits for every hospital: without this one its totals "
                "would spend the patients' budget a second time. The checkpoint is kept; when the hospital is back, "
                f"{GO_ON}"
            ) from None
        done = FinishedPrivately(study, present, federation.splits, patients, cost, model, silent, record)
        return done, hospitals
    finally:
        checkpoint.close()


def _model(
    federation: FlowerFederation,
    study: Study,
    bounds: dict[str, tuple[float, float]],
    patients: int,
    progress: Progress,
    *,
    noise: bool,
) -> PrivateModel:
    """The study itself, in straight-line code, with noise or without."""
    said = "" if noise else " without noise, beside"
    progress.phase(f"bound and scale{said}", 1)
    prepared = prepare_privately(federation, study, bounds, patients, noise)
    progress.phase(f"fit{said}", times_of(study, "private_gradient"))
    splits, final = federation.splits, federation.splits.index(FINAL)
    if study.network is None:
        fitted = fit_privately(federation, study, prepared, patients, noise)
        last = View(step="linear", parent=prepared.view, splits=splits, arrays={"beta": fitted[:, None, :]})
        edges = bin_edges(fitted[final])
    else:
        fitted = fit_network_privately(federation, study, prepared, patients, noise)
        last = view_of(study, prepared, fitted, splits)
        edges = edges_of_a_network(study, fitted[final], len(prepared.columns))
    scores = federation.keep(last)
    progress.phase(f"evaluate{said}", 1)
    judged = judge_privately(federation, study, scores, edges, noise)
    if noise:
        progress.phase("hospitals' own copies", 1)
        federation.ask("own_copy", view=scores, rows="held_out", parameters={"schemes": list(schemes_of(study))})
    return PrivateModel(prepared, fitted, judged)


def _refuse_a_large_delta(study: Study, patients: int) -> None:
    private = study.privacy.differential
    if private is not None and private.delta >= 1 / patients:
        raise StudyStopped(
            f"privacy.differential.delta is {private.delta:g}: with {patients} patients a chance of 1 in {patients} "
            f"would be as good as giving one patient away. Write less than {1 / patients:.1g}, e.g. 1.0e-5"
        )
