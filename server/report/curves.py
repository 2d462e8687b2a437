"""ROC and calibration curves of all schemes, overlaid."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from server.report import words
from server.report.drawing import BLUE, FAINT, GREY, ORANGE, PURPLE, SOFT, Drawing, Marker, Scale
from server.report.numerals import fixed
from server.report.performance import schemes

_WIDTH, _HEIGHT, _LEGEND_ROW = 430, 424, 18
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 420, 10, 376
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_FEWEST_FOR_A_CURVE = 2

STYLES: Mapping[str, tuple[str, str, Marker]] = {
    words.KFOLD: (BLUE, "", "circle"),
    LEAVE_ONE_HOSPITAL_OUT: (ORANGE, "7 3", "square"),
    APPARENT: (GREY, "2 3", "diamond"),
}
_OTHER: tuple[str, str, Marker] = (PURPLE, "10 3 2 3", "circle")


def style(scheme: str) -> tuple[str, str, Marker]:
    """Colour, dashes and marker of a scheme, the same in every figure."""
    return STYLES.get(scheme, _OTHER)


def draw_roc(results: Mapping[str, Any]) -> Markup | None:
    """Sensitivity over 1 − specificity; None if no scheme has both classes."""
    found = results["performance"]
    drawn = [s for s in schemes(results) if found[s]["overall"]["auc"]["value"] is not None and found[s]["roc"]]
    if not drawn:
        return None
    legend = [f"{words.short(s)}: AUC {fixed(found[s]['overall']['auc']['value'], 2)}" for s in drawn]
    told = "Sensitivity against 1 − specificity. " + "; ".join(legend) + "."
    drawing, x, y = _square("ROC curves", told, "roc", ("1 − specificity", "Sensitivity"), len(drawn))
    for scheme in reversed(drawn):
        colour, dash, _ = style(scheme)
        drawing.path([(x(a), y(b)) for a, b in found[scheme]["roc"]], colour, 2.2, dash)
    _legend(drawing, drawn, legend, marked=False)
    return drawing.markup()


def draw_calibration(results: Mapping[str, Any]) -> Markup | None:
    """Observed over predicted risk in groups of patients; None if no scheme has two groups."""
    found = results["performance"]
    drawn = [s for s in schemes(results) if len(found[s]["calibration_curve"]) >= _FEWEST_FOR_A_CURVE]
    if not drawn:
        return None
    legend = []
    for scheme in drawn:
        slope = found[scheme]["overall"]["calibration"]["slope"]["value"]
        legend.append(f"{words.short(scheme)}: slope {fixed(slope, 2)}")
    told = "Observed share against mean predicted risk, in groups of patients. " + "; ".join(legend) + "."
    axes = ("Mean predicted risk", "Observed share")
    drawing, x, y = _square("Calibration curves", told, "calibration", axes, len(drawn))
    for scheme in reversed(drawn):
        colour, dash, marker = style(scheme)
        points = [(x(p["predicted"]), y(p["observed"])) for p in found[scheme]["calibration_curve"]]
        drawing.path(points, colour, 1.8, dash)
        for a, b in points:
            drawing.mark(marker, a, b, colour, 3.6, hollow=scheme == APPARENT)
    _legend(drawing, drawn, legend, marked=True)
    return drawing.markup()


def _square(title: str, told: str, name: str, axes: tuple[str, str], rows: int) -> tuple[Drawing, Scale, Scale]:
    """Axes from 0 to 1 with a diagonal, and room for a legend of some rows below."""
    drawing = Drawing(_WIDTH, _HEIGHT + _LEGEND_ROW * rows + 2, title, told, name)
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, _BOTTOM, _TOP)
    for tick in _TICKS:
        drawing.line(x(tick), _TOP, x(tick), _BOTTOM, FAINT)
        drawing.line(_LEFT, y(tick), _RIGHT, y(tick), FAINT)
        drawing.text(x(tick), _BOTTOM + 17, f"{tick:g}", "middle", SOFT, 11)
        drawing.text(_LEFT - 7, y(tick) + 4, f"{tick:g}", "end", SOFT, 11)
    drawing.line(x(0), y(0), x(1), y(1), SOFT, 1, "4 4")
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, axes[0], "middle")
    drawing.upright(15, (_TOP + _BOTTOM) / 2, axes[1])
    return drawing, x, y


def _legend(drawing: Drawing, drawn: Sequence[str], words_of: Sequence[str], marked: bool) -> None:
    """Below the axes, where it covers no point."""
    for k, (scheme, said) in enumerate(zip(drawn, words_of, strict=True)):
        colour, dash, marker = style(scheme)
        middle = _HEIGHT + _LEGEND_ROW * (k + 0.5)
        drawing.line(_LEFT, middle, _LEFT + 30, middle, colour, 2.2, dash)
        if marked:
            drawing.mark(marker, _LEFT + 15, middle, colour, 3.6, hollow=scheme == APPARENT)
        drawing.text(_LEFT + 38, middle + 4, said, size=11, longest=56)
