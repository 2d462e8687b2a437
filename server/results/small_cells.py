"""What results.json leaves out so that nobody can subtract two of its figures and find one to four patients."""

from collections.abc import Mapping, Sequence

from common.query import SMALLEST_CELL, Disclosed

Shown = int | dict[str, int]
"""A number, or the range that hides it: at_least, at_most."""


def flow_in_ranges(flow: Mapping[str, int]) -> dict[str, Shown]:
    """The flow; a step that one to four patients leave shows a range, from the last step up."""
    shown: dict[str, Shown] = {}
    exact: int | None = None
    for step, count in reversed(list(flow.items())):
        if exact is not None and 0 < count - exact < SMALLEST_CELL:
            shown[step] = {"at_least": exact + 1, "at_most": exact + SMALLEST_CELL - 1}
        else:
            shown[step] = exact = count
    return {step: shown[step] for step in flow}


def events_by_site(disclosed: Mapping[str, Disclosed], roster: Sequence[str]) -> dict[str, int | None]:
    """Events by hospital: where one of the roster's is suppressed, the next smallest is too, or the total tells it."""
    events = {name: figures.events for name, figures in disclosed.items()}
    known = {name: events[name] for name in roster if events[name] is not None}
    if len(roster) - len(known) == 1 and known:
        events[min(sorted(known), key=lambda name: _fewer(disclosed[name]))] = None
    return events


def _fewer(figures: Disclosed) -> int:
    """Patients with or without the event, whichever are fewer."""
    events, patients = figures.events or 0, figures.patients or 0
    return min(events, patients - events)


def known_or_none(known: int, patients: int, missing_by_site: Sequence[int]) -> int | None:
    """How many have a value; None where one to four missing values follow from it and the hospitals' own counts."""
    not_told = patients - known - sum(missing_by_site)
    return None if 0 < not_told < SMALLEST_CELL else known
