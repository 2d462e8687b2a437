"""How a survival model does among some patients: C within hospitals, and risk at the last judged horizon.

Rounds: two, the first for numbers of patients. What leaves, as masked totals, from hospitals with five such patients or
more: n, events, Σ predicted risk, Σ w·event by the horizon and Σ w·error², w the inverse probability of being
followed (server/evaluation/survival.py); and pairs, won pairs and their spread where a hospital has five patients with
and five without the event. A subgroup is judged where three hospitals take part, as they said at the roll call, with
30 patients in all, ten with and ten without the event; pairs are asked for where three hospitals have five of each. C
and its error are exact. Mirrored by client/queries/survival_subgroups.py.
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
from server.evaluation.follow_up import counting_curve
from server.evaluation.subgroups import SMALLEST_CLASS
from server.evaluation.survival import Fits, Survival
from server.federation import Federation


@dataclass(frozen=True)
class SurvivalInGroup:
    """How one model does among the patients of one subgroup; None: no horizon was judged."""

    concordance: Estimate
    observed_to_expected: float | None
    brier: float | None


@dataclass(frozen=True)
class SurvivalGroup:
    """One subgroup: the patients that take part, and what was found by evaluated model; empty: too few of them."""

    column: str
    name: str
    patients: int
    events: int
    found: dict[str, SurvivalInGroup]

    @property
    def smaller(self) -> int:
        """Patients with or without the event, whichever are fewer."""
        return min(self.events, self.patients - self.events)


def judge_survival_subgroups(
    federation: Federation, study: Study, room: Room, view: str, survival: Survival
) -> tuple[SurvivalGroup, ...]:
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
    classes = np.zeros((len(named), 2), dtype=int)
    if several:
        counted = federation.ask("subgroup_counts", parameters={"subgroups": several}).sums["classes"]
        classes[several] = np.rint(counted).astype(int)
    held_out = [label for label in survival.judged if Label.read(label).scheme not in (APPARENT, EXTERNAL)]
    asked = [k for k in several if classes[k].sum() >= SMALLEST_ROW_SET and classes[k].min() >= SMALLEST_CLASS]
    compared = [k for k in asked if room.with_subgroup(k, comparing=True) >= FEWEST_HOSPITALS]
    found = _found(federation, view, survival, held_out, asked, compared) if asked and held_out else {}
    return tuple(
        SurvivalGroup(column, name, int(classes[k].sum()), int(classes[k][1]), found.get(k, {}))
        for k, (column, name) in enumerate(named)
    )


def _found(
    federation: Federation,
    view: str,
    survival: Survival,
    labels: list[str],
    asked: list[int],
    compared: list[int],
) -> dict[int, dict[str, SurvivalInGroup]]:
    """By subgroup and evaluated model."""
    grid, followed = counting_curve(survival.follow_up)
    fits = _at_last_horizon(survival.fits)
    sums = federation.ask(
        "survival_subgroup_sums",
        view=view,
        rows="held_out",
        parameters=fits.parameters | {"schemes": labels, "subgroups": asked, "compared": compared, "grid": grid},
        arrays=fits.arrays | {"followed": followed},
    ).sums
    names = dict.fromkeys(without_repeat(label) for label in labels)
    found: dict[int, dict[str, SurvivalInGroup]] = {}
    for j, group in enumerate(asked):
        for name in names:
            repeats = [i for i, label in enumerate(labels) if without_repeat(label) == name]
            judged, within = sums["judged"][repeats, j], sums["within"][repeats, j]
            found.setdefault(group, {})[name] = _judged(judged, within, bool(survival.follow_up.horizons))
    return found


def _at_last_horizon(fits: Fits) -> Fits:
    return Fits(fits.models, fits.splits, fits.horizons[-1:], fits.hazards[:, :, -1:], fits.cuts)


def _judged(sums: np.ndarray, within: np.ndarray, at_horizon: bool) -> SurvivalInGroup:
    """The mean over repeats, which judge the same patients, so that no error shrinks."""
    concordance = NOT_ESTIMABLE
    if (within[:, 1] > 0).all():
        value, error = within[:, 0] / within[:, 1], np.sqrt(within[:, 2]) / within[:, 1]
        concordance = Estimate.normal(float(value.mean()), float(error.mean()))
    patients, _, expected, observed, error_at = sums.T
    return SurvivalInGroup(
        concordance=concordance,
        observed_to_expected=float((observed / expected).mean()) if at_horizon else None,
        brier=float((error_at / patients).mean()) if at_horizon else None,
    )
