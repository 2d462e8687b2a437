"""A coordinator that sends crafted views learns nothing: every attack is refused for the reason it works by."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import ConfigRecord, RecordDict

from client.app import Whereabouts, respond
from client.view_bytes import MOST_VIEWS, read_views
from client.view_values import check_power
from common import wire
from common.errors import Code, HospitalError
from common.query import Query, View
from tests.client.crafted_views import (
    COLUMNS,
    IMPUTED,
    LEVELS,
    LINEAR,
    PLAIN,
    SCALE,
    F,
    Steps,
    asking,
    chain_of,
    combat,
    harmonising,
    hospital_of,
    moments,
    patients_with_gaps,
    refused,
)
from tests.client.test_app import ROSTER, ask, call_roll, log_of


@pytest.fixture
def table() -> pd.DataFrame:
    return patients_with_gaps()


@pytest.fixture
def hospital(tmp_path: Path, table: pd.DataFrame) -> Whereabouts:
    return hospital_of(tmp_path, table)


def test_honest_chains_are_answered(hospital: Whereabouts) -> None:
    assert moments(hospital, PLAIN, chain_of(["age", "size"], [SCALE, LINEAR]), 1).sums
    assert moments(hospital, harmonising(), chain_of(COLUMNS, [IMPUTED, combat()]), 4).sums
    shared = harmonising(batch=["kernel"])
    assert moments(hospital, shared, chain_of(COLUMNS, [IMPUTED, combat(step="levels", **LEVELS)]), 4).sums


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([("scale", {}, {"centre": [0, 55.0], "spread": [1.0, 5e-324]})], "far below this hospital's own"),
        ([("scale", {}, {"centre": [0, 55.0], "spread": [1.0, 1e-300]})], "far below this hospital's own"),
        ([("scale", {}, {"centre": [0, -np.inf], "spread": [1.0, 1.0]})], "not finite"),
        ([("scale", {}, {"centre": [0, 0], "spread": [1.0, np.inf]})], "not finite"),
        ([("scale", {}, {"centre": [0, 0], "spread": [1.0, -1.0]})], "0 or more"),
        ([("scale", {}, {"centre": [0, 1e15], "spread": [1.0, 1e15]})], "out of all proportion"),
        ([("linear", {}, {"beta": [[np.inf, 0, 1]]})], "not finite"),
        ([("linear", {}, {"beta": [[0, 0, 1e6]]})], "at most 10000"),
        ([("select", {"columns": [0, 0, 1]}, {})], "each once"),
        ([("select", {"columns": [-1]}, {})], "each once"),
        ([("select", {"columns": [2]}, {})], "each once"),
        ([("select", {"columns": [0.5]}, {})], "whole column numbers"),
        ([("impute", {}, {"fill": [60.0, np.nan]})], "is not a number"),
        ([SCALE, SCALE], "the order is"),
        ([SCALE, ("select", {"columns": [0]}, {})], "the order is"),
        ([SCALE, ("impute", {}, {"fill": [0.0, 0.0]})], "the order is"),
        ([LINEAR, ("scale", {}, {"centre": [0.0], "spread": [1.0]})], "the order is"),
        ([("rows", {"only": [3]}, {})], "the order is"),
        ([("impute", {}, {"fill": [0.0, 0.0]})] * 2, "without harmonisation"),
        ([("scale", {}, {"centre": [0.0], "spread": [1.0]})], "has the shape"),
        ([("scale", {"rows": [1]}, {"centre": [0.0, 0], "spread": [1.0, 1]})], "expected the parameters"),
        ([("scale", {}, {"centre": [0, 0.0], "spread": [1, 1.0], "rows": [1.0]})], "expected the arrays"),
        ([("transform", {"kind": "none", "features": []}, {})], "the study does not ask for"),
        ([combat()], "harmonisation of this study is none"),
        ([combat(step="levels", **LEVELS)], "harmonisation of this study is none"),
        ([combat(step="residuals")], "harmonisation of this study is none"),
    ],
)
def test_a_crafted_chain_is_refused(hospital: Whereabouts, steps: Steps, why: str) -> None:
    """Overflow in one row, or steps put together as no study does, made views that picked one patient."""
    refused(hospital, moments(hospital, PLAIN, chain_of(["age", "size"], steps), 2), why)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (["mvi"], "no predictor column"),
        (["id"], "no predictor column"),
        (["kernel=sharp"], "no predictor column"),
        (["afp:missing"], "no predictor column"),
        (["age", "age"], "twice"),
        ([], "a list of names"),
        ([1], "a list of names"),
    ],
)
def test_only_the_studys_columns_once_each(hospital: Whereabouts, columns: list[Any], why: str) -> None:
    refused(hospital, moments(hospital, PLAIN, chain_of(columns, []), len(columns)), why)


def test_coefficients_do_not_read_the_patient_with_the_one_gap(hospital: Whereabouts, table: pd.DataFrame) -> None:
    """Two imputations that differ in a coefficient gave the age of the one patient without AFP."""
    totals = []
    for slope in (0.0, 1.0):
        regression = asking(imputation={"method": "regression"}, seed=int(slope))
        step = (
            "impute",
            {"targets": [2], "predictors": [0]},
            {"fill": [60.0, 40.0, 100.0], "coefficients": [[0, slope]]},
        )
        totals.append(
            moments(hospital, regression, chain_of(["age", "size", "afp"], [step]), 3).sums["first"][0, 2]
        )
        plain = moments(hospital, PLAIN, chain_of(["age", "size", "afp"], [step]), 3)
        refused(hospital, plain, "does not impute by regression")
    assert totals[0] == totals[1]


@pytest.mark.parametrize("fill", [1e12, -1e12])
def test_a_gap_is_not_filled_out_of_proportion(hospital: Whereabouts, fill: float) -> None:
    step = ("impute", {}, {"fill": [60.0, 40.0, fill]})
    refused(hospital, moments(hospital, PLAIN, chain_of(["age", "size", "afp"], [step]), 3), "filled out of all")


def test_few_gaps_of_a_feature_are_not_counted_singly(hospital: Whereabouts) -> None:
    left_open = ("impute", {}, {"fill": [60.0, 5.0, 5.0, np.nan]})
    refused(hospital, moments(hospital, harmonising(), chain_of(COLUMNS, [left_open]), 4), "has 1 gaps here")


def test_a_chain_must_end_in_a_model_to_be_judged(hospital: Whereabouts) -> None:
    """Any column's own AUC left in clear, as often as one liked; a missing score left the patient out."""
    call_roll(hospital, PLAIN)
    judged: dict[str, Any] = {
        "rows": "held_out",
        "parameters": {"schemes": ["apparent"]},
        "arrays": {"edges": np.array([[0.5]])},
    }
    for steps in ([], [SCALE], [("select", {"columns": [1]}, {})]):
        views = chain_of(["age", "size"], steps)
        answer = ask(hospital, PLAIN, "discrimination", tuple(views), view=views[-1].hash, **judged)
        refused(hospital, answer, "ends in a model")
        assert not answer.disclosed.auc
    views = chain_of(["age", "afp"], [("scale", {}, {"centre": [60.0, 100.0], "spread": [10.0, 20.0]}), LINEAR])
    answer = ask(hospital, PLAIN, "discrimination", tuple(views), view=views[-1].hash, **judged)
    refused(hospital, answer, "makes a value missing")


