"""What stands beside a survival model's figures: against lifelines and plain loops on real tables."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.statistics import proportional_hazard_test
from lifelines.utils import concordance_index
from scipy.optimize import minimize

from client.queries.proportional_hazards import by_time
from common.concordance import part_in_table
from common.months import DAYS_A_MONTH, cell_of, mid_month
from server.evaluation.proportional_hazards import Proportional, score_test
from server.evaluation.survival_comparison import compare_concordance
from tests.server.survival_tables import TableFederation, gbsg2, held_out, lung, rossi

TABLES: dict[str, tuple[Callable[[], pd.DataFrame], list[str]]] = {
    "rossi": (rossi, ["fin", "age", "prio", "mar", "race"]),
    "gbsg2": (gbsg2, ["age", "grade", "hormone", "pnodes", "progrec"]),
    "lung": (lung, ["age", "sex", "ph.ecog"]),
}


class Unguarded:
    """Rows that refuse no weights."""

    def refuse_weights_on_few_patients(self, _: np.ndarray) -> None:
        """A table in memory refuses nothing."""


def sums_of(table: pd.DataFrame, columns: list[str], beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and information, added over the table's hospitals."""
    score, information = np.zeros((2, len(beta))), np.zeros((3, len(beta), len(beta)))
    for _, own in table.groupby("hospital"):
        one: Any = SimpleNamespace(
            matrix=own[columns].to_numpy(), outcome=own[["time", "event"]].to_numpy(), beta=beta
        )
        more = by_time(Unguarded(), one)  # type: ignore[arg-type]
        score, information = score + more[0], information + more[1]
    return score, information


def likelihood(table: pd.DataFrame, columns: list[str], beta: np.ndarray, theta: np.ndarray) -> float:
    """Efron's partial log-likelihood, stratified by hospital, of xᵀ(β + θ log month): event by event."""
    total = 0.0
    for _, own in table.groupby("hospital"):
        x, time, event = own[columns].to_numpy(), own["time"].to_numpy(), own["event"].to_numpy() == 1
        for t in np.unique(time[event]):
            line = x @ (beta + theta * np.log(mid_month(np.array([t]))[0] / DAYS_A_MONTH))
            risk, now, there = np.exp(line), (time == t) & event, time >= t
            total += line[now].sum()
            for k in range(now.sum()):
                total -= np.log(risk[there].sum() - k / now.sum() * risk[now].sum())
    return total


@pytest.fixture(scope="module", params=list(TABLES))
def tested(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame, list[str], np.ndarray, Proportional]:
    read, columns = TABLES[request.param]
    table = read()
    fitted = CoxPHFitter().fit(table[["time", "event", "hospital", *columns]], "time", "event", strata="hospital")
    beta = fitted.params_[columns].to_numpy()
    found = score_test(*sums_of(table, columns, beta), columns)
    assert found is not None
    return request.param, table, columns, beta, found


def test_score_and_information_are_the_derivatives_of_the_pooled_likelihood(tested: Any) -> None:
    name, table, columns, beta, _ = tested
    if name != "lung":  # the plain loops are slow
        return
    score, information = sums_of(table, columns, beta)
    step, width = 1e-4, len(beta)
    unit = np.eye(2 * width) * step

    def at(v: np.ndarray) -> float:
        return likelihood(table, columns, beta + v[:width], v[width:])

    gradient = [(at(e) - at(-e)) / (2 * step) for e in unit]
    curvature = np.array(
        [[(at(a + b) - at(a - b) - at(b - a) + at(-a - b)) / (4 * step**2) for b in unit] for a in unit]
    )
    plain, mixed, squared = information
    assert score.ravel() == pytest.approx(gradient, abs=1e-5)
    assert -curvature == pytest.approx(np.block([[plain, mixed], [mixed, squared]]), rel=1e-3, abs=1e-3)


def test_the_test_of_each_column_is_near_that_of_lifelines(tested: Any) -> None:
    """Which takes the average variance over all events for that at every one: near, and not equal."""
    _, table, columns, _, found = tested
    given = table[["time", "event", "hospital", *columns]]
    fitted = CoxPHFitter().fit(given, "time", "event", strata="hospital")

    def log_month(durations: pd.Series, *_: Any) -> pd.Series:
        days = np.asarray(durations)
        return pd.Series(np.log(mid_month(days) / DAYS_A_MONTH))

    expected = proportional_hazard_test(fitted, given, time_transform=log_month).summary["test_statistic"]
    for name, statistic in zip(expected.index.get_level_values(0), expected, strict=True):
        if statistic > 5:
            assert found.columns[name].statistic == pytest.approx(statistic, rel=0.2)
    assert found.degrees == len(columns)


def test_all_columns_together_are_tested_as_by_the_pooled_likelihood_ratio(tested: Any) -> None:
    name, table, columns, beta, found = tested
    if name != "lung":  # the plain loops are slow
        return
    width = len(beta)
    best = minimize(
        lambda v: -likelihood(table, columns, v[:width], v[width:]), np.append(beta, np.zeros(width)), tol=1e-4
    )
    ratio = 2 * (-best.fun - likelihood(table, columns, beta, np.zeros(width)))
    assert found.statistic == pytest.approx(ratio, rel=0.15)


