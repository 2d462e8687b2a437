"""Usefulness, comparisons and parts, as results.json says them (docs/results.md describes every key)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from common.splits import Label
from common.study import Study
from server.evaluation.comparison import Comparison, LikelihoodRatio, Tested
from server.evaluation.discrimination import Discrimination
from server.evaluation.operating import OperatingPoint
from server.evaluation.repeats import kind_of, mean_of, repeats_of
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


def comparisons_of(use: Use) -> list[dict[str, Any]]:
    """One entry for every two models by the same scheme and class; repeats are averaged."""
    entries: dict[tuple[str, str, str, str], list[Comparison]] = {}
    for (first, second), comparison in use.compared.items():
        a, b = Label.read(first), Label.read(second)
        entries.setdefault((kind_of(a.scheme), a.level, a.model, b.model), []).append(comparison)
    return [
        {"scheme": scheme, "class": level or None, "first": first, "second": second, **_compared(repeats)}
        | {"likelihood_ratio": ratio_of(use, first, second)}
        for (scheme, level, first, second), repeats in entries.items()
    ]


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


def _compared(repeats: list[Comparison]) -> dict[str, Any]:
    return {
        "within_sites": tested_of([c.within_sites for c in repeats]),
        "overall": tested_of([c.overall for c in repeats])
        | {
            "certified_low": float(np.mean([c.certified[0] for c in repeats])),
            "certified_high": float(np.mean([c.certified[1] for c in repeats])),
        },
        "discrimination_improvement": tested_of([c.discrimination_improvement for c in repeats]),
        "net_reclassification": tested_of([c.net_reclassification for c in repeats]),
    }


def ratio_of(use: Use, first: str, second: str) -> dict[str, Any] | None:
    """The test of the smaller of two models against the larger, where one has all columns of the other."""
    for pair in ((first, second), (second, first)):
        ratio: LikelihoodRatio | None = use.likelihood_ratios.get(pair)
        if ratio is not None:
            return {"smaller": pair[0], **asdict(ratio)}
    return None


def tested_of(repeats: list[Tested]) -> dict[str, Any]:
    """Means over repeats, and the median of the p-values."""
    known = [t.p_value for t in repeats if t.p_value is not None]
    p_value = float(np.median(known)) if len(known) == len(repeats) else None
    return mean_of([t.difference for t in repeats]) | {"p_value": p_value}