@pytest.mark.parametrize("splits", [("final", "final"), ("kfold/0/7",), ("kfold/3/0",), ("rows/1",), ()])
def test_a_view_is_fitted_for_splits_of_the_study(hospital: Whereabouts, splits: tuple[str, ...]) -> None:
    root = View("columns", parameters={"columns": ["age"]})
    arrays = {"centre": np.zeros((len(splits), 1)), "spread": np.ones((len(splits), 1))}
    view = View("scale", root.hash, splits, {}, arrays)
    answer = moments(hospital, PLAIN, [root, view], 1)
    refused(hospital, answer, "split")


def test_a_long_chain_is_refused(hospital: Whereabouts) -> None:
    views = chain_of(["age", "size"], [("select", {"columns": [0, 1]}, {})] * 13)
    refused(hospital, moments(hospital, PLAIN, views, 2), "a chain of more than")


FOUR = {"of": [0], "columns": [[0, 1, 2, 3]]}


def knots(count: int) -> dict[str, Any]:
    return {"0": {"knots": [float(i) for i in range(count)], "penalty": 1.0}}


@pytest.mark.parametrize(
    ("name", "query", "why"),
    [
        ("combat", {"parameters": {"covariates": [0], "features": [1], "smooth": knots(1500)}}, "1500 knots"),
        ("combat", {"parameters": {"covariates": [0], "features": [1], "smooth": knots(4)}}, "not the study's"),
        ("combat", {"parameters": {"covariates": [0] * 3000, "features": [1]}}, "named twice"),
        ("combat", {"parameters": {"covariates": [-1], "features": [-2]}}, "the view has 4"),
        ("combat", {"parameters": {"covariates": [0], "features": [9]}}, "the view has 4"),
        ("combat", {"parameters": {"covariates": [1], "features": [2]}}, "those that the study preserves"),
        ("moments", {"splits": F * 200, "arrays": {"centre": np.zeros((200, 4))}}, "a split is named twice"),
        ("moments", {"arrays": {"centre": np.zeros((1, 1))}}, "found the shape"),
        ("moments", {"arrays": {"centre": np.zeros((2, 4))}}, "found the shape"),
        ("moments", {"arrays": {"centre": np.full((1, 4), 1e16)}}, "allowed are"),
        ("logistic", {"arrays": {"beta": np.zeros((1, 4))}, "parameters": FOUR}, "problem 0 has 5 coefficients"),
        ("column_counts", {"arrays": {"edges": np.empty((1, 2**30, 0))}}, "found the shape"),
        ("column_counts", {"arrays": {"edges": np.empty((1, 4, 0))}}, "an axis is empty"),
        (
            "recalibration",
            {"parameters": {"schemes": ["apparent"] * 2}, "arrays": {"beta": np.zeros((2, 2))}},
            "each once",
        ),
        (
            "recalibration",
            {"parameters": {"schemes": ["apparent"]}, "arrays": {"beta": np.zeros((2, 2))}},
            "shape",
        ),
        ("combat_reference", {}, "must hold ComBat's parameters"),
    ],
)
def test_parameters_fit_the_view_and_the_splits(
    hospital: Whereabouts, name: str, query: dict[str, Any], why: str
) -> None:
    (hospital.folder / "site.yaml").write_text("policy: {single_hospital_sums: true, unmasked_sums: true}\n")
    chosen = harmonising(reference="west")
    call_roll(hospital, chosen)
    views = chain_of(COLUMNS, [IMPUTED])
    asked = {"splits": F} | query
    answer = ask(hospital, chosen, name, tuple(views), view=views[-1].hash, **asked)
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert why in log_of(hospital)


