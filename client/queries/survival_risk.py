"""Risk of the event by a horizon, and what happened: mirrored by server/methods/baseline.py and server/evaluation."""

from typing import Any

import numpy as np
from pydantic import Field, model_validator
from scipy.special import expit

from client.logrank import logrank_parts
from client.queries.follow_up import Months, counted
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, per_split, query
from client.queries.survival import Censoring
from client.rows import Rows
from common.errors import Code, HospitalError
from common.months import in_days, mid_month
from common.query import Answer
from common.splits import Label

MOST_HAZARD = 50.0
"""e⁻⁵⁰ is no risk that a model of medicine gives."""
LONGEST_LINE = 30.0
"""A hazard e³⁰ times another's is no finding: it comes from separated columns, and would swallow every other."""


class TrainingRisk(Parameters):
    """Edges of the score (of 1/(1 + e^−η)) in every split, and whose score it is (empty: the study's first model)."""

    model: str = ""
    edges: per_split(0.0, 1.0, None)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _few(self) -> "TrainingRisk":
        few_and_ascending(self.edges)
        return self


@query(
    "training_risk", TrainingRisk, leaves="How many training patients' scores lie at or below a few given points."
)
def training_risk(rows: Rows, asked: TrainingRisk) -> Answer:
    """Σ#{score ≤ e} over the training rows of every split, and their number."""
    below = np.zeros(asked.edges.shape)
    patients = np.zeros(len(asked.edges))
    for k, (split, chosen) in enumerate(rows.chosen()):
        score = np.sort(expit(rows.linear_predictors(split, asked.model)[chosen, 0]))
        below[k] = np.searchsorted(score, asked.edges[k], side="right")
        patients[k] = len(score)
    return Answer(sums={"below": below, "patients": patients})


class BaselineHazard(Parameters):
    """The months that end a cell, and the model (empty: the study's first)."""

    model: str = ""
    months: Months


@query(
    "baseline_hazard",
    BaselineHazard,
    leaves="Per training set and cell of months: the number of events, and the days under observation, each "
    "patient's weighted by the model's relative hazard.",
)
def baseline_hazard(rows: Rows, asked: BaselineHazard) -> Answer:
    """Σ of events and Σ e^η × days under observation, by cell; whoever leaves does so in the middle of a month."""
    ends = in_days(asked.months)
    starts = np.concatenate([[0.0], ends[:-1]])
    events = np.zeros((len(rows.query.splits), len(ends)))
    exposure = np.zeros(events.shape)
    for k, (split, chosen) in enumerate(rows.chosen()):
        time, event = rows.cohort.outcome[chosen, 0], rows.cohort.outcome[chosen, 1]
        line = rows.linear_predictors(split, asked.model)[chosen, 0]
        relative = _relative(line)
        if len(relative):
            rows.refuse_weights_on_few_patients(relative)
        events[k] = counted(time[event == 1], asked.months)[:-1]
        exposure[k] = relative @ np.clip(mid_month(time)[:, None] - starts, 0.0, ends - starts)
    return Answer(sums={"events": events, "exposure": exposure})


