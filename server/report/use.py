"""The report's section on usefulness: decision curve, classification, pairs of models, parts of the prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from common.splits import Label
from server.report import words
from server.report.decision_curve import draw_decision_curve
from server.report.numerals import estimate_or_words, fixed, interval, limits, significant
from server.report.performance import schemes

_TOO_FEW = "too few patients"
FIRST = "all predictors"
SHARES = ("sensitivity", "specificity", "positive_value", "negative_value")


@dataclass(frozen=True)
class Classified:
    """One row: a scheme and model at the thresholds of its training sets."""

    scheme: str
    model: str
    thresholds: str
    shares: tuple[str, ...]
    scaled_brier: str
    calibration_error: str


@dataclass(frozen=True)
class Compared:
    """One row: a model against another."""

    scheme: str
    models: str
    within: tuple[str, str]
    overall: tuple[str, str]
    certified: str
    idi: tuple[str, str]
    nri: str
    likelihood_ratio: str


@dataclass(frozen=True)
class PartOf:
    """One row: a part of a model's prediction."""

    model: str
    group: str
    columns: int
    share: str
    spread: str


@dataclass(frozen=True)
class Section:
    """What the report says of usefulness."""

    figure: Markup | None
    rule: str
    threshold: str | None
    classified: tuple[Classified, ...]
    compared: tuple[Compared, ...]
    parts: tuple[PartOf, ...]
    left_out: int


def section(results: Mapping[str, Any]) -> Section | None:
    """None where nothing of it was asked."""
    useful, parts = results.get("usefulness"), results.get("parts") or {}
    if useful is None and not parts:
        return None
    judged = useful["judged"] if useful else {}
    final = judged.get("apparent", {}).get("classification", {}).get("thresholds", {}).get("final")
    least = useful["sensitivity_at_least"] if useful else None
    leading = next((s for s in schemes(results) if s in judged), None)
    return Section(
        figure=draw_decision_curve(results),
        rule="the largest sum of sensitivity and specificity (Youden)"
        if least is None
        else f"the largest with a sensitivity of {100 * least:g} %",
        threshold=None if final is None else significant(final, 2),
        classified=tuple(_classified(name, found) for name, found in judged.items()),
        compared=tuple(_compared(found) for found in results.get("comparisons") or ()),
        parts=tuple(
            _part(model, group, found) for model, groups in parts.items() for group, found in groups.items()
        ),
        left_out=len(useful["thresholds"]) - len(judged[leading]["decision_curve"]) if useful and leading else 0,
    )


def _classified(name: str, found: Mapping[str, Any]) -> Classified:
    label, said = Label.read(name), found["classification"]
    cuts = sorted(said["thresholds"].values())
    error = found["calibration_error"]
    return Classified(
        scheme=words.short(label.scheme),
        model=(label.model or FIRST) + (f", {label.level}" if label.level else ""),
        thresholds=significant(cuts[0], 2) if cuts[0] == cuts[-1] else limits(cuts[0], cuts[-1], 2),
        shares=tuple(estimate_or_words(said[share], _TOO_FEW, 2) for share in SHARES),
        scaled_brier="–" if found["scaled_brier"] is None else fixed(found["scaled_brier"], 2),
        calibration_error=f"{fixed(error['mean'])}; {fixed(error['largest'])}",
    )


def _compared(found: Mapping[str, Any]) -> Compared:
    overall = found["overall"]
    return Compared(
        scheme=words.short(found["scheme"]) + (f", {found['class']}" if found["class"] else ""),
        models=f"{found['second'] or FIRST} − {found['first'] or FIRST}",
        within=_tested(found["within_sites"]),
        overall=_tested(overall),
        certified=limits(overall["certified_low"], overall["certified_high"]),
        idi=_tested(found["discrimination_improvement"]),
        nri=interval(found["net_reclassification"], 2),
        likelihood_ratio=likelihood_ratio(found["likelihood_ratio"]),
    )


def _tested(found: Mapping[str, Any]) -> tuple[str, str]:
    return interval(found), "–" if found["p_value"] is None else p_value(found["p_value"])


def p_value(value: float) -> str:
    """A p-value with three decimals; below that it is said so."""
    return "< 0.001" if value < 0.001 else fixed(value)


def likelihood_ratio(found: Mapping[str, Any] | None) -> str:
    """The test of a model within another; a dash where they are not nested."""
    if found is None:
        return "–"
    return f"χ² {significant(found['statistic'])}, {found['degrees']} df, p {p_value(found['p_value'])}"


def _part(model: str, group: str, found: Mapping[str, Any]) -> PartOf:
    share = "–" if found["share"] is None else f"{fixed(100 * found['share'], 0)} %"
    return PartOf(model or FIRST, group, found["columns"], share, fixed(found["spread"], 2))
