"""How a survival model does among some patients: C within hospitals, and risk at the last judged horizon.

Rounds: two, the first for numbers of patients. What leaves, as masked totals, from hospitals with five such patients or
more: n, events, Σ predicted risk, Σ w·event by the horizon and Σ w·error², w the inverse probability of being
followed (server/evaluation/survival.py); and pairs, won pairs and their spread where a hospital has five patients with
and five without the event. A subgroup is judged where three hospitals take part, as they said at the roll call, with
30 patients in all, ten with and ten without the event; pairs are asked for where three hospitals have five of each. C
and its error are exact. Mirrored by client/queries/survival_subgroups.py.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from common.query import Arrays
from common.room import Room
from common.study import Study
from server.evaluation.discrimination import Estimate
from server.evaluation.follow_up import counting_curve
from server.evaluation.subgroups import Group, count_subgroups, figure_within, held_out_of
from server.evaluation.survival import Survival
from server.evaluation.survival_fits import Fits
from server.federation import Federation


@dataclass(frozen=True)
class SurvivalInGroup:
    """How one model does among the patients of one subgroup; None: no horizon was judged."""

    concordance: Estimate
    observed_to_expected: float | None
    brier: float | None


def judge_survival_subgroups(
    federation: Federation, study: Study, room: Room, view: str, survival: Survival
) -> tuple[Group[SurvivalInGroup], ...]:
    """Judge every held-out label in each of the study's subgroups; none where it names none.

    Parameters
    ----------
    room
        In which subgroups each hospital takes part, as it said at the roll call.
    """
    counted, held_out = count_subgroups(federation, study, room), held_out_of(survival.judged)
    sums: Arrays = {}
    if counted.judged and held_out:
        grid, followed = counting_curve(survival.follow_up)
        fits = _at_last_horizon(survival.fits)
        sums = federation.ask(
            "survival_subgroup_sums",
            view=view,
            rows="held_out",
            parameters=fits.parameters | {"schemes": held_out} | counted.parameters | {"grid": grid},
            arrays=fits.arrays | {"followed": followed},
        ).sums
    return counted.groups(held_out, sums, partial(_judged, at_horizon=bool(survival.follow_up.horizons)))


def _at_last_horizon(fits: Fits) -> Fits:
    return Fits(fits.models, fits.splits, fits.horizons[-1:], fits.hazards[:, :, -1:], fits.cuts)


def _judged(sums: np.ndarray, within: np.ndarray, at_horizon: bool) -> SurvivalInGroup:
    patients, _, expected, observed, error_at = sums.T
    return SurvivalInGroup(
        concordance=figure_within(within),
        observed_to_expected=float((observed / expected).mean()) if at_horizon else None,
        brier=float((error_at / patients).mean()) if at_horizon else None,
    )
