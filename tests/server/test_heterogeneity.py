"""Hospitals' own AUCs together, against statsmodels and by hand; the hospital's name alone, against scikit-learn."""

from itertools import product

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.meta_analysis import combine_effects

from server.evaluation.heterogeneity import heterogeneity, paule_mandel
from server.evaluation.hospital_name import auc_of_shares, auc_of_the_name

FIGURES = {"a": (0.62, 0.05), "b": (0.81, 0.04), "c": (0.71, 0.03), "d": (0.93, 0.02), "e": (0.68, 0.06)}


def on_logit_scale(figures: dict[str, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    value, error = np.array(list(figures.values())).T
    return np.log(value / (1 - value)), (error / (value * (1 - value))) ** 2


def test_mean_interval_tau_and_q_are_those_of_statsmodels() -> None:
    theta, squared = on_logit_scale(FIGURES)
    expected = combine_effects(theta, squared, method_re="iterated", use_t=True)
    found = heterogeneity(FIGURES)
    assert found is not None
    assert found.tau**2 == pytest.approx(expected.tau2, abs=1e-6)
    assert found.q == pytest.approx(expected.q, abs=1e-9)
    assert found.i_squared == pytest.approx(1 - 4 / expected.q, abs=1e-9)
    low, high = expected.conf_int(use_t=True)[3]  # random effects with the error of Hartung and Knapp
    mean = expected.mean_effect_re
    assert [found.mean, found.low, found.high] == pytest.approx(1 / (1 + np.exp([-mean, -low, -high])), abs=1e-6)


def test_the_prediction_interval_by_hand() -> None:
    figures = {"a": (0.6, 0.03), "b": (0.7, 0.03), "c": (0.8, 0.03)}
    found = heterogeneity(figures)
    theta, squared = on_logit_scale(figures)
    tau_squared = paule_mandel(theta, squared)
    weight = 1 / (squared + tau_squared)
    mean = (weight * theta).sum() / weight.sum()
    beyond = 12.7062047 * np.sqrt(tau_squared + 1 / weight.sum())  # t of one degree of freedom
    assert found is not None
    assert found.predicted_high == pytest.approx(1 / (1 + np.exp(-mean - beyond)), abs=1e-6)
    assert found.predicted_low < found.low < found.mean < found.high < found.predicted_high


def test_hospitals_that_agree_have_no_heterogeneity_and_no_interval_that_is_too_sure() -> None:
    found = heterogeneity(dict.fromkeys("abcd", (0.7, 0.05)))
    assert found is not None
    assert (found.tau, found.i_squared) == (0.0, 0.0)
    theta, squared = on_logit_scale(dict.fromkeys("abcd", (0.7, 0.05)))
    # Hartung and Knapp alone would say that the mean is known without error.
    assert np.log(found.high / (1 - found.high)) - theta[0] == pytest.approx(
        3.18244631 * np.sqrt(squared[0] / 4), abs=1e-6
    )


def test_two_hospitals_are_too_few_and_a_perfect_one_is_named() -> None:
    assert heterogeneity({"a": (0.7, 0.1), "b": (0.8, 0.1), "c": (1.0, 0.0)}) is None
    found = heterogeneity(FIGURES | {"perfect": (1.0, 0.0)})
    assert found is not None
    assert found.left_out == ("perfect",)
    assert found.hospitals == 5


def test_the_name_alone_ranks_as_scikit_learn_says() -> None:
    sizes, events = {"a": 40, "b": 25, "c": 60}, {"a": 20, "b": 2, "c": 30}
    outcome = np.concatenate([[1] * events[h] + [0] * (sizes[h] - events[h]) for h in sizes])
    share = np.concatenate([[events[h] / sizes[h]] * sizes[h] for h in sizes])
    found = auc_of_the_name(sizes, events, 52)
    assert found is not None
    assert found.low == found.high == pytest.approx(roc_auc_score(outcome, share), abs=1e-12)
    assert 0.5 < found.by_chance < found.by_chance_high < found.low


def test_what_is_suppressed_leaves_limits_that_hold_the_truth_and_no_finer() -> None:
    sizes = {"a": 40, "b": 25, "c": 60, "d": 12}
    truth = {"a": 20, "b": 6, "c": 30, "d": 3}
    # d has fewer than five; b is hidden so that d does not follow from the total
    found = auc_of_the_name(sizes, {"a": 20, "b": None, "c": 30, "d": None}, 59)
    n = np.array(list(sizes.values()))
    possible = [
        auc_of_shares(n, np.array([20, b, 30, d]))
        for b, d in product(range(26), range(13))
        if b + d == 9 and (b < 5 or b > 20 or d < 5 or d > 7)
    ]
    assert found is not None
    assert (found.low, found.high) == pytest.approx((min(possible), max(possible)), abs=1e-12)
    assert found.low <= auc_of_shares(n, np.array(list(truth.values()))) <= found.high
    assert found.low < found.high


def test_hospitals_with_the_same_share_tell_nothing() -> None:
    found = auc_of_the_name({"a": 20, "b": 40}, {"a": 10, "b": 20}, 30)
    assert found is not None
    assert found.low == found.high == 0.5
    assert auc_of_the_name({"a": 20, "b": 40}, {"a": 0, "b": 0}, 0) is None
