"""Decision curves: net benefit over the threshold of the predicted risk, all schemes overlaid."""

from collections.abc import Mapping
from math import floor, log10
from typing import Any

from markupsafe import Markup

from common.splits import APPARENT
from server.report import words
from server.report.curves import style
from server.report.drawing import FAINT, INK, SOFT, Drawing, Scale
from server.report.numerals import significant
from server.report.performance import schemes
from server.report.survival import schemes as survival_schemes

_WIDTH, _HEIGHT, _LEGEND_ROW = 560, 380, 18
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 550, 10, 330
_BELOW_NOTHING = 0.15
"""How far below 0 the figure reaches, as a share of what can be gained."""


def draw_decision_curve(results: Mapping[str, Any]) -> Markup | None:
    """Net benefit of the study's first model by scheme, of taking all for positive, and none; None without points."""
    judged, share = _by_scheme(results)
    drawn = [s for s in judged if judged[s]]
    if not drawn:
        return None
    curves = {s: [(p["threshold"], p["model"]) for p in judged[s]] for s in drawn}
    most = max(share, *(benefit for points in curves.values() for _, benefit in points), 0.01)
    told = "Net benefit against the threshold of the predicted risk. " + "; ".join(words.short(s) for s in drawn)
    height = _HEIGHT + _LEGEND_ROW * (len(drawn) + 1) + 2
    drawing = Drawing(_WIDTH, height, "Decision curves", f"{told}; everyone positive.", "decision")
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(-_BELOW_NOTHING * most, most * 1.05, _BOTTOM, _TOP)
    _axes(drawing, x, y, most)
    all_positive = [(t / 200, share - (1 - share) * t / (200 - t)) for t in range(200)]
    reaches = [(t, benefit) for t, benefit in all_positive if benefit >= y.low]
    drawing.path([(x(t), y(benefit)) for t, benefit in reaches], SOFT, 1.2, "4 4")
    for scheme in reversed(drawn):
        colour, dash, marker = style(scheme)
        places = [(x(t), y(benefit)) for t, benefit in curves[scheme]]
        drawing.path(places, colour, 2, dash)
        for a, b in places:
            drawing.mark(marker, a, b, colour, 3, hollow=scheme == APPARENT)
    _legend(drawing, drawn)
    return drawing.markup()


def _by_scheme(results: Mapping[str, Any]) -> tuple[dict[str, list[Mapping[str, float]]], float]:
    """The points of every curve, held-out schemes first, and the share with the outcome.

    Of times, at the last judged horizon; weighted for those who were lost where there are such.
    """
    if survival := results.get("survival"):
        found, months = survival["performance"][""], survival["follow_up"]["horizons_judged"]
        at = {s: found[s]["horizons"][str(months[-1])] for s in survival_schemes(results)} if months else {}
        first = next(iter(at.values()), {"observed": 0.0})
        return {scheme: figures.get("decision_curve", []) for scheme, figures in at.items()}, first["observed"]
    named = schemes(results)
    if horizon := results.get("horizon"):
        return {s: horizon["decision_curves"].get(s, []) for s in named}, horizon["incidence"]
    judged = (results.get("usefulness") or {"judged": {}})["judged"]
    there = [s for s in named if s in judged]
    first = results["performance"][there[0]] if there else {"events": 0, "patients": 1}
    return {s: judged[s]["decision_curve"] for s in there}, first["events"] / first["patients"]


def _axes(drawing: Drawing, x: Scale, y: Scale, most: float) -> None:
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        drawing.line(x(tick), _TOP, x(tick), _BOTTOM, FAINT)
        drawing.text(x(tick), _BOTTOM + 17, f"{tick:g}", "middle", SOFT, 11)
    step = _step(most)
    for k in range(int(most * 1.05 / step) + 1):
        drawing.line(_LEFT, y(k * step), _RIGHT, y(k * step), FAINT)
        drawing.text(_LEFT - 7, y(k * step) + 4, significant(k * step, 2), "end", SOFT, 11)
    drawing.line(_LEFT, y(0), _RIGHT, y(0), INK, 1)
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "Threshold of the predicted risk", "middle")
    drawing.upright(15, (_TOP + _BOTTOM) / 2, "Net benefit")


def _step(most: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are three to six ticks."""
    power = 10.0 ** floor(log10(most))
    return next(power * k for k in (0.2, 0.5, 1.0, 2.0) if most / (power * k) <= 6)


def _legend(drawing: Drawing, drawn: list[str]) -> None:
    for k, scheme in enumerate(drawn):
        colour, dash, marker = style(scheme)
        middle = _HEIGHT + _LEGEND_ROW * (k + 0.5)
        drawing.line(_LEFT, middle, _LEFT + 30, middle, colour, 2, dash)
        drawing.mark(marker, _LEFT + 15, middle, colour, 3, hollow=scheme == APPARENT)
        drawing.text(_LEFT + 38, middle + 4, words.short(scheme), size=11)
    middle = _HEIGHT + _LEGEND_ROW * (len(drawn) + 0.5)
    drawing.line(_LEFT, middle, _LEFT + 30, middle, SOFT, 1.2, "4 4")
    drawing.text(_LEFT + 38, middle + 4, "Everyone taken for positive (nobody: 0)", size=11)
