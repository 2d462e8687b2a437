"""The report's section on harmonisation: one picture, one table, the sentence of advice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from common.study import Study
from server.report.columns import describe
from server.report.drawing import BLUE, FAINT, GREY, INK, ORANGE, PURPLE, SOFT, Drawing, Marker, Scale
from server.report.numerals import fixed, significant

_WIDTH, _HEIGHT = 900, 330
_TOP, _BOTTOM = 44, 262
_BINS = 16
_MOST_POINTS = 600
_MARKERS: tuple[Marker, ...] = ("circle", "square", "diamond")
_CHANCE = 0.05
_EFFECTS = (
    ("location", "Mean (ANOVA)"),
    ("spread", "Spread (Brown–Forsythe)"),
    ("kruskal", "Ranks (Kruskal–Wallis)"),
)


@dataclass(frozen=True)
class Row:
    """One figure before and after, and what to hold it against."""

    name: str
    before: str
    after: str
    remark: str


@dataclass(frozen=True)
class Section:
    """What the report says of harmonisation; without a figure where it was not judged."""

    sentence: str
    verdict: str
    figure: Markup | None
    rows: tuple[Row, ...]
    patients: int
    folds: int
    features: int
    adjusted_for: str


def section(results: Mapping[str, Any], study: Study) -> Section | None:
    """None where the study does not harmonise."""
    found = results.get("harmonisation")
    if found is None:
        return None
    sentence, verdict = found["advice"]["sentence"], found["advice"]["verdict"]
    if "before" not in found:
        return Section(sentence, verdict, None, (), 0, 0, 0, "")
    adjusted = ", ".join(_label(study, name) for name in found["adjusted_for"])
    return Section(
        sentence=sentence,
        verdict=verdict,
        figure=_draw(found, study),
        rows=tuple(_rows(found, study)),
        patients=found["patients"],
        folds=found["folds"],
        features=len(found["features"]),
        adjusted_for=adjusted,
    )


def _label(study: Study, name: str) -> str:
    return describe(study, name).label


def _rows(found: Mapping[str, Any], study: Study) -> list[Row]:
    """The table, from the hospital effect to what must be kept."""
    before, after, retest = found["before"], found["after"], found["retest"]
    rows = [
        Row(
            f"Features with a hospital effect: {title[0].lower()}{title[1:]}",
            _percent(before[key]["share"]),
            _percent(after[key]["share"]),
            "p < 0.05; 5 % by chance",
        )
        for key, title in _EFFECTS
    ]
    rows += [
        Row(
            f"Variance explained by {title}",
            _percent(before[key]["omega_squared"], 1),
            _percent(after[key]["omega_squared"], 1),
            "ω², mean over features; 0 by chance",
        )
        for key, title in (("location", "hospital"), ("location_with_scanner", "hospital and scanner"))
        if before[key] and after[key]
    ]
    rows.append(_classifier_row(before["classifier"], after["classifier"], found["covariates_only"]))
    rows += [
        Row(
            f"Signal of {_label(study, name)}",
            significant(before["biology"][name], 2),
            significant(after["biology"][name], 2),
            "mean |t| over features, within hospitals; should stay",
        )
        for name in before["biology"]
    ]
    if retest:
        remark = f"Lin's concordance, {retest['pairs']} patients; 1 is perfect"
        rows.append(
            Row("Agreement of test and retest", fixed(retest["before"], 2), fixed(retest["after"], 2), remark)
        )
    return rows


def _classifier_row(
    before: Mapping[str, Any], after: Mapping[str, Any], covariates: Mapping[str, Any] | None
) -> Row:
    remark = f"AUC; up to {fixed(after['by_chance_high'], 2)} by chance"
    if covariates:
        remark += f", {fixed(covariates['auc'], 2)} from the preserved covariates alone"
    return Row("How well a hospital can be told", fixed(before["auc"], 2), fixed(after["auc"], 2), remark)


def _percent(share: float, digits: int = 0) -> str:
    return f"{fixed(100 * share, digits)} %"


def _draw(found: Mapping[str, Any], study: Study) -> Markup:
    """Three panels: how many features tell the hospital, how much, and whether biology stayed."""
    shares = "; ".join(
        f"{title}: {_percent(found['before'][key]['share'])} before, {_percent(found['after'][key]['share'])} after"
        for key, title in _EFFECTS
    )
    told = f"Features with a hospital effect. {shares}. Biology kept: {_percent(found['biology_kept'])}."
    drawing = Drawing(_WIDTH, _HEIGHT, "Harmonisation, before and after", told, "harmonisation-figure")
    _draw_shares(drawing, found)
    _draw_sizes(drawing, found)
    _draw_biology(drawing, found, study)
    for left, colour, label, hollow in ((290, ORANGE, "before", True), (450, BLUE, "after", False)):
        drawing.mark("square" if hollow else "circle", left, _HEIGHT - 12, colour, hollow=hollow)
        drawing.text(left + 11, _HEIGHT - 8, f"{label} harmonisation", size=11)
    return drawing.markup()


def _draw_shares(drawing: Drawing, found: Mapping[str, Any]) -> None:
    """A row a test: from the share before to the share after."""
    x = Scale(0, 1, 12, 270)
    drawing.text(12, 18, "Features with a hospital effect", bold=True)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawing.line(x(tick), _TOP, x(tick), _BOTTOM, FAINT)
        drawing.text(x(tick), _BOTTOM + 17, _percent(tick), "middle", SOFT, 11)
    drawing.line(x(_CHANCE), _TOP, x(_CHANCE), _BOTTOM, SOFT, 1, "4 4")
    drawing.text(141, _BOTTOM + 36, "Share of features (dashed: by chance)", "middle")
    step = (_BOTTOM - _TOP) / len(_EFFECTS)
    for k, (key, title) in enumerate(_EFFECTS):
        middle = _TOP + step * (k + 0.62)
        before, after = (found[when][key]["share"] for when in ("before", "after"))
        drawing.text(x(_CHANCE) + 6, middle - 16, title, colour=SOFT, size=11)
        drawing.line(x(before), middle, x(after), middle, SOFT, 1.4)
        drawing.mark("square", x(before), middle, ORANGE, 5, hollow=True)
        drawing.mark("circle", x(after), middle, BLUE, 5)


def _draw_sizes(drawing: Drawing, found: Mapping[str, Any]) -> None:
    """Histograms over features of the variance that hospitals explain."""
    sizes = np.array([feature["location"] for feature in found["features"].values()])
    edges = np.linspace(min(0.0, sizes.min()), max(sizes.max(), 0.1), _BINS + 1)
    counts = [np.histogram(own, edges)[0] for own in sizes.T]
    x = Scale(float(edges[0]), float(edges[-1]), 330, 580)
    y = Scale(0, float(max(c.max() for c in counts)), _BOTTOM, _TOP + 4)
    drawing.text(330, 18, "How large the effect is", bold=True)
    drawing.line(330, _BOTTOM, 580, _BOTTOM, SOFT)
    drawing.line(x(0), _TOP, x(0), _BOTTOM, FAINT)
    for tick in _ticks(float(edges[-1])):
        drawing.text(x(tick), _BOTTOM + 17, _percent(tick), "middle", SOFT, 11)
    for own, colour, dash in ((counts[0], ORANGE, "5 3"), (counts[1], BLUE, "")):
        steps = [(x(edges[0]), y(0.0))]
        for k, count in enumerate(own):
            steps += [(x(edges[k]), y(float(count))), (x(edges[k + 1]), y(float(count)))]
        drawing.path([*steps, (x(edges[-1]), y(0.0))], colour, 2, dash)
    drawing.text(455, _BOTTOM + 36, "Variance explained by hospital, over features", "middle")


def _ticks(high: float) -> list[float]:
    """Three or four round ticks from 0."""
    step = next(s for s in (0.05, 0.1, 0.2, 0.25, 0.5) if high / s <= 4)
    return [k * step for k in range(int(high / step + 1e-9) + 1)]


def _draw_biology(drawing: Drawing, found: Mapping[str, Any], study: Study) -> None:
    """|t| of every covariate and feature, after over before; on the diagonal nothing was lost."""
    names = list(found["before"]["biology"])
    drawing.text(640, 18, f"Biology kept: {_percent(found['biology_kept'])}", bold=True)
    if not names:
        drawing.text(640, _TOP + 20, "no covariate and no outcome to watch", colour=SOFT, size=11)
        return
    points = [
        (abs(feature["t"][name][0]), abs(feature["t"][name][1]), k)
        for feature in found["features"].values()
        for k, name in enumerate(names)
    ]
    points = sorted(points, reverse=True)[:_MOST_POINTS]
    high = max(max(a, b) for a, b, _ in points) * 1.05 or 1.0
    x, y = Scale(0, high, 640, 888), Scale(0, high, _BOTTOM, _TOP)
    drawing.line(640, _BOTTOM, 888, _BOTTOM, SOFT)
    drawing.line(640, _BOTTOM, 640, _TOP, SOFT)
    drawing.line(x(0), y(0), x(high), y(high), SOFT, 1, "4 4")
    for tick in (k * max(1, round(high / 4)) for k in range(1, 6)):
        if tick < high:
            drawing.text(x(tick), _BOTTOM + 17, str(tick), "middle", SOFT, 11)
            drawing.text(634, y(tick) + 4, str(tick), "end", SOFT, 11)
    colours = (INK, PURPLE, GREY)
    for before, after, k in reversed(points):
        drawing.mark(_MARKERS[k % 3], x(before), y(after), colours[k % 3], 2.4, hollow=True)
    for k, name in enumerate(names[:6]):
        drawing.mark(_MARKERS[k % 3], 652, _TOP + 8 + 15 * k, colours[k % 3], 3.4, hollow=True)
        drawing.text(662, _TOP + 12 + 15 * k, _label(study, name), size=10, longest=24)
    drawing.text(764, _BOTTOM + 36, "|t| before (across) and after (up)", "middle")
