"""The report's tables about hospitals and their patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.query import SMALLEST_CELL
from common.study import Study
from server.report import words
from server.report.columns import Column, describe
from server.report.numerals import SUPPRESSED, share, significant, small, whole

EVENTS_SUPPRESSED = "suppressed"
_MEDIANS_A_TABLE = 6


@dataclass(frozen=True)
class Hospital:
    """One hospital's row."""

    name: str
    patients: str
    events: str
    share: str
    scanners: str
    missing: tuple[tuple[str, int], ...]
    stayed: bool
    bytes_up: int | None


@dataclass(frozen=True)
class Away:
    """A hospital that did not take part to the end, and why."""

    name: str
    code: str
    reason: str
    when: str


@dataclass(frozen=True)
class Medians:
    """Medians by hospital for a few columns at a time, so that the table fits on paper."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Characteristic:
    """A row of the cohort table."""

    column: Column
    figures: str
    missing: str
    transformed: str


def hospitals(results: Mapping[str, Any], study: Study) -> list[Hospital]:
    """One row a hospital of the roll call."""
    rows = []
    for name, site in results["sites"].items():
        events = site["events"]
        gaps = sorted(site["missing"].items(), key=lambda item: (-item[1], item[0]))
        rows.append(
            Hospital(
                name=name,
                patients=whole(site["patients"]),
                events=EVENTS_SUPPRESSED if events is None else whole(events),
                share="–" if events is None or results.get("horizon") else share(events, site["patients"]),
                scanners=", ".join(site["scanners"]) or "not stated",
                missing=tuple((describe(study, column).label, count) for column, count in gaps),
                stayed=site["in_final_roster"],
                bytes_up=results["exchanges"]["bytes_up_per_site"].get(name),
            )
        )
    return rows


def away(results: Mapping[str, Any]) -> list[Away]:
    """Hospitals left out at the roll call, and hospitals lost later."""
    rows = [Away(name, code, words.code(code), "at the roll call") for name, code in results["left_out"].items()]
    for lost in results["lost"]:
        title, _ = words.query(lost["query"])
        rows.append(Away(lost["hospital"], lost["code"], words.code(lost["code"]), f"during: {title.lower()}"))
    return rows


def medians(results: Mapping[str, Any], study: Study) -> list[Medians]:
    """The hospitals' medians as they disclosed them: two significant digits, ten patients and more."""
    names = [n for n in study.predictors.clinical if any(n in s["medians"] for s in results["sites"].values())]
    names += sorted({n for s in results["sites"].values() for n in s["medians"]} - set(names))
    tables = []
    for start in range(0, len(names), _MEDIANS_A_TABLE):
        chosen = names[start : start + _MEDIANS_A_TABLE]
        rows = tuple(
            (hospital, tuple(significant(site["medians"].get(name), 2) for name in chosen))
            for hospital, site in results["sites"].items()
        )
        tables.append(Medians(tuple(describe(study, name) for name in chosen), rows))
    return tables


def characteristics(results: Mapping[str, Any], study: Study) -> list[Characteristic]:
    """Median and quartiles in original units, carriers, and missing values of the clinical columns."""
    patients = results["cohort"]["patients"]
    rows = []
    for name, entry in results["cohort"]["variables"].items():
        column = describe(study, name)
        known = entry["known"]
        transformed = ""
        if "quartiles" in entry:
            low, middle, high = (entry["quartiles"][q] for q in ("0.25", "0.5", "0.75"))
            low, middle, high = (significant(column.own_units(v)) for v in (low, middle, high))
            figures = f"{middle} ({low} to {high})"
            if column.transform != "none":
                transformed = f"analysed as {column.transform}"
        elif known == 0:
            figures = "not known at any hospital"
        elif entry.get("carriers") is None:
            many = f" or more than {whole(known - SMALLEST_CELL)}" if known is not None else ""
            figures = f"{SUPPRESSED}{many}: suppressed"
        else:
            figures = f"{whole(entry['carriers'])} ({share(entry['carriers'], known or patients)})"
        rows.append(Characteristic(column, figures, gaps(known, patients), transformed))
    return rows


def gaps(known: int | None, patients: int) -> str:
    """Missing values with their share, or that they are suppressed."""
    if known is None:
        return "suppressed"
    missing = patients - known
    return small(missing) + (f" ({share(missing, patients)})" if missing >= SMALLEST_CELL else "")


def criteria(study: Study) -> list[str]:
    """The cohort's criteria as sentences."""
    return [
        f"{describe(study, criterion.column).label}: {criterion.in_words()}" for criterion in study.cohort.include
    ]
