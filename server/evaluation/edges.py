"""Edges for histograms of predicted risk: public thresholds first, quantiles between them, ten patients in every bin.

Counts at edges that do not look at the outcome come first; the classes are then asked about at some of these edges
only. A threshold is kept where it is as many patients away from the last one as a bin holds; so two totals of a
decision curve, or of it and the ROC curve, are over ten patients and more that differ, or over the same ones.
Rounds: at most 4. What leaves: how many predicted risks lie at or below each edge, and the classes' sizes.
"""

from itertools import pairwise

import numpy as np

from common.dimension import times_allowed
from server.federation import Federation
from server.methods.quantiles import SMALLEST_INTERVAL, Counted, pad

MOST_BINS = 50
PATIENTS_OF_SMALLER_CLASS_A_BIN = 5
NARROWING_ROUNDS = 4
FEWEST_ALLOWED = 16
"""Edges that every hospital answers, however few patients there are."""
EIGHTHS = np.linspace(0, 1, 9)[1:-1]
SAME = 1e-4
"""Two edges this close are one, with rounding between them: a gate would refuse both."""
APART = 0.03
"""An eighth this close to a threshold would tell little more."""


def choose_edges(federation: Federation, view: str, labels: tuple[str, ...], thresholds: np.ndarray) -> np.ndarray:
    """Inner edges a label, padded to one length with edges that make no bin."""
    nothing = np.array([])
    counted = [Counted(nothing, nothing, 0.0, 0.0, 1.0) for _ in labels]
    proposed = [_first(thresholds) for _ in labels]
    bins = [1 for _ in labels]
    for _ in range(NARROWING_ROUNDS):
        sums = federation.ask(
            "score_counts",
            view=view,
            rows="held_out",
            parameters={"schemes": list(labels)},
            arrays={"edges": pad(proposed, counted)},
        ).sums
        for k, new in enumerate(proposed):
            classes = sums["classes"][k]
            patients = float(classes.sum())
            bins[k] = _bins(patients, float(classes.min()))
            counted[k] = counted[k].with_counts(new, sums["below"][k, : len(new)], patients)
        proposed = [_next(c, b, thresholds) for c, b in zip(counted, bins, strict=True)]
        if not any(len(new) for new in proposed):
            break
    # A label without edges is one bin: no probability lies above 1.
    whole = [Counted(nothing, nothing, 0.0, 0.0, 1.0) for _ in labels]
    return pad([_chosen(c, b, thresholds) for c, b in zip(counted, bins, strict=True)], whole)


def _bins(patients: float, smaller_class: float) -> int:
    """As many bins as the cells allow."""
    allowed = min(smaller_class // PATIENTS_OF_SMALLER_CLASS_A_BIN, patients // SMALLEST_INTERVAL, MOST_BINS)
    return max(1, int(allowed))


def _first(thresholds: np.ndarray) -> np.ndarray:
    """About eight edges: some of the thresholds, or all of a few and eighths between them."""
    if len(thresholds) > len(EIGHTHS):
        return thresholds[np.unique(np.linspace(0, len(thresholds) - 1, len(EIGHTHS)).round().astype(int))]
    apart = [e for e in EIGHTHS if not len(thresholds) or np.abs(thresholds - e).min() >= APART]
    return np.array(sorted([*thresholds, *apart]))


def _next(counted: Counted, bins: int, thresholds: np.ndarray) -> np.ndarray:
    """Thresholds that were not asked yet where a bin could be split, and edges nearer to the targets.

    A hospital answers edges up to a third of all patients (client/gate_rules/edges.py); half of them may be thresholds.
    """
    edges = np.concatenate([[counted.low], counted.edges, [counted.high]])
    inside = np.diff(np.concatenate([[0.0], counted.below, [counted.total]]))
    free = [
        t
        for t in np.setdiff1d(thresholds, counted.edges)
        if inside[np.searchsorted(edges, t) - 1] >= 2 * SMALLEST_INTERVAL
    ]
    allowed = max(FEWEST_ALLOWED, times_allowed(int(counted.total)))
    free = free[: max(0, allowed // 2 - len(counted.edges))]
    _, targets = _layout(counted, bins, thresholds)
    asked = np.concatenate([counted.edges, free])
    nearer = counted.narrower(targets)
    nearer = nearer[[bool(np.abs(asked - edge).min(initial=1.0) > SAME) for edge in nearer]]
    room = allowed - len(counted.edges) - len(free)
    if len(nearer) > room:
        nearer = nearer[np.linspace(0, len(nearer) - 1, max(0, room)).round().astype(int)]
    return np.unique(np.concatenate([free, nearer]))


def _layout(counted: Counted, bins: int, thresholds: np.ndarray) -> tuple[list[int], np.ndarray]:
    """The numbers of the thresholds that stay among the counted edges, and counts at which bins between them end."""
    size = max(counted.total / bins, SMALLEST_INTERVAL)
    kept, reached = list[int](), 0.0
    for j in np.flatnonzero(np.isin(counted.edges, thresholds)):
        if min(counted.below[j] - reached, counted.total - counted.below[j]) >= size:
            kept.append(int(j))
            reached = float(counted.below[j])
    ends = np.concatenate([[0.0], counted.below[kept], [counted.total]])
    targets = [
        low + (high - low) * np.arange(1, parts) / parts
        for low, high in pairwise(ends)
        if (parts := int((high - low) / size + 1e-9)) > 1
    ]
    # A target a rounding error beyond a count would be sought as close to that edge.
    return kept, np.concatenate([[], *targets]).round(6)


def _chosen(counted: Counted, bins: int, thresholds: np.ndarray) -> np.ndarray:
    """The thresholds that stay, and between them the edges nearest to the targets, ten patients apart or more."""
    kept, targets = _layout(counted, bins, thresholds)
    ends = np.concatenate([[0.0], counted.below[kept], [counted.total]])
    chosen = (
        {int(np.argmin(np.abs(counted.below - target))) for target in targets} if len(counted.edges) else set()
    )
    edges, reached = set(kept), 0.0
    for j in sorted(chosen | edges):
        below = float(counted.below[j])
        if j not in edges and below in ends:
            continue  # it would part nobody from a threshold
        next_end = float(ends[ends > below].min(initial=counted.total))
        if j in edges or min(below - reached, next_end - below) >= SMALLEST_INTERVAL:
            edges.add(j)
            reached = below
    return counted.edges[sorted(edges)]
