"""The report's table of the models of a run, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.splits import LEAVE_ONE_HOSPITAL_OUT
from server.report import words
from server.report.numerals import NOT_ESTIMABLE, estimate_or_words, fixed, interval, significant


@dataclass(frozen=True)
class SideBySide:
    """One model's row, as text."""

    name: str
    looks_at: str
    strength: str
    auc: str
    within: str
    left_out: str
    brier: str
    slope: str


def side_by_side(results: Mapping[str, Any]) -> list[SideBySide]:
    """A row a model, the first one first; none where the study compares nothing."""
    models, survival = results["models"], results.get("survival")
    if len(models) <= 1:
        return []
    return [
        _row_of_times(name, found, survival) if survival else _row(name, found) for name, found in models.items()
    ]


def _row_of_times(name: str, found: Mapping[str, Any], survival: Mapping[str, Any]) -> SideBySide:
    """C for AUC; the Brier score at the last judged horizon."""
    performance, months = survival["performance"][name], survival["follow_up"]["horizons_judged"]
    leading = performance.get(words.KFOLD) or performance.get(LEAVE_ONE_HOSPITAL_OUT)
    return SideBySide(
        name=name or "all predictors",
        looks_at=_looks_at(found),
        strength="–" if found["strength"] is None else significant(found["strength"]),
        auc=_concordance(leading, "overall"),
        within=_concordance(leading, "within_sites"),
        left_out=_concordance(performance.get(LEAVE_ONE_HOSPITAL_OUT), "overall"),
        brier=fixed(leading["horizons"][str(months[-1])]["brier"]) if leading and months else "–",
        slope="",
    )


def _concordance(found: Mapping[str, Any] | None, where: str) -> str:
    return estimate_or_words(found[where]["concordance"], NOT_ESTIMABLE) if found else "–"


def _row(name: str, found: Mapping[str, Any]) -> SideBySide:
    performance = found["performance"]
    leading = performance.get(words.KFOLD) or performance.get(LEAVE_ONE_HOSPITAL_OUT)
    strength = found["strength"]
    return SideBySide(
        name=name or "all predictors",
        looks_at=_looks_at(found),
        strength="–" if strength is None else significant(strength),
        auc=_auc(leading, "overall"),
        within=_auc(leading, "within_sites"),
        left_out=_auc(performance.get(LEAVE_ONE_HOSPITAL_OUT), "overall"),
        brier=fixed(leading["overall"]["brier"]) if leading else "–",
        slope=interval(leading["overall"]["calibration"]["slope"], 2) if leading else "–",
    )


def _auc(found: Mapping[str, Any] | None, where: str) -> str:
    return estimate_or_words(found[where]["auc"], NOT_ESTIMABLE) if found else "–"


_SEEN = {
    "everything": "images",
    "tumour-and-ring": "images of tumour and ring",
    "tumour": "images of the tumour",
}


def _looks_at(found: Mapping[str, Any]) -> str:
    """What a model sees, and how much of it has a weight."""
    if found["stack"] is not None:
        parts = [f"{name} × {fixed(weight, 2)}" for name, weight in found["stack"].items()]
        return "scores of " + ", ".join(parts)
    kinds = [(found["clinical"], "clinical"), (found["radiomics"], "image features")]
    images = [_SEEN[found["image"]]] if found["image"] else []
    said = ", ".join([*(f"{number} {kind}" for number, kind in kinds if number), *images]) or "no column"
    weighed = found["weighed"]
    return said if weighed == found["clinical"] + found["radiomics"] else f"{said}; {weighed} with a weight"
