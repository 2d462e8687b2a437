"""The score test of every feature's own Cox model, from sums of each hospital alone."""

import numpy as np
import pytest
from lifelines.datasets import load_rossi
from lifelines.statistics import multivariate_logrank_test
from statsmodels.duration.hazard_regression import PHReg

from client.queries.screening import score_at_zero


def test_scores_of_hospitals_add_up_to_those_of_a_stratified_cox_model_at_zero() -> None:
    table = load_rossi()
    rng = np.random.default_rng(2)
    hospital = rng.choice(4, len(table), p=[0.05, 0.15, 0.3, 0.5])
    names = ["fin", "age", "wexp", "prio"]
    x, time, event = table[names].to_numpy(float), table["week"].to_numpy(float), table["arrest"].to_numpy() == 1
    parts = [score_at_zero(x[hospital == h], time[hospital == h], event[hospital == h]) for h in range(4)]
    score, variance = (sum(part) for part in zip(*parts, strict=True))
    model = PHReg(time, x, status=event.astype(int), strata=hospital, ties="breslow")
    np.testing.assert_allclose(score, model.score(np.zeros(4)), rtol=1e-9)
    np.testing.assert_allclose(variance, -np.diag(model.hessian(np.zeros(4))), rtol=1e-9)


def test_without_ties_the_score_test_of_two_groups_is_the_log_rank_test() -> None:
    rng = np.random.default_rng(4)
    time, event, group = rng.exponential(size=200), rng.random(200) < 0.6, rng.integers(0, 2, 200)
    score, variance = score_at_zero(group[:, None].astype(float), time, event)
    expected = multivariate_logrank_test(time, group, event).test_statistic
    assert score[0] ** 2 / variance[0] == pytest.approx(expected, rel=1e-9)


def test_a_hospital_without_events_says_nothing() -> None:
    score, variance = score_at_zero(np.ones((5, 3)), np.arange(5.0), np.zeros(5, bool))
    assert not score.any()
    assert not variance.any()