def test_a_study_without_harmonisation_is_asked_no_combat_sums(hospital: Whereabouts) -> None:
    call_roll(hospital, PLAIN)
    views = chain_of(COLUMNS, [IMPUTED])
    asked: dict[str, Any] = {"view": views[-1].hash, "splits": F}
    answer = ask(hospital, PLAIN, "combat", tuple(views), parameters={"covariates": [], "features": [1]}, **asked)
    assert answer.disclosed.code is Code.NOT_ALLOWED
    assert not answer.sums


@pytest.mark.parametrize("garbage", [b"garbage", b"", b"{}\n[]\n", b"[" * 100_000])
def test_a_view_that_cannot_be_read_is_refused(hospital: Whereabouts, garbage: bytes) -> None:
    call_roll(hospital, PLAIN)
    head = Query(name="moments", study=PLAIN.hash, roster=ROSTER).head()
    body = {"head": head, "roster": json.dumps(ROSTER), "arrays": b"[]\n", "views": [garbage]}
    answer = wire.answer_from_bytes(respond(hospital, RecordDict({"query": ConfigRecord(body)})).packed)
    assert answer.disclosed.code is Code.BAD_PARAMETERS


def test_a_message_holds_a_few_views() -> None:
    view = View("columns", parameters={"columns": ["age"]}).to_bytes()
    assert len(read_views([view] * MOST_VIEWS)) == MOST_VIEWS
    with pytest.raises(HospitalError, match="views of"):
        read_views([view] * (MOST_VIEWS + 1))
    with pytest.raises(HospitalError, match="cannot be read"):
        read_views([b"garbage"])


@pytest.mark.parametrize("seed", range(20))
def test_pooled_totals_pass_also_where_hospitals_are_far_apart(seed: int) -> None:
    """Location and scale over all patients are never too steep for one hospital that is in them."""
    rng = np.random.default_rng(seed)
    hospitals = [
        10 ** rng.uniform(-2, 2) * (rng.uniform(-1, 1) * 10 ** rng.uniform(0, 3) + rng.normal(size=(size, 5)))
        for size in rng.integers(10, 500, 5)
    ]
    pooled = np.vstack(hospitals)
    for values in hospitals:
        check_power(values, pooled.mean(axis=0), pooled.std(axis=0))
    with pytest.raises(HospitalError, match="far below"):
        check_power(hospitals[0], hospitals[0].min(axis=0), 1e-3 * hospitals[0].std(axis=0))
