"""Usefulness, comparisons and parts, as results.json says them (docs/results.md describes every key)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from common.study import Study
from server.evaluation.discrimination import Discrimination
from server.evaluation.operating import OperatingPoint
from server.evaluation.repeats import mean_of, repeats_of
from server.evaluation.use import Use
from server.evaluation.usefulness import calibration_error, decision_curve, scaled_brier

SHARES = ("sensitivity", "specificity", "positive_value", "negative_value")


def usefulness_of(study: Study, use: Use, found: Mapping[str, Discrimination]) -> dict[str, Any] | None:
    """One entry a scheme, model and class; repeats are averaged, and curves are of the first one."""
    if not use.operating:
        return None
    return {
        "thresholds": list(study.evaluation.thresholds),
        "sensitivity_at_least": study.evaluation.sensitivity_at_least,
        "judged": {
            name: _judged(study, [found[r] for r in repeats], [use.operating[r] for r in repeats])
            for name, repeats in repeats_of(found).items()
        },
    }


def parts_of(use: Use) -> dict[str, Any]:
    """By model and group of columns."""
    return {model: {group: asdict(part) for group, part in parts.items()} for model, parts in use.parts.items()}


def _judged(study: Study, found: list[Discrimination], points: list[OperatingPoint]) -> dict[str, Any]:
    scaled = [scaled_brier(f) for f in found]
    errors = [calibration_error(f) for f in found]
    return {
        "decision_curve": [asdict(point) for point in decision_curve(found[0], study.evaluation.thresholds)],
        "classification": {
            "thresholds": {split: cut for point in points for split, cut in point.thresholds.items()},
            **{name: mean_of([getattr(point, name) for point in points]) for name in SHARES},
        },
        "scaled_brier": None if None in scaled else float(np.mean([s for s in scaled if s is not None])),
        "calibration_error": {
            "mean": float(np.mean([mean for mean, _ in errors])),
            "largest": float(np.max([largest for _, largest in errors])),
        },
    }
