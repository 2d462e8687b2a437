"""Features made of two others: enhancement between phases, contrast between ring and tumour."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from common.features import Comparison

SMALLEST_DIVISOR = 1e-9


def compare(row: Mapping[str, float], comparisons: Sequence[Comparison]) -> dict[str, float]:
    """A study's comparisons of one row of single features.

    Names join the pair where the single feature names its phase or region:
    ``portal-minus-arterial_tumour_original_firstorder_Mean``, ``portal_ring5mm-over-tumour_original_…``.
    """
    found: dict[str, float] = {}
    for comparison in comparisons:
        first, _ = comparison.phases or comparison.regions or ("", "")
        for name, value in row.items():
            phase, region, feature = name.split("_", 2)
            here = phase if comparison.phases else region
            if here != first or not any(fnmatchcase(feature, pattern) for pattern in comparison.features):
                continue
            other = row.get(_other(comparison, phase, region, feature))
            if other is not None:
                found[_name(comparison, phase, region, feature)] = _compared(comparison, value, other)
    return found


def _other(comparison: Comparison, phase: str, region: str, feature: str) -> str:
    if comparison.phases:
        return f"{comparison.phases[1]}_{region}_{feature}"
    assert comparison.regions is not None
    return f"{phase}_{comparison.regions[1]}_{feature}"


def _name(comparison: Comparison, phase: str, region: str, feature: str) -> str:
    joined = comparison.joined()
    return f"{joined}_{region}_{feature}" if comparison.phases else f"{phase}_{joined}_{feature}"


def _compared(comparison: Comparison, value: float, other: float) -> float:
    if comparison.kind == "difference":
        return value - other
    if abs(other) < SMALLEST_DIVISOR:
        return float(np.nan)
    return value / other if comparison.kind == "ratio" else (value - other) / other
