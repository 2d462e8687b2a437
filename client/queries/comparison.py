"""Two models' predictions of the same patients, side by side: mirrored by server/evaluation/comparison.py."""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field, StrictInt, ValidationInfo, field_validator
from scipy.stats import rankdata

from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.query import Answer

Number = Annotated[StrictInt, Field(ge=0)]


def _named(pairs: tuple[tuple[int, int], ...], info: ValidationInfo) -> tuple[tuple[int, int], ...]:
    labels = len(info.data.get("schemes", ()))
    if any(a == b or max(a, b) >= labels for a, b in pairs):
        raise ValueError(f"a pair is of two different numbers below {labels}, the number of labels")
    return pairs


Pairs = Annotated[tuple[tuple[Number, Number], ...], Field(min_length=1, max_length=500), AfterValidator(_named)]
"""Numbers of labels that are held against each other."""


class PairedPredictions(Parameters):
    """The labels, and which of them are held against each other."""

    schemes: Schemes
    pairs: Pairs


class PlacementProducts(Parameters):
    """The same pairs; every label's bins, and the placement of each bin among the patients of the other class."""

    schemes: Schemes
    pairs: Pairs
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]
    placements: bounded_array(3, 0.0, 1.0)  # type: ignore[valid-type]

    @field_validator("edges")
    @classmethod
    def _few(cls, edges: np.ndarray, info: ValidationInfo) -> np.ndarray:
        if len(edges) != len(info.data.get("schemes", ())):
            raise ValueError(f"found edges for {len(edges)} labels, expected a row a label")
        return few_and_ascending(edges)

    @field_validator("placements")
    @classmethod
    def _in_order(cls, placements: np.ndarray, info: ValidationInfo) -> np.ndarray:
        edges = info.data.get("edges", np.zeros((0, 0)))
        expected = (len(edges), 2, edges.shape[1] + 1)
        if placements.shape != expected:
            raise ValueError(f"found the shape {placements.shape}, expected {expected}")
        if (np.diff(placements[:, 1]) < 0).any() or (np.diff(placements[:, 0]) > 0).any():
            raise ValueError("the more risk, the more patients of the other class lie on the side of less")
        return placements


@query(
    "paired_predictions",
    PairedPredictions,
    leaves="For two models: the hospital's part of both within-hospital AUCs and of the error of their difference; for "
    "patients with and without the outcome, sums of the two predicted risks, of their difference and its square, and "
    "how many have a higher or a lower risk by the second.",
)
def paired_predictions(rows: Rows, parameters: PairedPredictions) -> Answer:
    """Per pair (a, b): pairs of patients, those won by a and b, their variance; Σp, Σd, Σd², Σ[d>0], Σ[d<0] a class."""
    within = np.zeros((len(parameters.pairs), 4))
    by_class = np.zeros((len(parameters.pairs), 2, 7))
    risks = {k: rows.probabilities(label) for k, label in enumerate(parameters.schemes)}
    for k, (a, b) in enumerate(parameters.pairs):
        (first, outcome), (second, _) = risks[a], risks[b]
        difference = second - first
        for kind in (0, 1):
            own = outcome == kind
            d = difference[own]
            by_class[k, kind] = [
                own.sum(), first[own].sum(), second[own].sum(), d.sum(), (d**2).sum(), (d > 0).sum(), (d < 0).sum()
            ]  # fmt: skip
        pairs = float(by_class[k, 0, 0] * by_class[k, 1, 0])
        if pairs:
            won_a, won_b, variance = _paired(first, second, outcome)
            within[k] = [pairs, won_a * pairs, won_b * pairs, variance * pairs**2]
    return Answer(sums={"within": within, "by_class": by_class})


@query(
    "placement_products",
    PlacementProducts,
    leaves="For two models: over patients with and without the outcome, the sum of products of the shares of the other "
    "class that each model places below or above the patient's bin.",
)
def placement_products(rows: Rows, parameters: PlacementProducts) -> Answer:
    """Per pair and class Σ v_a v_b, v being the placement of a patient's bin: what two AUCs have in common."""
    placed = []
    for k, label in enumerate(parameters.schemes):
        risk, outcome = rows.probabilities(label)
        bin_of = np.searchsorted(parameters.edges[k], risk, side="left")
        placed.append(parameters.placements[k, outcome.astype(int), bin_of])
    products = np.zeros((len(parameters.pairs), 2))
    for k, (a, b) in enumerate(parameters.pairs):
        _, outcome = rows.scores(parameters.schemes[a])
        for kind in (0, 1):
            products[k, kind] = (placed[a] * placed[b])[outcome == kind].sum()
    return Answer(sums={"products": products})


def _paired(first: np.ndarray, second: np.ndarray, outcome: np.ndarray) -> tuple[float, float, float]:
    """Two AUCs of the same patients and the variance of their difference (DeLong, doi:10.2307/2531595)."""
    (v10_a, v01_a), (v10_b, v01_b) = (_placements(risk, outcome) for risk in (first, second))
    # One patient of a class shows no variance: a difference within ±1 has at most 1.
    variance = sum(
        float((b - a).var(ddof=1)) / len(a) if len(a) > 1 else 1.0 for a, b in ((v10_a, v10_b), (v01_a, v01_b))
    )
    return float(v10_a.mean()), float(v10_b.mean()), variance


def _placements(risk: np.ndarray, outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each patient the share of the other class that it is ordered rightly against, ties a half."""
    positive, negative = risk[outcome == 1], risk[outcome == 0]
    together = rankdata(np.concatenate([positive, negative]))
    m = len(positive)
    v10 = (together[:m] - rankdata(positive)) / len(negative)
    v01 = 1.0 - (together[m:] - rankdata(negative)) / m
    return v10, v01
