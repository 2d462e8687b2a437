"""Quantiles from counts: near the pooled ones, and never closer to a patient than ten."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.methods.quantiles import SMALLEST_INTERVAL, Counted

NOTHING = np.array([])


def narrowed(values: np.ndarray, shares: np.ndarray, low: float, high: float, rounds: int = 6) -> Counted:
    """What the coordinator knows after asking a pooled table for counts."""
    counted = Counted(NOTHING, NOTHING, 0.0, low, high)
    edges = np.linspace(low, high, 9)[1:-1]
    for _ in range(rounds):
        below = np.searchsorted(np.sort(values), edges, side="right").astype(float)
        counted = counted.with_counts(edges, below, float(len(values)))
        edges = counted.narrower(shares * len(values))
        if not len(edges):
            break
    return counted


def test_quantiles_are_near_the_pooled_ones() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 2000)
    shares = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    counted = narrowed(values, shares, 0.0, 60.0)
    for share in shares:
        rank = (values <= counted.at(share * 2000)).mean()
        assert abs(rank - share) < 0.02


@settings(max_examples=50, deadline=None)
@given(st.integers(30, 400), st.integers(0, 2**31))
def test_an_interval_with_fewer_than_twenty_patients_is_never_split(patients: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 1, patients)
    targets = patients * np.array([0.25, 0.5, 0.75])
    counted = Counted(NOTHING, NOTHING, 0.0, 0.0, 1.0)
    edges = np.array([0.5])
    for _ in range(20):
        below = np.searchsorted(np.sort(values), edges, side="right").astype(float)
        counted = counted.with_counts(edges, below, float(patients))
        edges = counted.narrower(targets)
        bounds = np.concatenate([[0.0], counted.edges, [1.0]])
        sizes = np.diff(np.concatenate([[0.0], counted.below, [patients]]))
        for edge in edges:
            assert sizes[np.searchsorted(bounds, edge) - 1] >= 2 * SMALLEST_INTERVAL
        if not len(edges):
            break


def test_edges_of_equal_counts_are_taken_once() -> None:
    counted = Counted(np.array([0.1, 0.2, 0.3]), np.array([10.0, 20.0, 30.0]), 40.0, 0.0, 1.0)
    assert counted.nearest(np.array([9.0, 11.0, 29.0])).tolist() == [0.1, 0.3]
    assert len(Counted(NOTHING, NOTHING, 40.0, 0.0, 1.0).nearest(np.array([20.0]))) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=40), st.integers(1, 30))
def test_no_bin_of_a_histogram_holds_one_to_nine_patients(sizes: list[int], bins: int) -> None:
    below, total = np.cumsum(sizes)[:-1].astype(float), float(sum(sizes))
    counted = Counted(np.arange(1.0, len(sizes)), below, total, 0.0, float(len(sizes)))
    edges = counted.nearest(total * np.arange(1, bins) / bins)
    held = np.diff([0.0, *below[np.searchsorted(counted.edges, edges)], total])
    assert len(edges) == 0 or held.min() >= SMALLEST_INTERVAL
