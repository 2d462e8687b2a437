"""Survival curves of the cohort and of risk groups, and calibration at a horizon."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from common.splits import APPARENT
from server.report import words
from server.report.curves import style
from server.report.drawing import BLUE, FAINT, GREY, INK, ORANGE, PURPLE, SOFT, Drawing, Scale
from server.report.numerals import fixed, whole

_WIDTH, _HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 548, 10, 250
_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_ROW = 18
_GROUPS = {2: ("Low risk", "High risk"), 3: ("Low risk", "Middle", "High risk")}
_LOOKS = {2: ((BLUE, ""), (ORANGE, "7 3")), 3: ((BLUE, ""), (PURPLE, "3 2"), (ORANGE, "7 3"))}
_STEPS = (1, 2, 3, 6, 12, 24, 36, 60)
_MOST_TICKS = 7
_FEWEST_FOR_A_CURVE = 2


def draw_cohort(follow_up: Mapping[str, Any]) -> Markup:
    """Kaplan–Meier of all patients with its limits; with competing events, cumulative incidence beside its opposite."""
    months, curve, incidence = follow_up["months"], follow_up["event_free"], follow_up["cumulative_incidence"]
    told = f"Event-free share by month; at {months[-1]} months {fixed(curve['value'][-1], 2)}."
    rows = 1 if incidence is None else 2
    drawing, x, y = _axes("Event-free patients", told, "event-free", months[-1], "Share of patients", rows)
    if incidence is None:
        for limit in ("low", "high"):
            drawing.path(_course(x, y, months, curve[limit], 1.0), GREY, 1, "2 2")
        drawing.path(_course(x, y, months, curve["value"], 1.0), INK, 2)
        _key(drawing, 0, INK, "", "Free of the event (Kaplan–Meier), with 95 % limits")
        return drawing.markup()
    drawing.path(_course(x, y, months, [1 - v for v in curve["value"]], 0.0), ORANGE, 2, "7 3")
    drawing.path(_course(x, y, months, incidence, 0.0), BLUE, 2)
    _key(drawing, 0, BLUE, "", "Cumulative incidence (Aalen–Johansen): the share that had the event")
    _key(drawing, 1, ORANGE, "7 3", "1 − Kaplan–Meier: too high where competing events are common")
    return drawing.markup()


def draw_groups(groups: Mapping[str, Any]) -> Markup | None:
    """Kaplan–Meier by risk group, with the numbers at risk; None where a group is empty."""
    number = len(groups["curves"])
    if min(groups["patients"]) == 0:
        return None
    names, looks, months = _GROUPS[number], _LOOKS[number], groups["months"]
    told = "; ".join(
        f"{name}: {fixed(curve['value'][-1], 2)} event-free at {months[-1]} months"
        for name, curve in zip(names, groups["curves"], strict=True)
    )
    drawing, x, y = _axes("Risk groups", f"{told}.", "risk-groups", months[-1], "Event-free share", number)
    for k, (curve, name, (colour, dash)) in enumerate(zip(groups["curves"], names, looks, strict=True)):
        drawing.path(_course(x, y, months, curve["value"], 1.0), colour, 2.2, dash)
        said = f"{name}: {whole(groups['patients'][k])} patients, {whole(groups['events'][k])} with the event"
        _key(drawing, k, colour, dash, said)
    return drawing.markup()


def draw_calibration_at(
    performance: Mapping[str, Mapping[str, Any]], schemes: Sequence[str], month: str
) -> Markup | None:
    """Observed over predicted risk at a horizon; None where no scheme has two groups of patients."""
    points = {name: performance[name]["horizons"][month]["calibration_curve"] for name in schemes}
    drawn = [name for name in schemes if len(points[name]) >= _FEWEST_FOR_A_CURVE]
    if not drawn:
        return None
    side = 240
    drawing = Drawing(
        _LEFT + side + 12,
        _TOP + side + 60 + _ROW * len(drawn),
        f"Calibration at {month} months",
        f"Observed against mean predicted risk at {month} months, in groups of patients.",
        "calibration-at-horizon",
    )
    x, y = Scale(0, 1, _LEFT, _LEFT + side), Scale(0, 1, _TOP + side, _TOP)
    for tick in _SHARES:
        drawing.line(x(tick), _TOP, x(tick), _TOP + side, FAINT)
        drawing.line(_LEFT, y(tick), _LEFT + side, y(tick), FAINT)
        drawing.text(x(tick), _TOP + side + 17, f"{tick:g}", "middle", SOFT, 11)
        drawing.text(_LEFT - 7, y(tick) + 4, f"{tick:g}", "end", SOFT, 11)
    drawing.line(x(0), y(0), x(1), y(1), SOFT, 1, "4 4")
    drawing.text(_LEFT + side / 2, _TOP + side + 36, "Mean predicted risk", "middle")
    drawing.upright(15, _TOP + side / 2, "Observed risk")
    for k, name in enumerate(drawn):
        colour, dash, marker = style(name)
        places = [(x(p["predicted"]), y(p["observed"])) for p in points[name]]
        drawing.path(places, colour, 1.8, dash)
        for a, b in places:
            drawing.mark(marker, a, b, colour, 3.6, hollow=name == APPARENT)
        middle = _TOP + side + 52 + _ROW * k
        drawing.line(_LEFT, middle, _LEFT + 30, middle, colour, 2.2, dash)
        drawing.text(_LEFT + 38, middle + 4, words.short(name), size=11)
    return drawing.markup()


def _axes(title: str, told: str, name: str, last: int, axis: str, rows: int) -> tuple[Drawing, Scale, Scale]:
    """Months from 0 on and shares from 0 to 1, with room for a legend of some rows below."""
    drawing = Drawing(_WIDTH, _HEIGHT - 34 + _ROW * rows, title, told, name)
    x, y = Scale(0, last, _LEFT, _RIGHT), Scale(0, 1, _BOTTOM, _TOP)
    step = next((s for s in _STEPS if last / s <= _MOST_TICKS), 120)
    for month in range(0, last + 1, step):
        drawing.line(x(month), _TOP, x(month), _BOTTOM, FAINT)
        drawing.text(x(month), _BOTTOM + 17, str(month), "middle", SOFT, 11)
    for share in _SHARES:
        drawing.line(_LEFT, y(share), _RIGHT, y(share), FAINT)
        drawing.text(_LEFT - 7, y(share) + 4, f"{share:g}", "end", SOFT, 11)
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 34, "Months", "middle")
    drawing.upright(15, (_TOP + _BOTTOM) / 2, axis)
    return drawing, x, y


def _course(
    x: Scale, y: Scale, months: Sequence[int], values: Sequence[float], start: float
) -> list[tuple[float, float]]:
    """Straight between the ends of cells: within a cell nobody knows the course."""
    ends, shares = (0, *months), (start, *values)
    return [(x(m), y(v)) for m, v in zip(ends, shares, strict=True)]


def _key(drawing: Drawing, row: int, colour: str, dash: str, said: str) -> None:
    middle = _BOTTOM + 52 + _ROW * row
    drawing.line(_LEFT, middle, _LEFT + 30, middle, colour, 2.2, dash)
    drawing.text(_LEFT + 38, middle + 4, said, size=11, longest=80)
