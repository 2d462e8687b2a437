"""A released model applied inside a hospital: predictions for its own patients; nothing is sent.

A model with harmonisation needs the hospital's own shift and scale. They are worked out from the patients in
`teachers`, without outcomes: at a hospital of the study from its frozen cohort, so that a known patient gets the
prediction of the study to the last digit; at any other from all patients, or from those it began with.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from client import predictions
from client.cohort.cohort import Cohort, read_cohort
from client.frozen_harmonisation import InTheModel, as_the_model_needs
from client.members import Members
from client.site import Site
from client.view import Views
from common.errors import HepafedError
from common.networks.installed import lacks_pytorch
from common.outcomes import SurvivalOutcome
from common.released_model import ReleasedModel
from common.splits import FINAL

FEWEST_TEACHERS = 10
"""Patients from whom a hospital's own shift and scale may be worked out."""


@dataclass(frozen=True)
class Scored:
    """Predictions: columns by name, a row a patient; and what the hospital should know about them."""

    ids: tuple[str, ...]
    columns: dict[str, np.ndarray]
    notes: tuple[str, ...]

    def lines(self) -> Iterable[list[object]]:
        """A line a patient for a csv file."""
        for row, patient in enumerate(self.ids):
            yield [patient, *(repr(float(values[row])) for values in self.columns.values())]


@dataclass(frozen=True)
class _Taught(Members):
    """Members of whom some, by name, teach the hospital's own shift and scale."""

    teachers: frozenset[str] = field(default_factory=frozenset)

    def training(self, split: str) -> np.ndarray:
        return np.array([patient in self.teachers for patient in self.cohort.ids], dtype=bool)


def read_patients(site: Site, model: ReleasedModel) -> tuple[Cohort, tuple[str, ...]]:
    """The hospital's patients as the model needs them, without a look at their outcomes; and notes."""
    if lacking := lacks_pytorch(model.study):
        raise HepafedError(lacking)
    return as_the_model_needs(read_cohort(site, model.study, outcome_needed=False), model, site)


def score_patients(
    site: Site, model: ReleasedModel, cohort: Cohort, teachers: frozenset[str], notes: tuple[str, ...] = ()
) -> Scored:
    """Predictions for every patient of a cohort.

    Raises
    ------
    HepafedError
        Where the model harmonises and too few patients are there to work out the hospital's own shift and scale.
    """
    present = teachers & set(cohort.ids)
    if model.harmonises and len(present) < FEWEST_TEACHERS:
        raise HepafedError(
            f"{site.name}: {len(present)} patients to work out this hospital's own shift and scale from, "
            f"{FEWEST_TEACHERS} are needed: put the patients in patients.csv who were there before, or wait for more"
        )
    members = _Taught(site.name, model.study, cohort, guard="none", teachers=frozenset(present))
    # The cache of matrices goes by this name: other teachers, other matrices.
    taught = hashlib.sha256("\n".join(sorted(present)).encode()).hexdigest()
    views = Views(members, InTheModel(Path(f"{model.digest}.{taught}"), model.steps))
    try:
        lines = views.matrix(model.steps[-1].hash, FINAL)[:, : model.study.lines()]
    except (ValueError, KeyError, IndexError) as error:
        raise HepafedError(f"the model {model.name} does not fit its own study ({error})") from error
    return Scored(cohort.ids, _columns(model, lines), notes)


def _columns(model: ReleasedModel, lines: np.ndarray) -> dict[str, np.ndarray]:
    """Probabilities; for survival the linear predictor and, where there is a baseline, the risk at each horizon."""
    study = model.study
    if isinstance(study.outcome, SurvivalOutcome):
        predictor = lines[:, 0]
        risks = {
            f"risk_{months}_months": -np.expm1(-hazard * np.exp(predictor))
            for months, hazard in sorted(model.baseline.items())
        }
        return {"linear_predictor": predictor} | risks
    if study.outcome.kind != "multiclass":
        return {"probability": predictions.probability(study, lines, "")}
    levels = study.variable(study.outcome_columns()[0]).levels or []
    ordinal = study.model.kind == "ordinal"
    named = {level: f"probability_{level}{'_or_higher' * ordinal}" for level in levels[ordinal:]}
    return {name: predictions.probability(study, lines, level) for level, name in named.items()}
