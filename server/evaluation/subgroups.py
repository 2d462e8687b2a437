"""How the model does among some of the patients: AUC within hospitals, observed over expected, Brier score.

Rounds: two, the first for numbers of patients. Exact. What leaves, as masked totals, from hospitals with five such
patients or more: n, Σy, Σp, Σ(p − y)², and won pairs where a hospital has five of each class. A subgroup is judged
where three hospitals take part, as they said at the roll call, with 30 patients in all and ten of each class; pairs
are asked for where three hospitals have five of each class. Mirrored by client/queries/subgroups.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET, Arrays
from common.room import Room
from common.splits import APPARENT, Label
from common.study import Study
from common.whole_hospitals import EXTERNAL
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.evaluation.repeats import repeats_of
from server.federation import Federation

EXCHANGES = 2
SMALLEST_CLASS = 10

Found = TypeVar("Found")


@dataclass(frozen=True)
class InGroup:
    """How one model does among the patients of one subgroup."""

    auc: Estimate
    observed_to_expected: float
    brier: float


@dataclass(frozen=True)
class Group(Generic[Found]):
    """One subgroup: the patients that take part, and what was found by evaluated model; empty: too few of them."""

    column: str
    name: str
    classes: tuple[int, ...]
    found: dict[str, Found]

    @property
    def patients(self) -> int:
        """Patients of all classes."""
        return sum(self.classes)

    @property
    def smaller(self) -> int:
        """Patients of the outcome's rarest class."""
        return min(self.classes)


@dataclass(frozen=True)
class Counted:
    """The study's subgroups, patients of each by class, and the numbers of those that are judged and compared in."""

    named: tuple[tuple[str, str], ...]
    classes: np.ndarray
    judged: tuple[int, ...]
    compared: tuple[int, ...]

    @property
    def parameters(self) -> dict[str, list[int]]:
        """Which subgroups are asked about, and in which of them patients are compared in pairs."""
        return {"subgroups": list(self.judged), "compared": list(self.compared)}

    def groups(
        self,
        labels: list[str],
        sums: Mapping[str, np.ndarray],
        judge: Callable[[np.ndarray, np.ndarray], Found],
    ) -> tuple[Group[Found], ...]:
        """Every subgroup, those that are judged with what is found by label; repeats together.

        Parameters
        ----------
        sums
            By label and judged subgroup `judged` and `within`; empty where nothing was asked.
        judge
            What is found in one subgroup's sums, by repeat.
        """
        places = {name: [labels.index(label) for label in same] for name, same in repeats_of(labels).items()}
        found = {
            k: {name: judge(sums["judged"][of, j], sums["within"][of, j]) for name, of in places.items()}
            for j, k in enumerate(self.judged)
        }
        return tuple(
            Group(column, name, tuple(map(int, self.classes[k])), found.get(k, {}))
            for k, (column, name) in enumerate(self.named)
        )


def judge_subgroups(
    federation: Federation, study: Study, room: Room, view: str, labels: tuple[str, ...]
) -> tuple[Group[InGroup], ...]:
    """Judge every held-out label in each of the study's subgroups; none where it names none.

    Parameters
    ----------
    room
        In which subgroups each hospital takes part, as it said at the roll call.
    """
    counted, held_out = count_subgroups(federation, study, room), held_out_of(labels)
    sums: Arrays = {}
    if counted.judged and held_out:
        parameters = {"schemes": held_out} | counted.parameters
        sums = federation.ask("subgroup_sums", view=view, rows="held_out", parameters=parameters).sums
    return counted.groups(held_out, sums, _judged)


def count_subgroups(federation: Federation, study: Study, room: Room) -> Counted:
    """Ask how many patients the study's subgroups have, where three hospitals take part."""
    named = [(s.column, name) for s in study.subgroups for name in s.names(study.variable(s.column))]
    several = [k for k in range(len(named)) if room.with_subgroup(k) >= FEWEST_HOSPITALS]
    values = len(study.variable(study.outcome_columns()[0]).levels or ["0", "1"])
    classes = np.zeros((len(named), values), dtype=int)
    if several:
        told = federation.ask("subgroup_counts", parameters={"subgroups": several}).sums["classes"]
        classes[several] = np.rint(told).astype(int)
    judged = [k for k in several if classes[k].sum() >= SMALLEST_ROW_SET and classes[k].min() >= SMALLEST_CLASS]
    compared = [k for k in judged if room.with_subgroup(k, comparing=True) >= FEWEST_HOSPITALS]
    return Counted(tuple(named), classes, tuple(judged), tuple(compared))


def held_out_of(labels: Iterable[str]) -> list[str]:
    """The labels that subgroups are judged by."""
    return [label for label in labels if Label.read(label).scheme not in (APPARENT, EXTERNAL)]


def figure_within(within: np.ndarray) -> Estimate:
    """An AUC or C within hospitals from won pairs, pairs and their spread, by repeat.

    It is the mean over repeats, which judge the same patients, so that no error shrinks.
    """
    if not (within[:, 1] > 0).all():
        return NOT_ESTIMABLE
    value, error = within[:, 0] / within[:, 1], np.sqrt(within[:, 2]) / within[:, 1]
    return Estimate.normal(float(value.mean()), float(error.mean()))


def _judged(sums: np.ndarray, within: np.ndarray) -> InGroup:
    return InGroup(
        auc=figure_within(within),
        observed_to_expected=float((sums[:, 1] / sums[:, 2]).mean()),
        brier=float((sums[:, 3] / sums[:, 0]).mean()),
    )