def planted(slope: float, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """400 patients of four hospitals; the effect of `a` grows with log time, that of `b` stays."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    time = np.full(400, np.nan)
    for month in range(1, 241):  # discrete hazards, a month at a time
        hazard = 0.02 * np.exp(table["a"] * (0.3 + slope * np.log(month - 0.5)) + 0.5 * table["b"])
        falls = np.isnan(time) & (rng.random(400) < 1 - np.exp(-hazard))
        time[falls] = (month - rng.random(falls.sum())) * DAYS_A_MONTH
    censored = rng.uniform(20, 120, 400) * DAYS_A_MONTH
    table["event"] = (time < censored).astype(float)
    table["time"] = np.where(np.isnan(time), censored, np.minimum(time, censored))
    table["hospital"] = rng.integers(0, 4, 400)
    return table, ["a", "b"]


def test_an_effect_that_grows_is_found_and_one_that_stays_is_not() -> None:
    small = []
    for seed in range(3):
        for slope in (0.0, 0.4):
            table, columns = planted(slope, seed)
            fitted = CoxPHFitter().fit(table, "time", "event", strata="hospital")
            found = score_test(*sums_of(table, columns, fitted.params_[columns].to_numpy()), columns)
            assert found is not None
            if slope:
                assert found.columns["a"].p_value < 0.01
                assert found.columns["a"].slope == pytest.approx(slope, abs=0.25)
            else:
                small += [column.p_value < 0.05 for column in found.columns.values()]
    assert sum(small) <= 2


def test_a_shrunken_fit_is_no_reason_to_call_hazards_not_proportional() -> None:
    """A ridge leaves a score of its own; the test takes it into account."""
    table, columns = planted(0.0, 3)
    fitted = CoxPHFitter().fit(table, "time", "event", strata="hospital")
    plain = fitted.params_[columns].to_numpy()
    full = score_test(*sums_of(table, columns, plain), columns)
    shrunken = score_test(*sums_of(table, columns, 0.8 * plain), columns)
    assert full is not None
    assert shrunken is not None
    assert shrunken.statistic == pytest.approx(full.statistic, abs=1.0)


def test_the_sums_tell_the_month_of_an_event_and_not_its_day() -> None:
    """Whose event comes first in a hospital the fit of the model looks at as well; how far apart they are, nobody."""
    table, columns = planted(0.0, 2)
    beta = np.array([0.2, 0.4])
    moved = table.copy()
    month = np.ceil(table["time"] / DAYS_A_MONTH)
    rank = table.groupby(["hospital", month])["time"].rank(method="dense")
    moved["time"] = (month - 1) * DAYS_A_MONTH + 1e-3 * rank
    score, information = sums_of(table, columns, beta)
    again, informed = sums_of(moved, columns, beta)
    assert again == pytest.approx(score, abs=1e-9)
    assert informed == pytest.approx(information, abs=1e-9)


def test_columns_that_cannot_be_told_apart_are_not_tested() -> None:
    table, _ = planted(0.0, 1)
    table["same"] = 2 * table["a"]
    assert score_test(*sums_of(table, ["a", "same"], np.array([0.1, 0.1])), ["a", "same"]) is None


@pytest.mark.parametrize("name", list(TABLES))
def test_the_difference_of_c_within_hospitals_and_its_error(name: str) -> None:
    """The difference is that of lifelines' C by hospital; the error that of leaving each patient out."""
    table = TABLES[name][0]()
    federation = TableFederation(table)
    found = compare_concordance(federation, "view", [("kfold/0", "apparent")])["kfold/0", "apparent"]
    won = counted = by_lifelines = 0.0
    without = []
    for _, own in table.groupby("hospital"):
        time, had = own["time"].to_numpy(), own["event"].to_numpy() == 1
        pairs = had[:, None] & ((time[None, :] > time[:, None]) | ((time[None, :] == time[:, None]) & ~had))
        scores = held_out(own, "apparent"), held_out(own, "kfold/0")
        a, b = (pairs * (0.5 + 0.5 * np.sign(score[:, None] - score[None, :])) for score in scores)
        won, counted = won + (a - b).sum(), counted + pairs.sum()
        c_a, c_b = (concordance_index(time, -score, had) for score in scores)
        by_lifelines += pairs.sum() * (c_a - c_b)
        without += list(zip((a - b).sum(0) + (a - b).sum(1), pairs.sum(0) + pairs.sum(1), strict=True))
    assert found.difference.value == pytest.approx(by_lifelines / counted, abs=1e-12)
    left = np.array([(won - w) / (counted - n) for w, n in without])
    jackknife = np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum())
    assert found.difference.standard_error == pytest.approx(jackknife, rel=0.06)


def test_a_hospitals_part_is_how_c_of_the_table_moves_with_its_weight() -> None:
    table = gbsg2()
    cells = cell_of(table["time"].to_numpy(), (12, 24, 36, 48, 60))
    bins = np.digitize(table["final"], np.quantile(table["final"], [0.2, 0.4, 0.6, 0.8]))

    def counts(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        found = np.zeros((6, 5))
        np.add.at(found, (cells[rows], bins[rows]), weight[rows])
        return found

    def concordance(weight: np.ndarray) -> float:
        """By plain loops over pairs of patients of different cells."""
        had = np.flatnonzero(table["event"] == 1)
        later = cells[None, :] > cells[had, None]
        higher = (bins[had, None] > bins[None, :]) + 0.5 * (bins[had, None] == bins[None, :])
        pairs = weight[had, None] * weight[None, :] * later
        return float((pairs * higher).sum() / pairs.sum())

    everybody, event = np.ones(len(table)), table["event"].to_numpy()
    events, exits = counts(np.arange(len(table)), event), counts(np.arange(len(table)), everybody)
    parts = []
    for hospital in table["hospital"].unique():
        own = np.flatnonzero(table["hospital"] == hospital)
        parts.append(part_in_table(events, exits, counts(own, event), counts(own, everybody)))
        step = 1e-5
        up, down = (everybody + sign * step * (table["hospital"] == hospital).to_numpy() for sign in (1, -1))
        assert parts[-1] == pytest.approx((concordance(up) - concordance(down)) / (2 * step), abs=1e-8)
    assert sum(parts) == pytest.approx(0, abs=1e-12)
