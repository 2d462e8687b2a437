"""Which of a few features say the same, and which few say most: mirrored by client/queries/redundancy.py.

Spearman: values fall into bins ⌊B·Φ(z)⌋, each value gets its bin's mean rank over all hospitals, and ρ is the
correlation of these. Two rounds: counts a bin; cross-products of ranks. Let w = Σ(c_b³ − c_b)/(N³ − N), the share of a
column's rank variance that is lost within its bins, and s = √(w/(1 − w)): the pooled ρ lies within
s_x + s_y + s_x s_y + |ρ|(s_x² + s_y²)/2. That is the certificate.
mRMR: first the feature of the largest relevance, then again and again the one of the largest relevance divided by its
mean |r| with those chosen (Ding and Peng 2005, doi:10.1142/S0219720005001004). One round: Σx and Σxxᵀ. Exact: r within
1e-12 of the pooled one, the same order.
What leaves: counts a bin, and cross-products of at most as many columns as the patients allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.federation import Federation
from server.methods.messages import MOST_NUMBERS, in_messages
from server.methods.pipeline import Prepared

MOST_BINS, FEWEST_BINS = 512, 16
PATIENTS_A_BIN = 3
MOST_MESSAGES = 4
SMALLEST_CORRELATION = 1e-12

Columns = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ among the columns of one split, and how far each may lie from the pooled one."""

    rho: np.ndarray
    certificate: np.ndarray


def spearman(federation: Federation, prepared: Prepared, columns: Columns) -> list[RankCorrelation]:
    """ρ among the columns that are named for every split."""
    widest = max(map(len, columns))
    affordable = MOST_MESSAGES * MOST_NUMBERS // (widest * len(columns))
    number = int(np.clip(min(prepared.rows.min() // PATIENTS_A_BIN, affordable), FEWEST_BINS, MOST_BINS))
    found: list[RankCorrelation] = []
    for asked, splits in in_messages(federation.splits, widest * max(number, (widest + 1) // 2)):
        named = [columns[k] for k in asked]
        if not any(named):
            found += [_of_ranks(np.zeros((0, 0)), np.zeros((number, 0))) for _ in asked]
            continue
        parameters = {"columns": [list(own) for own in named]}
        counts = federation.ask(
            "rank_histograms", view=prepared.view, splits=splits, parameters=parameters | {"bins": number}
        ).sums["counts"]
        counts = np.rint(counts)
        sums = federation.ask(
            "rank_products", view=prepared.view, splits=splits, parameters=parameters, arrays={"counts": counts}
        ).sums
        for own, of_bins, packed in zip(named, counts, sums["products"], strict=True):
            products = _unpacked(packed, of_bins.shape[1])[: len(own), : len(own)]
            found.append(_of_ranks(products, of_bins[:, : len(own)]))
    return found


def pearson(federation: Federation, prepared: Prepared, columns: Columns) -> list[np.ndarray]:
    """Pearson's r among the columns that are named for every split."""
    widest = max(map(len, columns))
    found: list[np.ndarray] = []
    for asked, splits in in_messages(federation.splits, widest * (widest + 3) // 2):
        named = [columns[k] for k in asked]
        if not any(named):
            found += [np.zeros((0, 0)) for _ in asked]
            continue
        sums = federation.ask(
            "feature_products",
            view=prepared.view,
            splits=splits,
            parameters={"columns": [list(own) for own in named]},
        ).sums
        for k, own, first, packed in zip(asked, named, sums["first"], sums["products"], strict=True):
            products = _unpacked(packed, len(first))[: len(own), : len(own)]
            centred = products - np.outer(first[: len(own)], first[: len(own)]) / prepared.rows[k]
            found.append(_correlation(centred))
    return found


def without_the_alike(relevance: np.ndarray, correlation: np.ndarray, threshold: float) -> np.ndarray:
    """A mask: from the most relevant on, whatever is not too like one that was kept before."""
    kept: list[int] = []
    for j in np.argsort(-relevance, kind="stable"):
        if not kept or np.abs(correlation[j, kept]).max() <= threshold:
            kept.append(int(j))
    mask = np.zeros(len(relevance), dtype=bool)
    mask[kept] = True
    return mask


def most_relevant(relevance: np.ndarray, correlation: np.ndarray, number: int) -> list[int]:
    """The order in which mRMR chooses."""
    chosen: list[int] = []
    alike = np.zeros(len(relevance))
    for place in range(min(number, len(relevance))):
        gain = relevance / np.maximum(alike / place, SMALLEST_CORRELATION) if place else relevance.copy()
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        alike += np.abs(correlation[chosen[-1]])
    return chosen


def _of_ranks(products: np.ndarray, counts: np.ndarray) -> RankCorrelation:
    rho = _correlation(products)
    patients = np.maximum(counts.sum(axis=0), 2)
    lost = (counts**3 - counts).sum(axis=0) / (patients**3 - patients)
    s = np.sqrt(lost / np.maximum(1 - lost, 1e-12))
    pairs, squares = np.add.outer(s, s), np.add.outer(s**2, s**2)
    return RankCorrelation(rho, pairs + np.outer(s, s) + np.abs(rho) * squares / 2)


def _correlation(products: np.ndarray) -> np.ndarray:
    """Cross-products of centred columns, each divided by its column's spread; a constant column is like none."""
    scale = np.sqrt(np.maximum(np.diag(products), 0.0))
    known = scale > 0
    found: np.ndarray = products / np.outer(np.where(known, scale, 1.0), np.where(known, scale, 1.0))
    return np.clip(np.where(np.outer(known, known), found, 0.0), -1.0, 1.0)


def _unpacked(packed: np.ndarray, width: int) -> np.ndarray:
    full = np.zeros((width, width))
    rows, columns = np.triu_indices(width)
    full[rows, columns] = packed
    full[columns, rows] = packed
    return full
