"""What the report says a network found: where it looks, what moves it, and how its second head orders patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.splits import Label
from common.study import Study
from server.report import words
from server.report.columns import Column, describe
from server.report.numerals import fixed, interval

MOST_COLUMNS = 20


@dataclass(frozen=True)
class Place:
    """Tumour, ring or elsewhere: the share of attention, of the patch, and how many times chance."""

    name: str
    attention: str
    patch: str
    times: str


@dataclass(frozen=True)
class Moves:
    """A column and how far it moves the linear predictor on average."""

    column: Column
    distance: str


@dataclass(frozen=True)
class Judged:
    """A scheme and model of the second outcome."""

    scheme: str
    model: str
    patients: int
    events: int
    within: str


@dataclass(frozen=True)
class Findings:
    """Empty where the network has no such thing."""

    patients: int
    places: tuple[Place, ...]
    columns: tuple[Moves, ...]
    others: int
    second: Column | None
    measure: str
    judged: tuple[Judged, ...]


def findings(study: Study, found: Mapping[str, Any]) -> Findings:
    """From the entry `network` of results.json."""
    seen, also = found["attention"], found["also"]
    columns = {} if seen is None else seen["columns"]
    ordered = sorted(columns.items(), key=lambda item: (-item[1], item[0]))
    return Findings(
        patients=0 if seen is None else seen["patients"],
        places=() if seen is None else tuple(_place(seen, name) for name in seen["shares"]),
        columns=tuple(Moves(describe(study, name), fixed(value)) for name, value in ordered[:MOST_COLUMNS]),
        others=max(0, len(ordered) - MOST_COLUMNS),
        second=None if also is None else describe(study, also["column"]),
        measure="" if also is None else {"binary": "AUC", "survival": "Harrell's C"}[also["kind"]],
        judged=() if also is None else tuple(_judged(label, one) for label, one in also["judged"].items()),
    )


def _place(seen: Mapping[str, Any], name: str) -> Place:
    share, volume = seen["shares"][name], seen["volumes"][name]
    times = f"{share / volume:.2f}" if volume > 0 else "–"
    return Place(name, f"{100 * share:.1f} %", f"{100 * volume:.1f} %", times)


def _judged(label: str, one: Mapping[str, Any]) -> Judged:
    read = Label.read(label)
    kind, _, repeat = read.scheme.partition("/")
    title = words.scheme(kind)[0] + (f", repeat {int(repeat) + 1}" if repeat not in ("", "0") else "")
    return Judged(
        title, read.model or "all predictors", one["patients"], one["events"], interval(one["within_sites"])
    )
