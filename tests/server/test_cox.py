"""Cox regression over uneven hospitals is the pooled stratified fit, and its LASSO the pooled LASSO: lifelines."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_gbsg2, load_lung, load_rossi

from server.methods.family import Problem
from server.methods.problems import Fits, fit_problems
from tests.server.tables import Tables, standardised, tables

NO_FOLDS = {"folds": 0, "leave_one_hospital_out": False}
CLOSE = 1e-8


def survival(name: str) -> tuple[pd.DataFrame, list[str]]:
    """A data set of lifelines with columns `days` and `event`, in four uneven hospitals; one has no event at all."""
    if name == "rossi":
        table = load_rossi().rename(columns={"week": "days", "arrest": "event"})
        columns = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    elif name == "gbsg2":
        table = load_gbsg2().rename(columns={"time": "days", "cens": "event"})
        columns = ["age", "tsize", "pnodes", "progrec", "estrec"]
    else:
        table = load_lung().rename(columns={"time": "days", "status": "event"})
        columns = ["age", "sex", "ph.ecog", "wt.loss"]
        table = table.dropna(subset=columns).reset_index(drop=True)
    rng = np.random.default_rng(11)
    table = table.assign(hospital=rng.choice(["alder", "birch", "cedar"], len(table), p=[0.15, 0.25, 0.6]))
    table.loc[table.index[table["event"] == 0][:15], "hospital"] = "dogwood"
    table["event"] = table["event"].astype(int)
    return table, columns


def in_hospitals(table: pd.DataFrame, columns: list[str], **model: Any) -> tuple[Tables, str]:
    return tables(
        table,
        ["days", "event"],
        columns,
        outcome={"kind": "survival", "time": "days", "event": "event"},
        model={"kind": "cox"} | model,
        validation=NO_FOLDS,
    )


def fitted(federation: Tables, view: str, width: int, l1: float = 0.0, l2: float = 0.0) -> Fits:
    problem = Problem("final", tuple(range(width)))
    found = fit_problems(federation, federation.study, view, [problem], np.array([l1]), np.array([l2]), width)
    assert found.converged.all()
    return found


def pooled(table: pd.DataFrame, columns: list[str], strata: str | None = "hospital") -> CoxPHFitter:
    """lifelines by hospital, on standardised columns."""
    frame = pd.DataFrame(standardised(table, columns), columns=columns)
    frame = frame.assign(days=table["days"].to_numpy(), event=table["event"].to_numpy())
    if strata:
        frame[strata] = table[strata].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"precision": 1e-14, "r_precision": 1e-16}
        return CoxPHFitter().fit(frame, "days", "event", strata=strata, fit_options=options)


@pytest.mark.parametrize("name", ["rossi", "gbsg2", "lung"])
def test_cox_by_hospital_is_the_pooled_stratified_fit(name: str) -> None:
    table, columns = survival(name)
    found = fitted(*in_hospitals(table, columns), len(columns))
    expected = pooled(table, columns)
    assert np.abs(found.beta[0] - expected.params_.to_numpy()).max() < CLOSE
    assert found.likelihood[0] == pytest.approx(expected.log_likelihood_, abs=1e-8)
    errors = np.sqrt(np.diag(np.linalg.inv(found.hessian[0])))
    # lifelines inverts the second derivatives of its own last step, of columns that it standardises again
    assert errors == pytest.approx(expected.standard_errors_.to_numpy(), rel=1e-6)


def efron(x: np.ndarray, table: pd.DataFrame) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """Minus the stratified partial log-likelihood and its gradient, event by event from the definition."""

    def minus(beta: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = 0.0, np.zeros(x.shape[1])
        for _, own in table.groupby("hospital"):
            rows, eta = x[own.index], x[own.index] @ beta
            risk, days, event = np.exp(eta), own["days"].to_numpy(), own["event"].to_numpy() == 1
            for day in np.unique(days[event]):
                at_risk, now = days >= day, event & (days == day)
                for share in np.arange(now.sum()) / now.sum():
                    weight = risk * at_risk - share * risk * now
                    value += np.log(weight.sum())
                    slope += weight @ rows / weight.sum()
                value -= eta[now].sum()
                slope -= rows[now].sum(axis=0)
        return value, slope

    return minus


def test_lasso_cox_has_the_support_and_coefficients_of_a_proximal_gradient_fit() -> None:
    table, columns = survival("lung")
    x = standardised(table, columns)
    x = np.column_stack([x, np.random.default_rng(2).normal(size=(len(x), 2))])
    table[["noise", "more_noise"]] = x[:, -2:]
    columns = [*columns, "noise", "more_noise"]
    x = standardised(table, columns)
    l1, l2 = 9.0, 3.0
    minus = efron(x, table)
    beta = accelerated = np.zeros(6)
    step, momentum = 1 / 250.0, 1.0
    for _ in range(400):
        _, slope = minus(accelerated)
        moved = accelerated - step * (slope + l2 * accelerated)
        nearer = np.sign(moved) * np.maximum(np.abs(moved) - step * l1, 0)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        if (accelerated - nearer) @ (nearer - beta) > 0:
            following = 1.0
        accelerated = nearer + (momentum - 1) / following * (nearer - beta) * (following > 1)
        if np.abs(nearer - beta).max() < 1e-13:
            break
        beta, momentum = nearer, following
    found = fitted(*in_hospitals(table, columns), 6, l1, l2)
    assert 0 < (beta == 0).sum() < 6
    assert ((found.beta[0] == 0) == (beta == 0)).all()
    assert np.abs(found.beta[0] - beta).max() < CLOSE


def on_the_grid(table: pd.DataFrame, ends: list[int]) -> pd.DataFrame:
    """Every time moved to the end of its cell."""
    cell = np.minimum(np.searchsorted(30 * np.array(ends), table["days"], side="left"), len(ends) - 1)
    return table.assign(days=30.0 * np.array(ends)[cell])


@pytest.mark.parametrize("name", ["gbsg2", "lung"])
def test_cox_with_a_shared_baseline_is_the_pooled_fit_to_times_on_the_grid(name: str) -> None:
    table, columns = survival(name)
    federation, view = in_hospitals(table, columns, baseline="shared")
    found = fitted(federation, view, len(columns))
    ends = list(federation.asked[-1].parameters["ends"][0])
    coarse = on_the_grid(table, ends)
    assert coarse.groupby("days").size().min() >= 30, "no cell tells of fewer patients"
    expected = pooled(coarse, columns, strata=None)
    assert np.abs(found.beta[0] - expected.params_.to_numpy()).max() < CLOSE
    assert found.likelihood[0] == pytest.approx(expected.log_likelihood_, abs=1e-7)
    exact = pooled(table, columns, strata=None)
    away = np.abs(found.beta[0] - exact.params_.to_numpy()).max() / exact.standard_errors_.max()
    assert away < 0.7, "seven cells of 213 patients are coarse"


def test_a_shared_baseline_takes_two_exchanges_an_iteration_and_sends_no_time_off_the_grid() -> None:
    table, columns = survival("lung")
    federation, view = in_hospitals(table, columns, baseline="shared")
    found = fitted(federation, view, len(columns))
    names = [query.name for query in federation.asked]
    assert names == ["cox_cells", *["cox_risk_sets", "cox_curvature"] * found.rounds]
    table["days"] += np.where(
        (table["days"] % 30 > 0) & (table["days"] % 30 < 29), 0.5, 0.0
    )  # the same thirty days
    again = fitted(*in_hospitals(table, columns, baseline="shared"), len(columns))
    assert (again.beta == found.beta).all()
