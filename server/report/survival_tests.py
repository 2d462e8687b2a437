"""The report's tables beside a survival model's figures: models in pairs, and hazards that change with time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.report import words
from server.report.numerals import fixed, interval, significant
from server.report.use import FIRST, likelihood_ratio, p_value

SHOWN = 20


@dataclass(frozen=True)
class Compared:
    """One row: a model against another."""

    scheme: str
    models: str
    within: str
    p: str
    likelihood_ratio: str


@dataclass(frozen=True)
class Tested:
    """One row: a column, or all of a model's columns together."""

    model: str
    column: str
    statistic: str
    p: str
    slope: str


@dataclass(frozen=True)
class Beside:
    """Both tables; `more` columns of the smallest statistics are not shown."""

    compared: tuple[Compared, ...]
    tested: tuple[Tested, ...]
    more: int


def beside(results: Mapping[str, Any]) -> Beside:
    """Empty tables where the study has no survival outcome or compares nothing."""
    found = results.get("survival") or {}
    tests = found.get("proportional_hazards", {})
    rows = [row for model, test in tests.items() for row in _tested(model, test)]
    columns = sum(len(test["columns"]) for test in tests.values())
    shown = sum(min(SHOWN, len(test["columns"])) for test in tests.values())
    return Beside(tuple(_compared(entry) for entry in found.get("comparisons", ())), tuple(rows), columns - shown)


def _compared(found: Mapping[str, Any]) -> Compared:
    within = found["within_sites"]
    return Compared(
        scheme=words.short(found["scheme"]),
        models=f"{found['second'] or FIRST} − {found['first'] or FIRST}",
        within=interval(within),
        p="–" if within["p_value"] is None else p_value(within["p_value"]),
        likelihood_ratio=likelihood_ratio(found["likelihood_ratio"]),
    )


def _tested(model: str, test: Mapping[str, Any]) -> list[Tested]:
    name = model or FIRST
    ordered = sorted(test["columns"].items(), key=lambda item: item[1]["p"])[:SHOWN]
    together = Tested(
        name, f"all {test['degrees']} together", significant(test["statistic"]), p_value(test["p"]), ""
    )
    return [
        together,
        *(
            Tested(name, column, significant(own["statistic"]), p_value(own["p"]), fixed(own["slope"], 2))
            for column, own in ordered
        ),
    ]
