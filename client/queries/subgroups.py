"""How the model does among some patients: mirrored by server/evaluation/subgroups.py.

Who belongs to a subgroup the study file says. A hospital takes part in a subgroup with five patients or more, two in
every fold, and only where the patients it leaves out of a column's subgroups are none, or five and more: a total less
others would show them. In which ones it takes part it says, signed, at the roll call: sums over a subgroup of one or
two hospitals would be theirs, and the others refuse them (client/gate_rules/lone_subgroups.py).
"""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, StrictInt

from client.queries.discrimination import auc_and_variance
from client.queries.registry import Parameters, Schemes, query
from client.rows import Rows
from common.query import SMALLEST_CELL, Answer
from common.subgroups import Subgroup
from common.variables import NUMERIC, Variable
from common.whole_hospitals import trains

FEWEST_IN_A_FOLD = 2


def _rising(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if list(numbers) != sorted(set(numbers)) or (numbers and numbers[0] < 0):
        raise ValueError(f"{numbers}: expected rising numbers of subgroups")
    return numbers


Numbers = Annotated[tuple[StrictInt, ...], AfterValidator(_rising)]


class SubgroupCounts(Parameters):
    """Which of the study's subgroups: those in which three hospitals take part."""

    subgroups: Numbers


class SubgroupSums(Parameters):
    """Which labels, which of the study's subgroups, and in which of them patients are compared in pairs."""

    schemes: Schemes
    subgroups: Numbers
    compared: Numbers


@query(
    "subgroup_counts",
    SubgroupCounts,
    leaves="Per subgroup that three hospitals have: patients with and without the outcome.",
)
def subgroup_counts(rows: Rows, asked: SubgroupCounts) -> Answer:
    """Patients by subgroup and class of the outcome."""
    chosen = divided(rows)
    outcome = classes_of(rows.cohort.outcome)
    values = range(len(rows.study.variable(rows.study.outcome_columns()[0]).levels or ["0", "1"]))
    classes = [[(chosen[k] & (outcome == value)).sum() for value in values] for k in asked.subgroups]
    return Answer(sums={"classes": np.array(classes, dtype=float)})


@query(
    "subgroup_sums",
    SubgroupSums,
    leaves="Per evaluated model and subgroup, from a hospital with five such patients or more: with the outcome, "
    "predicted risk, squared error, and won pairs within the hospital where it has five of each class.",
)
def subgroup_sums(rows: Rows, parameters: SubgroupSums) -> Answer:
    """Per label and subgroup: n, Σy, Σp, Σ(p − y)², and won pairs, pairs, variance·pairs² within this hospital."""
    chosen = divided(rows)
    shape = len(parameters.schemes), len(parameters.subgroups)
    judged, within = np.zeros((*shape, 4)), np.zeros((*shape, 3))
    for k, label in enumerate(parameters.schemes):
        score, outcome = rows.probabilities(label)
        for j, number in enumerate(parameters.subgroups):
            mask = chosen[number][rows.judged(label)]
            p, y = score[mask], outcome[mask]
            judged[k, j] = len(y), y.sum(), p.sum(), ((p - y) ** 2).sum()
            if number in parameters.compared and len(y) and compares(y):
                value, variance = auc_and_variance(p, y)
                pairs = float(y.sum() * (len(y) - y.sum()))
                within[k, j] = value * pairs, pairs, variance * pairs**2
    return Answer(sums={"judged": judged, "within": within})


def divided(rows: Rows) -> list[np.ndarray]:
    """A mask of this hospital's patients for each of the study's subgroups; empty where it does not take part."""
    found: list[np.ndarray] = []
    for subgroup in rows.study.subgroups:
        variable = rows.study.variable(subgroup.column)
        masks = members_of(subgroup, variable, rows.cohort.columns[subgroup.column])
        masks = [mask if _in_every_fold(rows, mask) else np.zeros_like(mask) for mask in masks]
        found += without_small_rests(masks, rows.site.file.policy.minimum_cell)
    takes_part = trains(rows.study, rows.site.name)  # sealed external hospitals may be one or two
    return [mask & takes_part for mask in found]


def _in_every_fold(rows: Rows, mask: np.ndarray) -> bool:
    """Whether two of these patients are in every fold, so that six of three hospitals are.

    A fold's models may be such that sums over all folds are sums over that one.
    """
    checks = rows.study.validation
    folds = [f"kfold/{repeat}/{fold}" for repeat in range(checks.repeats) for fold in range(checks.folds)]
    return all((mask & rows.members.held_out(split)).sum() >= FEWEST_IN_A_FOLD for split in folds)


def members_of(subgroup: Subgroup, variable: Variable, values: np.ndarray) -> list[np.ndarray]:
    """Who belongs to each subgroup of a column; a patient whose value is not known belongs to none."""
    known = ~np.isnan(values)
    if variable.type in NUMERIC:
        place = np.searchsorted(np.array(subgroup.cut_offs), np.where(known, values, 0.0), side="right")
    else:
        place = np.where(known, values, 0.0).astype(np.int64)
    return [known & (place == number) for number in range(len(subgroup.names(variable)))]


def without_small_rests(masks: list[np.ndarray], least: int = SMALLEST_CELL) -> list[np.ndarray]:
    """The masks, those of fewer patients emptied, and the smallest others until the rest is none or not so few."""
    kept = [mask if mask.sum() >= least else np.zeros_like(mask) for mask in masks]
    while 0 < int((~np.any(kept, axis=0)).sum()) < least and any(mask.any() for mask in kept):
        smallest = min((k for k, mask in enumerate(kept) if mask.any()), key=lambda k: int(kept[k].sum()))
        kept[smallest] = np.zeros_like(kept[smallest])
    return kept


def classes_of(outcome: np.ndarray) -> np.ndarray:
    """Every patient's class: of times to an event, whether it happened."""
    classes: np.ndarray = outcome if outcome.ndim == 1 else outcome[:, 1]
    return classes


def compares(outcome: np.ndarray) -> bool:
    """Whether there are five patients of every class and more: two classes at least."""
    _, counts = np.unique(classes_of(outcome), return_counts=True)
    return len(counts) > 1 and int(counts.min()) >= SMALLEST_CELL
