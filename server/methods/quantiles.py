"""Quantiles to intervals of ten to nineteen patients: mirrored by client/queries/quantiles.py.

Counts at public edges narrow an interval round each quantile; an interval that holds fewer than twenty patients
is not split again, so what is known of a quantile is an interval, not a patient's value. How many patients an
edge cuts off cannot be known before it is asked, so a count may be small; it is a count alone, and of no outcome.
Rounds: at most 5. What leaves: how many values lie at or below each edge, as masked totals.
"""

from dataclasses import dataclass

import numpy as np

from server.federation import Federation

SMALLEST_INTERVAL = 10
ROUNDS = 5
BOUND_IN_SPREADS = 10.0
"""No more than 1 % of any distribution lies beyond ten standard deviations (Chebyshev)."""


@dataclass(frozen=True)
class Counted:
    """Cumulative counts at the edges asked so far, between public bounds."""

    edges: np.ndarray
    below: np.ndarray
    total: float
    low: float
    high: float

    def with_counts(self, edges: np.ndarray, below: np.ndarray, total: float) -> "Counted":
        """The same with more edges."""
        every, first = np.unique(np.concatenate([self.edges, edges]), return_index=True)
        return Counted(every, np.concatenate([self.below, below])[first], total, self.low, self.high)

    def narrower(self, targets: np.ndarray) -> np.ndarray:
        """Edges that would narrow the intervals round the target counts; none where they may not be split."""
        edges = np.concatenate([[self.low], self.edges, [self.high]])
        counts = np.concatenate([[0.0], self.below, [self.total]])
        new: set[float] = set()
        for target in targets:
            right = min(max(int(np.searchsorted(counts, target, side="left")), 1), len(edges) - 1)
            inside = counts[right] - counts[right - 1]
            if counts[right] == target or inside < 2 * SMALLEST_INTERVAL:
                continue
            share = (target - counts[right - 1]) / inside
            edge = float(edges[right - 1] + share * (edges[right] - edges[right - 1]))
            if edges[right - 1] < edge < edges[right]:
                new.add(edge)
        return np.array(sorted(new))

    def nearest(self, targets: np.ndarray) -> np.ndarray:
        """For each target count the edge whose count is nearest, as far as every interval holds ten patients."""
        kept, reached = list[float](), 0.0
        chosen = {int(np.argmin(np.abs(self.below - target))) for target in targets} if len(self.edges) else set()
        for k in sorted(chosen):
            if min(self.below[k] - reached, self.total - self.below[k]) >= SMALLEST_INTERVAL:
                kept.append(float(self.edges[k]))
                reached = float(self.below[k])
        return np.array(kept)

    def asked_before(self) -> float:
        """An edge that tells nothing new."""
        return float(self.edges[-1]) if len(self.edges) else self.high

    def at(self, target: float) -> float:
        """The value at a target count, linear within its interval."""
        edges = np.concatenate([[self.low], self.edges, [self.high]])
        return float(np.interp(target, np.concatenate([[0.0], self.below, [self.total]]), edges))


def column_quantiles(
    federation: Federation, view: str, split: str, mean: np.ndarray, spread: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Quantiles of every column of a view over the training rows of one split: columns × shares."""
    half = BOUND_IN_SPREADS * np.maximum(spread, 1e-9 * np.maximum(np.abs(mean), 1.0))
    nothing = np.array([])
    counted = [Counted(nothing, nothing, 0.0, float(m - h), float(m + h)) for m, h in zip(mean, half, strict=True)]
    proposed = [m + s * np.array([-1.0, -0.3, 0.3, 1.0]) for m, s in zip(mean, spread, strict=True)]
    for _ in range(ROUNDS):
        edges = pad(proposed, counted)
        sums = federation.ask("column_counts", view=view, splits=[split], arrays={"edges": edges[None]}).sums
        for j, new in enumerate(proposed):
            total = float(sums["known"][0, j])
            counted[j] = counted[j].with_counts(new, sums["below"][0, j, : len(new)], total)
        proposed = [c.narrower(shares * c.total) for c in counted]
        if not any(len(new) for new in proposed):
            break
    return np.array([[c.at(share * c.total) for share in shares] for c in counted])


def pad(edges: list[np.ndarray], counted: list[Counted]) -> np.ndarray:
    """Lists of edges as one array, the last edge of each repeated; a list without edges asks nothing new."""
    width = max(1, max(len(e) for e in edges))
    last = [e[-1] if len(e) else c.asked_before() for e, c in zip(edges, counted, strict=True)]
    return np.array([np.concatenate([e, np.full(width - len(e), x)]) for e, x in zip(edges, last, strict=True)])
