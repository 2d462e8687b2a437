"""The certificate of a binned AUC holds for every score that has those bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from server.evaluation.discrimination import certified_auc


def binned(score: np.ndarray, y: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bin_of = np.searchsorted(edges, score, side="left")
    return tuple(np.bincount(bin_of[y == label], minlength=len(edges) + 1).astype(float) for label in (1, 0))  # type: ignore[return-value]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(20, 300), st.integers(1, 30))
def test_the_pooled_auc_lies_in_the_certificate(seed: int, patients: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, rng.integers(0, 2, patients)]
    score = rng.normal(y, 1.5).round(1)
    positive, negative = binned(score, y, np.quantile(score, np.arange(1, bins) / bins))
    _, (low, high) = certified_auc(positive, negative)
    assert low - 1e-12 <= roc_auc_score(y, score) <= high + 1e-12


def test_bins_of_equal_mass_certify_to_one_over_their_number() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 1000)
    score = rng.normal(0.5 * y)
    for bins in (5, 20, 50):
        positive, negative = binned(score, y, np.sort(score)[np.arange(1, bins) * 1000 // bins - 1])
        _, (low, high) = certified_auc(positive, negative)
        assert high - low <= 1 / bins


def test_delongs_error_is_that_of_the_placements() -> None:
    """DeLong, DeLong and Clarke-Pearson 1988, written out pair by pair."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 200)
    score = rng.normal(y).round(2)
    positive, negative = binned(score, y, np.unique(score))
    estimate, _ = certified_auc(positive, negative)
    won = (score[y == 1][:, None] > score[y == 0]) + 0.5 * (score[y == 1][:, None] == score[y == 0])
    variance = won.mean(axis=1).var(ddof=1) / won.shape[0] + won.mean(axis=0).var(ddof=1) / won.shape[1]
    assert estimate.value == pytest.approx(won.mean(), abs=1e-12)
    assert estimate.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_a_single_class_is_not_estimable() -> None:
    estimate, certificate = certified_auc(np.array([3.0, 4.0]), np.zeros(2))
    assert estimate.value is None
    assert certificate == (0.0, 1.0)
