"""Forest plot of AUC by hospital, and the dot plot of the largest coefficients."""

from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Any

from markupsafe import Markup

from common.splits import APPARENT
from server.report import words
from server.report.curves import style
from server.report.drawing import BLUE, FAINT, GREY, INK, SOFT, Drawing, Scale
from server.report.hospitals import EVENTS_SUPPRESSED
from server.report.model import Coefficient
from server.report.numerals import fixed, interval
from server.report.performance import schemes

HOSPITALS_A_FIGURE = 20
LARGEST_SHOWN = 20
_LEFT, _RIGHT, _WIDTH = 240, 640, 820
_ROW, _GAP = 17, 9
_LOWEST_BLOCK = 34  # two lines of text beside a single row


def draw_forest(results: Mapping[str, Any]) -> list[Markup]:
    """AUC by hospital for every held-out scheme, 20 hospitals a figure; the totals close each figure."""
    found = results["performance"]
    drawn = [s for s in schemes(results) if s != APPARENT] or schemes(results)
    hospitals = list(dict.fromkeys(h for s in drawn for h in found[s]["by_site"]))
    groups = [hospitals[k : k + HOSPITALS_A_FIGURE] for k in range(0, len(hospitals), HOSPITALS_A_FIGURE)]
    return [_forest(results, drawn, group, k) for k, group in enumerate(groups)]


def _forest(results: Mapping[str, Any], drawn: Sequence[str], hospitals: Sequence[str], part: int) -> Markup:
    found = results["performance"]
    block = max(_ROW * len(drawn) + _GAP, _LOWEST_BLOCK)
    first = (block - _GAP - _ROW * len(drawn)) / 2
    height = 34 + block * (len(hospitals) + 2) + 58
    told = f"AUC with 95 % interval for {len(hospitals)} hospitals, within hospitals and overall."
    drawing = Drawing(_WIDTH, height, "AUC by hospital", told, f"forest-{part}")
    x = _auc_axis(drawing, [found[s] for s in drawn], height)
    drawing.text(0, 14, "Hospital (patients, with outcome)", colour=SOFT, size=11)
    drawing.text(_RIGHT + 16, 14, "AUC (95 % interval)", colour=SOFT, size=11)
    top = 34.0
    for hospital in hospitals:
        site = results["sites"].get(hospital, {"patients": "?", "events": None})
        events = EVENTS_SUPPRESSED if site["events"] is None else site["events"]
        drawing.text(0, top + (block - _GAP) / 2 - 1, hospital, longest=32)
        drawing.text(0, top + (block - _GAP) / 2 + 12, f"{site['patients']}, {events}", colour=SOFT, size=10)
        _rows(drawing, x, top + first, drawn, [found[s]["by_site"].get(hospital, {}).get("auc") for s in drawn])
        top += block
        drawing.line(0, top - 4.5, _WIDTH, top - 4.5, FAINT)
    for title, key in (("Within hospitals, pooled", "within_sites"), ("Overall", "overall")):
        drawing.text(0, top + (block - _GAP) / 2 + 4, title, bold=True)
        _rows(drawing, x, top + first, drawn, [found[s][key]["auc"] for s in drawn], bold=True)
        top += block
    _key(drawing, drawn, height - 8)
    return drawing.markup()


def _auc_axis(drawing: Drawing, found: Sequence[Mapping[str, Any]], height: float) -> Scale:
    """From the lowest limit, or 0.4, to 1; a line at 0.5, which is chance."""
    every = [own["auc"] for s in found for own in s["by_site"].values()]
    every += [s[key]["auc"] for s in found for key in ("overall", "within_sites")]
    lows = [e["low"] for e in every if e["low"] is not None]
    low = floor(10 * min([0.4, *lows])) / 10
    x = Scale(low, 1.0, _LEFT, _RIGHT)
    bottom = height - 44
    for tenth in range(round(10 * low), 11):
        place = x(tenth / 10)
        chance = tenth == 5
        drawing.line(place, 24, place, bottom, SOFT if chance else FAINT, 1, "4 4" if chance else "")
        drawing.text(place, bottom + 15, f"{tenth / 10:g}", "middle", SOFT, 11)
    return x


