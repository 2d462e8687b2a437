"""How the model does among some of the patients: AUC within hospitals, observed over expected, Brier score.

Rounds: two, the first for numbers of patients. Exact. What leaves, as masked totals, from hospitals with five such
patients or more: n, Σy, Σp, Σ(p − y)², and won pairs where a hospital has five of each class. A subgroup is judged
where three hospitals take part, as they said at the roll call, with 30 patients in all and ten of each class; pairs
are asked for where three hospitals have five of each class. Mirrored by client/queries/subgroups.py.
"""

from dataclasses import dataclass

import numpy as np

from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET
from common.room import Room
from common.splits import APPARENT, Label
from common.study import Study
from common.whole_hospitals import EXTERNAL
from server.evaluation.bootstrap import without_repeat
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.federation import Federation

EXCHANGES = 2
SMALLEST_CLASS = 10


@dataclass(frozen=True)
class Judged:
    """How one model does among the patients of one subgroup."""

    events: int
    auc: Estimate
    observed_to_expected: float
    brier: float


@dataclass(frozen=True)
class Group:
    """One subgroup: the patients that take part, and what was found by evaluated model; empty: too few of them."""

    column: str
    name: str
    patients: int
    classes: tuple[int, ...]
    found: dict[str, Judged]

    @property
    def smaller(self) -> int:
        """Patients of the outcome's rarest class."""
        return min(self.classes)


def judge_subgroups(
    federation: Federation, study: Study, room: Room, view: str, labels: tuple[str, ...]
) -> tuple[Group, ...]:
    """Judge every held-out label in each of the study's subgroups; none where it names none.

    Parameters
    ----------
    room
        In which subgroups each hospital takes part, as it said at the roll call.
    """
    if not study.subgroups:
        return ()
    named = [(s.column, name) for s in study.subgroups for name in s.names(study.variable(s.column))]
    several = [k for k in range(len(named)) if room.with_subgroup(k) >= FEWEST_HOSPITALS]
    values = len(study.variable(study.outcome_columns()[0]).levels or ["0", "1"])
    classes = np.zeros((len(named), values), dtype=int)
    if several:
        counted = federation.ask("subgroup_counts", parameters={"subgroups": several}).sums["classes"]
        classes[several] = np.rint(counted).astype(int)
    held_out = [label for label in labels if Label.read(label).scheme not in (APPARENT, EXTERNAL)]
    asked = [k for k in several if classes[k].sum() >= SMALLEST_ROW_SET and classes[k].min() >= SMALLEST_CLASS]
    compared = [k for k in asked if room.with_subgroup(k, comparing=True) >= FEWEST_HOSPITALS]
    judged, within = np.zeros((0, 0, 4)), np.zeros((0, 0, 3))
    if asked and held_out:
        parameters = {"schemes": held_out, "subgroups": asked, "compared": compared}
        sums = federation.ask("subgroup_sums", view=view, rows="held_out", parameters=parameters).sums
        judged, within = sums["judged"], sums["within"]
    groups = []
    for k, (column, name) in enumerate(named):
        found: dict[str, Judged] = {}
        if k in asked:
            j = asked.index(k)
            for label in dict.fromkeys(without_repeat(text) for text in held_out):
                repeats = [i for i, text in enumerate(held_out) if without_repeat(text) == label]
                found[label] = _judged(judged[repeats, j], within[repeats, j])
        groups.append(Group(column, name, int(classes[k].sum()), tuple(map(int, classes[k])), found))
    return tuple(groups)


def _judged(sums: np.ndarray, within: np.ndarray) -> Judged:
    """The mean over repeats, which judge the same patients, so that no error shrinks."""
    auc = NOT_ESTIMABLE
    if (within[:, 1] > 0).all():
        value, error = within[:, 0] / within[:, 1], np.sqrt(within[:, 2]) / within[:, 1]
        auc = Estimate.normal(float(value.mean()), float(error.mean()))
    return Judged(
        events=round(float(sums[0, 1])),
        auc=auc,
        observed_to_expected=float((sums[:, 1] / sums[:, 2]).mean()),
        brier=float((sums[:, 3] / sums[:, 0]).mean()),
    )
