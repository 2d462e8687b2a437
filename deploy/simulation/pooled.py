"""What only a simulation can know, holding all data: the pooled model, and every hospital's own alone.

Pooled: all hospitals' rows in one table, gaps filled with means, columns standardised, ridge logistic or Cox regression
(stratified by hospital), fitted to the same folds' training patients as the federated k-fold; no harmonisation,
selection or regression imputation. Alone: the same with one hospital's patients (client/own_models.py). Figures over
all patients and within hospitals are weighted as in the federated report. Exact; no rounds: nothing is asked.
"""

import json
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from client.cohort.cohort import read_cohort
from client.concordance import concordance
from client.members import Members
from client.own_models import OwnScores, own_scores
from client.paired_figures import figure_of
from client.site import open_site
from client.view import Views
from client.worth_joining import enough_of_each
from common.query import View
from common.splits import FINAL
from common.study import Study
from common.whole_hospitals import trains
from server.evaluation.discrimination import Estimate
from server.methods.pipeline import design_columns
from server.report.html import write_report
from server.results.results_json import write_results

NOT_KNOWN: dict[str, float | None] = {"value": None, "low": None, "high": None, "standard_error": None}

if TYPE_CHECKING:
    from deploy.simulation.simulate import Simulation


@dataclass(frozen=True)
class _Table:
    """A hospital's columns of the design, its outcomes, and for each fold who trains and who is held out."""

    matrix: np.ndarray
    outcome: np.ndarray
    folds: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class _Root:
    """The one view that is needed here."""

    path: Path
    root: View

    def view(self, view_hash: str) -> bytes:
        """The view, as it travels."""
        return self.root.to_bytes() if view_hash == self.root.hash else b""


def add_pooled_and_alone(simulation: "Simulation") -> None:
    """Add the entry `simulation_only` to results.json, and write the report again with it."""
    path = simulation.out / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    with threadpool_limits(limits=1):
        results["simulation_only"] = pooled_and_alone(simulation, results)
    write_results(results, path)
    write_report(results, simulation.out / "report.html")


def pooled_and_alone(simulation: "Simulation", results: dict[str, Any]) -> dict[str, Any] | None:
    """Figures of the pooled model and of hospitals' own; None where there are no folds, several classes, or weights."""
    study = simulation.study
    if study.outcome.kind in ("multiclass", "horizon") or not study.validation.folds:
        return None
    names = [name for name, site in results["sites"].items() if site["in_final_roster"] and trains(study, name)]
    tables = [_table(simulation, name) for name in names]
    pooled = _pooled(study, tables)
    scores = np.split(pooled.scores, np.cumsum([len(table.outcome) for table in tables])[:-1])
    outcomes = [table.outcome for table in tables]
    return {
        "penalty": pooled.penalty,
        "pooled": {
            "overall": _figure(pooled.scores, np.concatenate(outcomes)),
            "within_sites": _within(scores, outcomes),
        },
        "by_site": {
            name: {"pooled": _own(score, table.outcome), "alone": _own(_alone(study, table), table.outcome)}
            for name, score, table in zip(names, scores, tables, strict=True)
        },
    }


def _table(simulation: "Simulation", hospital: str) -> _Table:
    study = simulation.study
    site = open_site(simulation.folders[hospital], simulation.own_folder(hospital), lower_profile=True)
    members = Members(site.name, study, read_cohort(site, study), "", "lower")
    root = View(step="columns", parameters={"columns": list(design_columns(study, members.cohort.feature_names))})
    matrix = Views(members, _Root(site.own_folder / hospital, root)).matrix(root.hash, FINAL)
    splits = [f"kfold/0/{fold}" for fold in range(study.validation.folds)]
    folds = tuple((members.training(split), members.held_out(split)) for split in splits)
    return _Table(matrix, members.cohort.outcome, folds)


def _pooled(study: Study, tables: list[_Table]) -> OwnScores:
    matrix = np.concatenate([table.matrix for table in tables])
    outcome = np.concatenate([table.outcome for table in tables])
    folds = [
        (np.concatenate([training for training, _ in fold]), np.concatenate([held_out for _, held_out in fold]))
        for fold in zip(*(table.folds for table in tables), strict=True)
    ]
    hospitals = np.repeat(np.arange(len(tables)), [len(table.outcome) for table in tables])
    return own_scores(study, matrix, outcome, folds, hospitals)


def _alone(study: Study, table: _Table) -> np.ndarray | None:
    """None where the hospital has too few patients of a class for a model and a figure of its own."""
    if not enough_of_each(table.outcome):
        return None
    return own_scores(study, table.matrix, table.outcome, table.folds).scores


def _own(score: np.ndarray | None, outcome: np.ndarray) -> dict[str, float | None]:
    """As hospitals disclose their own: with ten and more of each class."""
    return NOT_KNOWN if score is None or not enough_of_each(outcome) else _figure(score, outcome)


def _figure(score: np.ndarray, outcome: np.ndarray) -> dict[str, float | None]:
    return asdict(figure_of(score, outcome)) if _pairs(outcome) else NOT_KNOWN


def _within(scores: list[np.ndarray], outcomes: list[np.ndarray]) -> dict[str, float | None]:
    """Hospitals' figures weighted by their pairs."""
    both = [(figure_of(s, y), _pairs(y)) for s, y in zip(scores, outcomes, strict=True) if _pairs(y)]
    total = sum(pairs for _, pairs in both)
    if not total:
        return NOT_KNOWN
    value = sum(found.value * pairs for found, pairs in both) / total
    return asdict(Estimate.normal(value, sqrt(sum((f.standard_error * pairs) ** 2 for f, pairs in both)) / total))


def _pairs(outcome: np.ndarray) -> float:
    """How many pairs of patients can be compared."""
    if outcome.ndim == 1:
        return float(outcome.sum() * (len(outcome) - outcome.sum()))
    nothing, nowhere = np.zeros(len(outcome)), np.zeros(len(outcome), dtype=np.int64)
    return concordance(outcome[:, 0], outcome[:, 1], nothing, nothing + 1, nowhere, nowhere).pairs
