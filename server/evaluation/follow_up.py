"""What happened to the cohort, without any model: mirrored by client/queries/follow_up.py.

Exits by month come first, whatever happened; from them the cells, and then what happened in each. Rounds: 2. What
leaves: counts by cell, as masked totals; each hospital's median follow-up in clear. Exactness of the curves:
server/evaluation/survival_curves.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.outcomes import HorizonOutcome, SurvivalOutcome
from common.query import SMALLEST_DIFFERENCE
from common.splits import FINAL
from server.evaluation.survival_cells import cells_of
from server.evaluation.survival_curves import Curve, cumulative_incidence, kaplan_meier
from server.federation import Federation

SMALLEST_FOLLOWED = 0.1
"""A horizon that fewer are followed to rests on weights above ten."""


@dataclass(frozen=True)
class FollowUp:
    """What happened to the cohort, without any model."""

    months: tuple[int, ...]
    events: np.ndarray
    competing: np.ndarray
    censored: np.ndarray
    event_free: Curve
    followed: Curve
    incidence: np.ndarray | None
    medians_by_site: dict[str, float | None]
    horizons: tuple[int, ...]


def follow_up(federation: Federation, outcome: SurvivalOutcome | HorizonOutcome) -> FollowUp:
    """Cells of months from exits alone, then what happened in them."""
    exits = federation.ask("exits", splits=(FINAL,)).sums["exits"]
    months = cells_of(exits, outcome.horizons_months)
    total = federation.ask("survival_counts", splits=(FINAL,), parameters={"months": list(months)})
    events, competing, censored = (total.sums[name] for name in ("events", "competing", "censored"))
    event_free = kaplan_meier(months, events, competing + censored)
    counting = kaplan_meier(months, competing + censored, events)
    horizons = tuple(
        h
        for h in outcome.horizons_months
        if h in months
        and min(by(events, months, h), after(events + competing + censored, months, h)) >= SMALLEST_DIFFERENCE
        and counting.at(h) >= SMALLEST_FOLLOWED
    )
    return FollowUp(
        months=months,
        events=events,
        competing=competing,
        censored=censored,
        event_free=event_free,
        followed=kaplan_meier(months, censored, events + competing),
        incidence=cumulative_incidence(months, events, competing, censored) if competing.any() else None,
        medians_by_site={name: said.medians.get("follow_up") for name, said in total.disclosed.items()},
        horizons=horizons,
    )


def by(counts: np.ndarray, months: Sequence[int], month: int) -> float:
    """How many up to a month that ends a cell."""
    return float(counts[: list(months).index(month) + 1].sum())


def after(counts: np.ndarray, months: Sequence[int], month: int) -> float:
    """How many beyond it."""
    return float(counts[list(months).index(month) + 1 :].sum())


def counting_curve(found: FollowUp) -> tuple[list[int], np.ndarray]:
    """The curve of being followed, which any exit but the event ends; held at its last reliable value."""
    others = found.competing + found.censored
    curve = kaplan_meier(found.months, others, found.events)
    kept = curve.value >= SMALLEST_FOLLOWED
    months = [m for m, keep in zip(found.months, kept, strict=True) if keep] or [found.months[0]]
    values = curve.value[kept] if kept.any() else np.array([SMALLEST_FOLLOWED])
    return months, np.concatenate([[1.0], np.minimum(values, 1.0)])