class Baselines(Parameters):
    """For every model and split of the study: cumulative hazards at the horizons, and cut-offs between risk groups.

    Parameters
    ----------
    models, fits
        Models and splits, in the order of the leading axes of `baseline` and `cuts`.
    """

    models: tuple[str, ...] = Field(max_length=64)
    fits: tuple[str, ...]
    horizons: Months
    baseline: bounded_array(3, 0.0, MOST_HAZARD)  # type: ignore[valid-type]
    cuts: bounded_array(3, 0.0, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_each(self) -> "Baselines":
        leading = (len(self.models), len(self.fits))
        if self.baseline.shape != (*leading, len(self.horizons)) or self.cuts.shape[:2] != leading:
            raise ValueError(f"expected hazards and cut-offs of {leading} models and splits")
        few_and_ascending(self.cuts)
        return self


class SurvivalRisk(Censoring, Baselines):
    """The labels, the months that end a cell of the groups' curves, and edges of the score's bins.

    Parameters
    ----------
    ungrouped
        Labels whose patients all stand in the lowest group: one of theirs would hold too few.
    """

    schemes: Schemes
    ungrouped: tuple[str, ...] = ()
    months: Months
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_row_a_scheme(self) -> "SurvivalRisk":
        if len(few_and_ascending(self.edges)) != len(self.schemes):
            raise ValueError(f"found edges for {len(self.edges)} schemes, expected {len(self.schemes)}")
        return self


@query(
    "survival_risk",
    SurvivalRisk,
    leaves="Per label: events and exits by risk group and cell of months, and the log-rank test's parts; at each "
    "horizon the squared error of the predicted risk and, in a few bins, predicted and observed risk.",
)
def survival_risk(rows: Rows, asked: SurvivalRisk) -> Answer:
    """Risk groups, log-rank, Brier score and calibration for every label."""
    sums: dict[str, list[Any]] = {}
    groups = asked.cuts.shape[2] + 1
    for k, scheme in enumerate(asked.schemes):
        score, outcome = rows.scores(scheme)
        time, event = outcome[:, 0], outcome[:, 1]
        scored, group, hazard = by_own_fold(rows, asked, scheme)
        group, risk = group[scored] * (scheme not in asked.ungrouped), risks(hazard[scored], score)
        difference, covariance = logrank_parts(time, event, group, groups)
        figures = {
            "group_events": _by_group(time[event == 1], group[event == 1], groups, asked.months),
            "group_exits": _by_group(time, group, groups, asked.months),
            "difference": difference,
            "covariance": covariance,
        }
        figures |= _errors(rows, asked, risk, time, event, np.searchsorted(asked.edges[k], expit(score)))
        for name, figure in figures.items():
            sums.setdefault(name, []).append(figure)
    return Answer(sums={name: np.array(figures) for name, figures in sums.items()})


def by_own_fold(rows: Rows, asked: Baselines, scheme: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who is judged and, by each patient's own fold, its risk group and its baseline hazards at the horizons."""
    label = Label.read(scheme)
    patients = len(rows.cohort.ids)
    scored = np.zeros(patients, dtype=bool)
    group, hazard = np.zeros(patients, dtype=np.int64), np.zeros((patients, len(asked.horizons)))
    for split, chosen in rows.held_out_of(label.scheme):
        if split not in asked.fits or label.model not in asked.models:
            raise HospitalError(Code.BAD_PARAMETERS, f"{scheme}: no baseline and cut-offs were sent for {split}")
        model, fit = asked.models.index(label.model), asked.fits.index(split)
        scored |= chosen
        line = rows.linear_predictors(split, label.model)[chosen, 0]
        group[chosen] = np.searchsorted(asked.cuts[model, fit], expit(line), side="left")
        hazard[chosen] = asked.baseline[model, fit]
    return scored, group, hazard


def risks(hazard: np.ndarray, score: np.ndarray) -> np.ndarray:
    """1 − exp(−H₀ e^η): patients × horizons."""
    risk: np.ndarray = 1.0 - np.exp(-hazard * _relative(score)[:, None])
    return risk


def _by_group(time: np.ndarray, group: np.ndarray, groups: int, months: tuple[int, ...]) -> np.ndarray:
    return np.array([counted(time[group == g], months) for g in range(groups)])


def _errors(
    rows: Rows, asked: SurvivalRisk, risk: np.ndarray, time: np.ndarray, event: np.ndarray, bins: np.ndarray
) -> dict[str, np.ndarray]:
    """At every horizon: Σ of weighted squared errors, and by bin Σ of predicted risks and of weighted outcomes."""
    width = asked.edges.shape[1] + 1
    horizons = in_days(asked.horizons)
    names = ("patients", "predicted", "had_it", "had_it_not")
    found = {name: np.zeros((len(horizons), width)) for name in names}
    error = np.zeros(len(horizons))
    for h, until in enumerate(horizons):
        weights = asked.weights(rows, time, float(until))
        case = np.where((time <= until) & (event == 1), weights, 0.0)
        control = np.where(time > until, weights, 0.0)
        error[h] = case @ (1.0 - risk[:, h]) ** 2 + control @ risk[:, h] ** 2
        by_patient = {
            "patients": np.ones(len(time)),
            "predicted": risk[:, h],
            "had_it": case,
            "had_it_not": control,
        }
        for name, values in by_patient.items():
            found[name][h] = np.bincount(bins, values, minlength=width)
    return found | {"squared_error": error}


def _relative(line: np.ndarray) -> np.ndarray:
    """The hazard relative to the baseline's."""
    relative: np.ndarray = np.exp(np.clip(line, -LONGEST_LINE, LONGEST_LINE))
    return relative
