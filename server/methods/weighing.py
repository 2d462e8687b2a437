"""For how many patients those stand of whom an event at a horizon is known: mirrored by client/queries/horizon.py.

Inverse probability of censoring. G_k, the curve of being followed of split k's training rows over all hospitals
(reverse Kaplan–Meier: a censoring ends it, an event or a competing one leaves it), in cells of months that end at the
horizon; w = 1/G as client/horizon.py says. One curve for all hospitals, so that a small one's own does not run wild:
it takes for granted that whoever is lost at one hospital would have fared like those who stay at others. G is never
taken below 0.05: nobody stands for more than twenty patients. The whole curve goes to the hospitals as the step `weigh`
of the view, and into results.json. Rounds: 3. What leaves: counts by cell, as masked totals; each hospital's median
follow-up in clear. Exactness: server/evaluation/survival_curves.py.
"""

from dataclasses import dataclass, replace

import numpy as np

from common.errors import StudyStopped
from common.months import LAST_MONTH, SMALLEST_FOLLOWED
from common.outcomes import HorizonOutcome
from common.query import SMALLEST_CELL, SMALLEST_DIFFERENCE, View
from common.room import Room
from common.study import Study
from server.evaluation.follow_up import FollowUp, after, by, follow_up
from server.evaluation.survival_cells import cells_of
from server.evaluation.survival_curves import kaplan_meier
from server.federation import Federation
from server.methods.pipeline import Prepared


@dataclass(frozen=True)
class Weighing:
    """How the cohort was followed up to the horizon.

    Parameters
    ----------
    months
        That end a cell of the curve; the horizon is the last.
    followed
        Splits × (1 + months): every split's curve of being followed, from month 0.
    truncated
        The splits whose curve was held at its lowest value.
    """

    follow_up: FollowUp
    months: tuple[int, ...]
    followed: np.ndarray
    truncated: tuple[str, ...]

    @property
    def incidence(self) -> float:
        """The share that has the event by the horizon: Aalen and Johansen's, or 1 − Kaplan–Meier."""
        found, horizon = self.follow_up, self.months[-1]
        if found.incidence is not None:
            return float(found.incidence[found.months.index(horizon)])
        return 1.0 - found.event_free.at(horizon)


def weigh_followed(
    federation: Federation, study: Study, prepared: Prepared, room: Room
) -> tuple[Prepared, Weighing | None]:
    """Ask how long patients were followed, and add the step `weigh` to the view; nothing for another outcome.

    Raises
    ------
    StudyStopped
        Where too few are known with or without the event at the horizon.
    """
    outcome = study.outcome
    if not isinstance(outcome, HorizonOutcome):
        return prepared, None
    found = follow_up(federation, outcome)
    _stop_where_too_few_are_known(found, outcome)
    months = _cells(found, outcome, _smallest_share(federation, study, room))
    total = federation.ask("censoring", splits=federation.splits, parameters={"months": list(months)}).sums
    curves = [
        kaplan_meier(months, censored, exits - censored).value
        for censored, exits in zip(total["censored"], total["exits"], strict=True)
    ]
    followed = np.column_stack([np.ones(len(curves)), np.maximum(curves, SMALLEST_FOLLOWED)])
    view = View(
        step="weigh",
        parent=prepared.view,
        splits=federation.splits,
        parameters={"months": list(months)},
        arrays={"followed": followed},
    )
    low = np.min(curves, axis=1) < SMALLEST_FOLLOWED
    truncated = tuple(split for split, is_low in zip(federation.splits, low, strict=True) if is_low)
    return replace(prepared, view=federation.keep(view)), Weighing(found, months, followed, truncated)


def _stop_where_too_few_are_known(found: FollowUp, outcome: HorizonOutcome) -> None:
    horizon = outcome.months
    advice = "take an earlier horizon, or an outcome of kind: survival, which uses all of the follow-up there is"
    if horizon not in found.months:
        raise StudyStopped(
            f"outcome.months: fewer than {SMALLEST_CELL} patients leave before {horizon} months, or are followed "
            f"beyond: nothing can be told of this horizon; {advice}"
        )
    events = by(found.events, found.months, horizon)
    free = by(found.competing, found.months, horizon)
    free += after(found.events + found.competing + found.censored, found.months, horizon)
    share = found.followed.at(horizon)
    if min(events, free) < SMALLEST_DIFFERENCE or share < SMALLEST_FOLLOWED:
        least = SMALLEST_DIFFERENCE
        with_it, without = (f"fewer than {least}" if n < least else f"{round(n)}" for n in (events, free))
        raise StudyStopped(
            f"outcome.months: at {horizon} months {with_it} patients are known to have had the event and {without} not "
            f"to have, and {share:.0%} of the patients would be followed so long; {least} of each and "
            f"{SMALLEST_FOLLOWED:.0%} are needed: {advice}"
        )


def _smallest_share(federation: Federation, study: Study, room: Room) -> float:
    """Of all patients, those that the smallest training set surely has."""
    fewest = min(room.fewest(study, split, training=True) for split in federation.splits)
    return max(fewest, 1) / max(room.patients, 1)


def _cells(found: FollowUp, outcome: HorizonOutcome, smallest_share: float) -> tuple[int, ...]:
    """Cells of months up to the horizon in which five patients of the smallest training set leave, on average."""
    exits = found.events + found.competing + found.censored
    padded = np.zeros(LAST_MONTH + 1)
    padded[np.array(found.months) - 1] = exits[:-1]
    padded[-1] = exits[-1]
    months = cells_of(padded, outcome.horizons_months, int(np.ceil(SMALLEST_CELL / smallest_share)))
    return (*(m for m in months if m < outcome.months), outcome.months)
