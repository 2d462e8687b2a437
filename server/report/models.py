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
    models = results["models"]
    return [_row(name, found) for name, found in models.items()] if len(models) > 1 else []


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


def _looks_at(found: Mapping[str, Any]) -> str:
    """What a model sees, and how much of it has a weight."""
    if found["stack"] is not None:
        parts = [f"{name} × {fixed(weight, 2)}" for name, weight in found["stack"].items()]
        return "scores of " + ", ".join(parts)
    kinds = [(found["clinical"], "clinical"), (found["radiomics"], "image features")]
    said = ", ".join(f"{number} {kind}" for number, kind in kinds if number) or "no column"
    weighed = found["weighed"]
    return said if weighed == found["clinical"] + found["radiomics"] else f"{said}; {weighed} with a weight"
