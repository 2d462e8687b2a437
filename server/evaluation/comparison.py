"""Two models of a run, judged on the same patients: DeLong, IDI, NRI, likelihood ratio.

Within hospitals: ΔAUC = Σ mn (AUC_b − AUC_a) / Σ mn over hospitals with m and n patients of the classes, its variance
Σ (mn)² var / (Σ mn)², var by DeLong's placements of both models in one hospital (doi:10.2307/2531595). Exact.
Overall: the middle of both certified AUCs (server/evaluation/discrimination.py); variance V(a) + V(b) − 2 C, with C
from the products of the placements of each patient's two bins. The difference of the pooled AUCs surely lies in the
certificate [low_b − high_a, high_b − low_a]; the interval reaches 1.96 errors beyond the certificate, and p is that of
the certificate's end that is nearest to 0, so that no p is too small.
IDI = mean(d | event) − mean(d | none), d = p_b − p_a, error √(s₁²/n₁ + s₀²/n₀) (doi:10.1002/sim.2929); category-free
NRI = (up − down)/n₁ − (up − down)/n₀ of the classes (doi:10.1002/sim.4085; secondary: it rewards miscalibration).
Both are exact. Likelihood ratio of nested, unpenalised models: 2 (ℓ_large − ℓ_small) against χ² of as many degrees of
freedom as columns were added; exact, and no exchange.
Rounds: 2 for all pairs. What leaves: four numbers a pair of the within-hospital AUCs, seven a class of the risks, one a
class of the placements, as masked totals. Mirrored by client/queries/comparison.py.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

from server.evaluation.discrimination import NORMAL_95, NOT_ESTIMABLE, Discrimination, Estimate, certified_auc
from server.federation import Federation

Pair = tuple[str, str]
SMALLEST_CLASS = 10
"""Risks are compared within classes of ten patients and more."""


@dataclass(frozen=True)
class Tested:
    """A difference, and how likely one as large is without one; None where it cannot be estimated."""

    difference: Estimate
    p_value: float | None


NOT_TESTED = Tested(NOT_ESTIMABLE, None)


@dataclass(frozen=True)
class Comparison:
    """How much better the second model of a pair is than the first."""

    within_sites: Tested
    overall: Tested
    certified: tuple[float, float]
    discrimination_improvement: Tested
    net_reclassification: Tested


@dataclass(frozen=True)
class LikelihoodRatio:
    """The test of a model against one that has some of its columns."""

    statistic: float
    degrees: int
    p_value: float


def compare(
    federation: Federation, view: str, found: Mapping[str, Discrimination], pairs: Sequence[Pair]
) -> dict[Pair, Comparison]:
    """Compare the labels of every pair; both of a pair are of one scheme.

    Parameters
    ----------
    found
        How every label discriminates, with its edges and histogram.
    """
    if not pairs:
        return {}
    labels = sorted({label for pair in pairs for label in pair})
    asked = {"schemes": labels, "pairs": [[labels.index(a), labels.index(b)] for a, b in pairs]}
    paired = federation.ask("paired_predictions", view=view, rows="held_out", parameters=asked).sums
    width = max(len(found[label].edges) for label in labels)
    edges = np.array([_to_width(found[label].edges, width) for label in labels])
    placements = np.array([_placements(_to_width(found[label].histogram, width + 1)) for label in labels])
    products = federation.ask(
        "placement_products",
        view=view,
        rows="held_out",
        parameters=asked,
        arrays={"edges": edges, "placements": placements},
    ).sums["products"]
    compared = {}
    for k, (a, b) in enumerate(pairs):
        overall, certified = _overall(found[a], found[b], products[k])
        events, others = paired["by_class"][k][1], paired["by_class"][k][0]
        compared[a, b] = Comparison(
            within_sites=difference_within(paired["within"][k]),
            overall=overall,
            certified=certified,
            discrimination_improvement=_improvement(events, others),
            net_reclassification=_reclassification(events, others),
        )
    return compared


def likelihood_ratio(
    small: float, large: float, columns_of_small: Collection[str], columns_of_large: Collection[str]
) -> LikelihoodRatio | None:
    """Test the larger of two unpenalised fits to the same patients by their log-likelihoods; None if not nested."""
    degrees = len(set(columns_of_large)) - len(set(columns_of_small))
    if degrees < 1 or not set(columns_of_small) <= set(columns_of_large):
        return None
    statistic = max(0.0, 2 * (large - small))
    return LikelihoodRatio(statistic, degrees, float(chi2.sf(statistic, degrees)))


def difference_within(sums: np.ndarray) -> Tested:
    """The difference of two figures within hospitals: of pairs, those won by either, and pairs² times the variance."""
    pairs, won_a, won_b, variance = map(float, sums)
    return normal_test((won_b - won_a) / pairs, float(np.sqrt(variance)) / pairs) if pairs else NOT_TESTED


def _overall(a: Discrimination, b: Discrimination, products: np.ndarray) -> tuple[Tested, tuple[float, float]]:
    if a.overall.value is None or b.overall.value is None:
        return NOT_TESTED, (-1.0, 1.0)
    certified = (b.certified[0] - a.certified[1], b.certified[1] - a.certified[0])
    (first, _), (second, _) = (certified_auc(d.histogram[1], d.histogram[0]) for d in (a, b))
    value_a, error_a = float(first.value or 0), float(first.standard_error or 0)
    value_b, error_b = float(second.value or 0), float(second.standard_error or 0)
    common = 0.0
    for kind, size in ((1, a.events), (0, a.patients - a.events)):
        if size > 1:
            common += (float(products[kind]) - size * value_a * value_b) / (size - 1) / size
    error = float(np.sqrt(max(0.0, error_a**2 + error_b**2 - 2 * common)))
    low, high = certified[0] - NORMAL_95 * error, certified[1] + NORMAL_95 * error
    difference = Estimate(value_b - value_a, max(-1.0, low), min(1.0, high), error)
    nearest = 0.0 if certified[0] <= 0 <= certified[1] else min(map(abs, certified))
    return Tested(difference, _p_value(nearest, error)), certified


def _improvement(events: np.ndarray, others: np.ndarray) -> Tested:
    if min(events[0], others[0]) < SMALLEST_CLASS:
        return NOT_TESTED
    value, variance = 0.0, 0.0
    for sign, (size, _, _, total, squares, _, _) in ((1, events), (-1, others)):
        value += sign * total / size
        variance += (squares - total**2 / size) / (size - 1) / size
    return normal_test(float(value), float(np.sqrt(max(0.0, variance))))


def _reclassification(events: np.ndarray, others: np.ndarray) -> Tested:
    if min(events[0], others[0]) < SMALLEST_CLASS:
        return NOT_TESTED
    value, variance = 0.0, 0.0
    for sign, (size, _, _, _, _, up, down) in ((1, events), (-1, others)):
        value += sign * (up - down) / size
        variance += (up + down - (up - down) ** 2 / size) / size**2
    return normal_test(float(value), float(np.sqrt(max(0.0, variance))), 2.0)


def normal_test(value: float, error: float, most: float = 1.0) -> Tested:
    """A difference by the normal distribution, within ± most."""
    return Tested(Estimate.normal(value, error, -most, most), _p_value(abs(value), error))


def _p_value(difference: float, error: float) -> float:
    """Two-sided, by the normal distribution; 1 for no difference at all."""
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(difference / error))


def _placements(histogram: np.ndarray) -> np.ndarray:
    """For each bin the share of the events above it (row 0, for the others) and of the others below it (row 1)."""
    negative, positive = histogram
    below = (np.cumsum(negative) - negative / 2) / max(1.0, float(negative.sum()))
    above = 1 - (np.cumsum(positive) - positive / 2) / max(1.0, float(positive.sum()))
    return np.clip(np.array([above, below]), 0.0, 1.0)


def _to_width(array: np.ndarray, width: int) -> np.ndarray:
    """Filled up along the last axis: edges with an edge that makes no bin, counts with empty bins."""
    missing = width - array.shape[-1]
    if array.ndim == 1:
        return np.concatenate([array, np.ones(missing)])
    return np.concatenate([array, np.zeros((len(array), missing))], axis=1)
