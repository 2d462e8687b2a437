"""Edges of histograms: public thresholds where the cells allow it, no bin of one to nine patients, few questions."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.evaluation import EVERY_TWENTIETH
from common.query import Total
from server.evaluation.edges import choose_edges
from server.federation import Federation


class Counting:
    """Answers `score_counts` from pooled risks, and keeps what was asked."""

    def __init__(self, risk: np.ndarray, outcome: np.ndarray) -> None:
        self.risk, self.outcome = np.sort(risk), outcome
        self.asked: set[float] = set()
        self.rounds = 0

    def ask(self, name: str, *, arrays: dict[str, np.ndarray], **_: Any) -> Total:
        assert name == "score_counts"
        self.asked |= set(arrays["edges"][0].tolist())
        self.rounds += 1
        below = np.searchsorted(self.risk, arrays["edges"], side="right").astype(float)
        classes = np.array([[(self.outcome == 0).sum(), (self.outcome == 1).sum()]], dtype=float)
        return Total({"below": below, "classes": classes}, {})


def chosen(risk: np.ndarray, outcome: np.ndarray, thresholds: Sequence[float]) -> tuple[np.ndarray, Counting]:
    counting = Counting(risk, outcome)
    edges = choose_edges(cast(Federation, counting), "view", ("apparent",), np.array(thresholds))
    return np.unique(edges[0][edges[0] < 1]), counting


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(30, 800),
    st.floats(0.05, 0.95),
    st.floats(0.2, 4),
    st.sampled_from([EVERY_TWENTIETH, [0.1], [0.2, 0.5], []]),
)
def test_no_bin_is_of_one_to_nine_patients_nor_are_there_more_than_the_gate_allows(
    seed: int, patients: int, share: float, spread: float, thresholds: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    outcome = (rng.random(patients) < share).astype(float)
    risk = 1 / (1 + np.exp(-(rng.normal(outcome, 1) * spread)))
    edges, counting = chosen(risk.round(int(rng.integers(2, 18))), outcome, thresholds)
    sizes = np.diff(np.concatenate([[0], np.searchsorted(counting.risk, edges, side="right"), [patients]]))
    assert (sizes >= 10).all()
    smaller = min((outcome == 0).sum(), (outcome == 1).sum())
    assert len(sizes) <= max(1, smaller // 5)
    assert set(edges) <= counting.asked
    assert len(counting.asked) <= max(16, patients // 3)
    assert counting.rounds <= 4
    if len(counting.asked) > 1 and np.ptp(risk):
        assert np.diff(sorted(counting.asked)).min() >= 1e-3 * risk.std() / patients


def test_with_many_patients_every_threshold_is_an_edge() -> None:
    rng = np.random.default_rng(1)
    outcome = rng.integers(0, 2, 3000).astype(float)
    edges, _ = chosen(rng.uniform(size=3000), outcome, EVERY_TWENTIETH)
    assert set(EVERY_TWENTIETH) <= set(edges)
    assert len(edges) >= 35, "and bins between them keep the AUC's certificate narrow"


def test_a_threshold_that_parts_few_from_the_last_is_left_out() -> None:
    risk = np.concatenate([np.full(40, 0.05), np.full(6, 0.35), np.full(60, 0.9)])
    outcome = np.tile([0.0, 1.0], 53)
    edges, _ = chosen(risk, outcome, [0.2, 0.3, 0.4, 0.5])
    assert edges.tolist() == [0.2], "between 0.3 and 0.4 are six patients, between 0.2 and 0.3 nobody"


def test_without_thresholds_bins_are_of_about_equal_mass() -> None:
    rng = np.random.default_rng(2)
    risk, outcome = rng.beta(2, 5, 1000), rng.integers(0, 2, 1000).astype(float)
    edges, counting = chosen(risk, outcome, [])
    sizes = np.diff(np.concatenate([[0], np.searchsorted(counting.risk, edges, side="right"), [1000]]))
    assert len(sizes) >= 40
    assert sizes.max() <= 45
