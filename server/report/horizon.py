"""The report's words on an event at a horizon: who is known, who was lost, and what the weights are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from server.report import words
from server.report.numerals import fixed, interval, significant, whole
from server.report.survival_figures import draw_cohort
from server.report.use import FIRST, p_value


@dataclass(frozen=True)
class Section:
    """What the report says of an outcome at a horizon.

    Parameters
    ----------
    dropped, taken_for_free
        What the share with the event would be if those who were lost were dropped, or taken not to have had it.
    """

    months: int
    events: str
    free: str
    lost: str
    incidence: str
    dropped: str
    taken_for_free: str
    competing: bool
    followed: str
    largest: str
    compared: tuple[tuple[str, ...], ...]
    cohort: Markup
    landmark: str
    time_zero: str


def section(results: Mapping[str, Any]) -> Section | None:
    """None for another outcome."""
    found = results.get("horizon")
    if found is None:
        return None
    known, follow_up = found["known"], found["follow_up"]
    events, free = known["events"], known["free"]
    median = follow_up["median_follow_up_months"]
    return Section(
        months=found["months"],
        events=whole(events),
        free="all others but a few" if free is None else whole(free),
        lost="fewer than five" if known["lost"] is None else whole(known["lost"]),
        incidence=_percent(found["incidence"]),
        dropped="" if free is None else _percent(events / (events + free)),
        taken_for_free=_percent(events / results["cohort"]["patients"]),
        competing=follow_up["cumulative_incidence"] is not None,
        followed="not reached" if median is None else f"{significant(median)} months",
        largest=fixed(found["weights"]["largest"], 2),
        compared=tuple(_compared(entry) for entry in found["comparisons"]),
        cohort=draw_cohort(follow_up),
        landmark=f"{found['landmark_days']:g}" if found["landmark_days"] else "",
        time_zero=found["time_zero"] or "",
    )


def _compared(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Scheme, models, and both differences with their p-values."""
    cells = [words.short(found["scheme"])]
    cells.append(f"{found['second'] or FIRST} − {found['first'] or FIRST}")
    for test in (found["within_sites"], found["discrimination_improvement"]):
        cells += [interval(test), "–" if test["p_value"] is None else p_value(test["p_value"])]
    return tuple(cells)


def _percent(share: float) -> str:
    """With a decimal, so that the naive shares can be told from the incidence."""
    return f"{100 * share:.1f} %"
