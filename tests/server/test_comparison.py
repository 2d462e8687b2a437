"""Comparing two models from sums equals DeLong, IDI, NRI and likelihood ratios of the pooled predictions.

Two logistic models of scikit-learn's breast-cancer set, of which one is nested in the other; six uneven hospitals, one
of them with a single class. The real queries are asked, of rows in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from client.queries import QUERIES
from client.queries.registry import Asked
from client.rows import Rows
from common.query import Total, add
from server.evaluation.comparison import Comparison, compare, likelihood_ratio
from server.evaluation.discrimination import Discrimination, discriminate
from server.evaluation.use import pairs_of
from server.federation import Federation
from tests.hospitals_on_disk import breast_cancer

SMALL = ["mean_texture", "mean_smoothness"]
LARGE = [*SMALL, "mean_symmetry", "mean_fractal_dimension"]
A, B = "apparent@clinical", "apparent"


@dataclass(frozen=True)
class Predicted:
    """One hospital's predictions by label, in place of rows and views."""

    risk: Mapping[str, np.ndarray]
    outcome: np.ndarray

    def probabilities(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        return self.risk[label], self.outcome

    def scores(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        return np.log(self.risk[label] / (1 - self.risk[label])), self.outcome


class InMemory:
    """Asks the real queries of hospitals' predictions."""

    splits = ("final",)

    def __init__(self, hospitals: Mapping[str, Predicted]) -> None:
        self.hospitals = hospitals

    def ask(self, name: str, *, parameters: Any = None, arrays: Any = None, **_: Any) -> Total:
        kind = QUERIES[name]
        asked = kind.parameters.model_validate({**(parameters or {}), **(arrays or {})}, context=Asked(0, None))
        return add({h: kind.answer(cast(Rows, rows), asked) for h, rows in self.hospitals.items()})


@dataclass(frozen=True)
class Pooled:
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    hospital: np.ndarray


@pytest.fixture(scope="module")
def pooled() -> Pooled:
    table = breast_cancer()
    y = table["mvi"].to_numpy()
    rng = np.random.default_rng(3)
    hospital = rng.choice(["a", "b", "c", "d", "e"], len(y), p=[0.05, 0.1, 0.2, 0.25, 0.4])
    hospital[np.flatnonzero(y == 1)[:20]] = "only-events"
    risks = []
    for columns in (SMALL, LARGE):
        x = StandardScaler().fit_transform(table[columns])
        risks.append(LogisticRegression().fit(x, y).predict_proba(x)[:, 1])
    return Pooled(y, risks[0], risks[1], hospital)


@pytest.fixture(scope="module")
def federation(pooled: Pooled) -> Federation:
    parts = {
        name: Predicted({A: pooled.a[here], B: pooled.b[here]}, pooled.y[here])
        for name in np.unique(pooled.hospital)
        if (here := pooled.hospital == name).any()
    }
    return cast(Federation, InMemory(parts))


@pytest.fixture(scope="module")
def found(federation: Federation) -> dict[str, Discrimination]:
    return discriminate(federation, "view", (A, B))


@pytest.fixture(scope="module")
def compared(federation: Federation, found: dict[str, Discrimination]) -> Comparison:
    return compare(federation, "view", found, [(A, B)])[A, B]


def delong(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """ΔAUC and its variance by DeLong, DeLong and Clarke-Pearson 1988, written out pair by pair."""
    won = [
        (s[y == 1][:, None] > s[y == 0]).astype(float) + 0.5 * (s[y == 1][:, None] == s[y == 0]) for s in (a, b)
    ]
    v10, v01 = (np.array([w.mean(axis=axis) for w in won]) for axis in (1, 0))
    s10, s01 = np.cov(v10), np.cov(v01)
    contrast = np.array([-1, 1])
    return float(contrast @ [w.mean() for w in won]), float(
        contrast @ (s10 / v10.shape[1] + s01 / v01.shape[1]) @ contrast
    )


def test_the_difference_within_hospitals_is_delongs_of_each(compared: Comparison, pooled: Pooled) -> None:
    difference, variance, pairs = 0.0, 0.0, 0.0
    for name in np.unique(pooled.hospital):
        here = pooled.hospital == name
        y = pooled.y[here]
        weight = float((y == 1).sum() * (y == 0).sum())
        if weight:
            value, own = delong(y, pooled.a[here], pooled.b[here])
            difference, variance, pairs = difference + weight * value, variance + weight**2 * own, pairs + weight
    error = np.sqrt(variance) / pairs
    within = compared.within_sites
    assert within.difference.value == pytest.approx(difference / pairs, abs=1e-12)
    assert within.difference.standard_error == pytest.approx(error, rel=1e-10)
    assert within.p_value == pytest.approx(2 * norm.sf(abs(difference / pairs) / error), rel=1e-8)


def test_the_overall_difference_lies_in_its_certificate_and_its_error_is_delongs(
    compared: Comparison, pooled: Pooled
) -> None:
    true = roc_auc_score(pooled.y, pooled.b) - roc_auc_score(pooled.y, pooled.a)
    low, high = compared.certified
    assert low <= true <= high
    value, variance = delong(pooled.y, pooled.a, pooled.b)
    assert value == pytest.approx(true, abs=1e-12)
    difference = compared.overall.difference
    assert difference.value == pytest.approx(true, abs=2e-3)
    assert difference.standard_error == pytest.approx(np.sqrt(variance), rel=0.03)
    assert difference.low < low
    assert difference.high > high


def test_no_p_value_of_the_overall_difference_is_too_small(compared: Comparison, pooled: Pooled) -> None:
    value, variance = delong(pooled.y, pooled.a, pooled.b)
    assert compared.overall.p_value >= 2 * norm.sf(abs(value) / np.sqrt(variance)) * 0.9


def test_idi_and_its_error_are_the_pooled_ones(compared: Comparison, pooled: Pooled) -> None:
    d = pooled.b - pooled.a
    events, others = d[pooled.y == 1], d[pooled.y == 0]
    expected = events.mean() - others.mean()
    error = np.sqrt(events.var(ddof=1) / len(events) + others.var(ddof=1) / len(others))
    found = compared.discrimination_improvement
    assert found.difference.value == pytest.approx(expected, abs=1e-12)
    assert found.difference.standard_error == pytest.approx(error, rel=1e-9)
    assert found.p_value == pytest.approx(2 * norm.sf(abs(expected) / error), rel=1e-6)


def test_nri_and_its_error_are_the_pooled_ones(compared: Comparison, pooled: Pooled) -> None:
    sign = np.sign(pooled.b - pooled.a)
    events, others = sign[pooled.y == 1], sign[pooled.y == 0]
    found = compared.net_reclassification.difference
    assert found.value == pytest.approx(events.mean() - others.mean(), abs=1e-12)
    error = np.sqrt(events.var(ddof=0) / len(events) + others.var(ddof=0) / len(others))
    assert found.standard_error == pytest.approx(error, rel=1e-9)


def test_a_model_compared_with_itself_differs_by_nothing(
    federation: InMemory, found: dict[str, Discrimination]
) -> None:
    twice = {
        name: Predicted({A: rows.risk[B], B: rows.risk[B]}, rows.outcome)
        for name, rows in federation.hospitals.items()
    }
    same = compare(cast(Federation, InMemory(twice)), "view", {A: found[B], B: found[B]}, [(A, B)])[A, B]
    assert same.within_sites.difference.value == 0
    assert same.overall.difference.value == 0
    assert same.overall.difference.standard_error == pytest.approx(0, abs=1e-7)
    assert same.overall.p_value == 1
    assert same.discrimination_improvement.p_value == 1


def test_likelihood_ratio_of_nested_models_is_statsmodels() -> None:
    table = breast_cancer()
    fit = sm.Logit(table["mvi"], sm.add_constant(table[LARGE])).fit(disp=0)
    ratio = likelihood_ratio(fit.llnull, fit.llf, [], LARGE)
    assert ratio is not None
    assert (ratio.degrees, ratio.statistic) == (fit.df_model, pytest.approx(fit.llr, rel=1e-12))
    assert ratio.p_value == pytest.approx(fit.llr_pvalue, rel=1e-9)
    assert likelihood_ratio(-1.0, -0.5, ["age", "size"], ["age", "ring"]) is None, "not nested"
    assert likelihood_ratio(-1.0, -0.5, LARGE, LARGE) is None, "the same model"


def test_models_are_compared_by_the_same_scheme_and_the_first_comes_second() -> None:
    labels = ("apparent", "kfold/0", "apparent@clinical", "kfold/0@clinical", "kfold/0@ring")
    assert pairs_of(labels) == [
        ("apparent@clinical", "apparent"),
        ("kfold/0@clinical", "kfold/0"),
        ("kfold/0@ring", "kfold/0"),
        ("kfold/0@clinical", "kfold/0@ring"),
    ]


@pytest.mark.parametrize(
    "placements",
    [
        [[[0.5, 0.9], [0.1, 0.6]]],  # of the others: more of the events above a higher bin
        [[[0.9, 0.1], [0.6, 0.1]]],  # of the events: fewer of the others below it
    ],
)
def test_placements_that_are_no_placements_are_refused(placements: list[list[list[float]]]) -> None:
    """Weights that pick out a bin would turn the sum of products into a count of the patients there."""
    both = np.repeat(np.array(placements), 2, axis=0)
    content = {"schemes": [A, B], "pairs": [[0, 1]], "edges": np.full((2, 1), 0.5), "placements": both}
    with pytest.raises(ValueError, match="the more risk, the more patients"):
        QUERIES["placement_products"].parameters.model_validate(content, context=Asked(0, None))