def _rows(
    drawing: Drawing,
    x: Scale,
    top: float,
    drawn: Sequence[str],
    estimates: Sequence[Mapping[str, float | None] | None],
    bold: bool = False,
) -> None:
    for k, (scheme, estimate) in enumerate(zip(drawn, estimates, strict=True)):
        colour, dash, marker = style(scheme)
        middle = top + _ROW * (k + 0.5)
        value, low, high = (estimate.get(key) if estimate else None for key in ("value", "low", "high"))
        if estimate is None or value is None or low is None or high is None:
            drawing.text(_RIGHT + 16, middle + 4, "not estimable", colour=SOFT, size=11)
            continue
        drawing.line(x(low), middle, x(high), middle, colour, 1.8, dash if dash != "2 3" else "")
        drawing.mark(marker, x(value), middle, colour, 5 if bold else 4)
        drawing.text(_RIGHT + 16, middle + 4, interval(estimate), size=11, bold=bold)


def _key(drawing: Drawing, drawn: Sequence[str], baseline: float) -> None:
    left = float(_LEFT)
    for scheme in drawn:
        colour, dash, marker = style(scheme)
        drawing.line(left, baseline - 4, left + 30, baseline - 4, colour, 1.8, dash)
        drawing.mark(marker, left + 15, baseline - 4, colour)
        drawing.text(left + 38, baseline, words.short(scheme), size=11, longest=30)
        left += 175


def draw_coefficients(coefficients: Sequence[Coefficient]) -> Markup | None:
    """The largest standardised coefficients with their range over the refits; None without any."""
    chosen = coefficients[:LARGEST_SHOWN]
    if not chosen:
        return None
    left, right, row = 350, 740, 21
    height = 26 + row * len(chosen) + 40
    told = "; ".join(f"{c.column.label} {fixed(c.standardised)}" for c in chosen)
    drawing = Drawing(_WIDTH, height, "Largest standardised coefficients", f"{told}.", "coefficients-figure")
    x, ticks = _symmetric(chosen, left, right)
    bottom = 12 + row * len(chosen)
    for tick in ticks:
        drawing.line(x(tick), 8, x(tick), bottom, SOFT if tick == 0 else FAINT)
        drawing.text(x(tick), bottom + 17, f"{tick:g}".replace("-", "−"), "middle", SOFT, 11)
    for k, c in enumerate(chosen):
        middle = 10 + row * (k + 0.5)
        drawing.text(left - 12, middle + 4, c.column.label, "end", longest=46)
        if c.lowest is not None and c.highest is not None:
            drawing.line(x(c.lowest), middle, x(c.highest), middle, GREY, 1.6)
        drawing.line(x(0), middle, x(c.standardised), middle, BLUE, 1, "1 2")
        drawing.mark("circle", x(c.standardised), middle, BLUE, 4.5)
        drawing.text(right + 14, middle + 4, fixed(c.standardised), size=11)
    title = "Change of the log odds per standard deviation"
    drawing.text((left + right) / 2, bottom + 36, title, "middle", INK)
    return drawing.markup()


def _symmetric(chosen: Sequence[Coefficient], left: float, right: float) -> tuple[Scale, list[float]]:
    """A scale round zero with round ticks."""
    ends = [abs(v) for c in chosen for v in (c.standardised, c.lowest, c.highest) if v is not None]
    largest = max([*ends, 1e-6])
    power = 10.0 ** floor(log10(largest))
    step = next(s * power for s in (0.2, 0.5, 1.0, 2.0, 5.0) if largest / (s * power) <= 3.0)
    count = int(-(-largest // step))
    ticks = [k * step for k in range(-count, count + 1)]
    return Scale(ticks[0], ticks[-1], left, right), ticks
