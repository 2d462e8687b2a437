"""The report's tables about what left each hospital."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.report import words
from server.report.numerals import shape, size, whole


@dataclass(frozen=True)
class QueryKind:
    """All questions of one kind and class, in one row."""

    name: str
    title: str
    holds: str
    disclosure: str
    times: int
    arrays: tuple[tuple[str, str], ...]
    largest: str


def queries(results: Mapping[str, Any]) -> list[QueryKind]:
    """The roll call, then one row a kind and class of query, in the order in which they were first asked."""
    title, holds = words.query("roll_call")
    rows = [QueryKind("roll_call", title, holds, "in clear", 1, (), "")]
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for asked in results["exchanges"]["asked"]:
        kinds.setdefault((asked["query"], asked["class"]), []).append(asked)
    for (name, disclosure), group in kinds.items():
        title, holds = words.query(name)
        largest = max(asked["largest_answer_bytes"] for asked in group)
        rows.append(QueryKind(name, title, holds, disclosure, len(group), _arrays(group), size(largest)))
    return rows


def _arrays(group: list[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """The largest shape of every array over all questions of a kind."""
    largest: dict[str, list[int]] = {}
    for asked in group:
        for name, lengths in asked["sums"].items():
            before = largest.get(name, [0] * len(lengths))
            largest[name] = [max(a, b) for a, b in zip(before, lengths, strict=True)]
    return tuple((name, shape(lengths)) for name, lengths in largest.items())


def totals(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What each hospital sent in all, in words and in bytes."""
    return [(name, size(n), whole(n)) for name, n in results["exchanges"]["bytes_up_per_site"].items()]


def fingerprints(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Software versions at the hospitals: one value where all agree, each hospital's own where not."""
    prints = {name: site["fingerprint"] for name, site in results["sites"].items()}
    rows = []
    for key in sorted({k for one in prints.values() for k in one} - {"study"}):
        found = {name: one.get(key, "unknown") for name, one in prints.items()}
        if len(set(found.values())) == 1:
            rows.append((key, f"{next(iter(found.values()))} (all hospitals)"))
        else:
            rows.append((key, "; ".join(f"{name}: {value}" for name, value in found.items())))
    return rows
