"""Two models of an event at a horizon on the same patients: ΔAUC within hospitals and IDI, weighted.

With the weights w of the known patients (server/evaluation/horizon.py), ΔAUC = Σ (won_b − won_a) / Σ pairs over
hospitals, won and pairs being sums of products of weights; its variance is DeLong's of both models' placements in each
hospital. IDI = Σ w d / Σ w of patients with the event less that of the others, d = p_b − p_a; error
√(Σ w² (d − d̄)²/(Σw)²) of both classes. Weights are taken as known. Exact. Round: one for all pairs. What leaves: four
numbers a pair, and five a class, as masked totals. Mirrored by client/queries/horizon_comparison.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.evaluation.comparison import NOT_TESTED, SMALLEST_CLASS, Pair, Tested, difference_within, normal_test
from server.federation import Federation


@dataclass(frozen=True)
class ComparedAtHorizon:
    """How much better the second model of a pair is than the first."""

    within_sites: Tested
    discrimination_improvement: Tested


def compare_at_horizon(federation: Federation, view: str, pairs: Sequence[Pair]) -> dict[Pair, ComparedAtHorizon]:
    """Compare the labels of every pair; both of a pair are of one scheme."""
    if not pairs:
        return {}
    labels = sorted({label for pair in pairs for label in pair})
    asked = {"schemes": labels, "pairs": [[labels.index(a), labels.index(b)] for a, b in pairs]}
    sums = federation.ask("paired_at_horizon", view=view, rows="held_out", parameters=asked).sums
    return {
        pair: ComparedAtHorizon(difference_within(sums["within"][k]), _improvement(sums["by_class"][k]))
        for k, pair in enumerate(pairs)
    }


def _improvement(by_class: np.ndarray) -> Tested:
    if by_class[:, 0].min() < SMALLEST_CLASS:
        return NOT_TESTED
    value = variance = 0.0
    for sign, (weights, differences, squares, first, second) in zip((-1, 1), by_class, strict=True):
        mean = differences / weights
        value += sign * mean
        variance += (second - 2 * mean * first + mean**2 * squares) / weights**2
    return normal_test(float(value), float(np.sqrt(max(0.0, variance))), 1.0)
