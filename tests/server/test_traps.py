"""The traps of multicentre radiomics that a whole study must not fall into: units, leaks, hospital effects, ranks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from client.queries.lone_columns import _pairs
from common.errors import StudyStopped
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.evaluation.leakage import suspicious_names
from server.progress import Silence
from server.report.remarks import remarks
from tests.hospitals_on_disk import study, write_hospitals

CLINICAL = ["age", "platelets", "size"]
SIZES = {"alder": 40, "birch": 50, "cedar": 60, "dogwood": 70}
Run = Callable[..., dict[str, Any]]
JUDGED_ON_ITSELF = {"folds": 0, "leave_one_hospital_out": False}


@pytest.fixture
def table() -> pd.DataFrame:
    """220 patients of four hospitals."""
    rng = np.random.default_rng(17)
    n = sum(SIZES.values())
    rows = pd.DataFrame(
        {"id": [f"P{i:03d}" for i in range(n)], "hospital": np.repeat(list(SIZES), list(SIZES.values()))}
    )
    rows["age"] = rng.normal(60, 10, n).round()
    rows["platelets"] = rng.normal(200, 40, n).round()
    rows["size"] = rng.gamma(4, 10, n).round(1)
    rows["mvi"] = (rng.random(n) < 1 / (1 + np.exp(1 - 0.05 * (rows["size"] - 40)))).astype(int)
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Simulate a study over the table split by hospital; its results."""

    def simulated(table: pd.DataFrame, columns: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        clinical = [c for c in table.columns if c not in ("id", "hospital")]
        sites = write_hospitals(place / "sites", table, clinical, [])
        for hospital, said in (columns or {}).items():
            (sites / hospital / "columns.yaml").write_text(yaml.safe_dump({"columns": said}))
        simulate(Simulation(asking(**changes), find_hospitals(sites), place / "out"), Silence())
        results: dict[str, Any] = json.loads((place / "out" / "results.json").read_text())
        return results

    return simulated


def asking(clinical: list[str] = CLINICAL, **changes: Any) -> Study:
    given = {
        "predictors": {"clinical": clinical},
        "variables": {"platelets": {"unit": "10^9/L"}},
        "validation": {"folds": 3, "leave_one_hospital_out": False},
    }
    return study(**(given | changes))


def lone_auc(table: pd.DataFrame, column: str) -> float:
    """Over pairs of patients of one hospital."""
    aucs = [
        (roc_auc_score(h["mvi"], h[column]), (h["mvi"] == 1).sum() * (h["mvi"] == 0).sum())
        for _, h in table.groupby("hospital")
    ]
    return sum(value * pairs for value, pairs in aucs) / sum(pairs for _, pairs in aucs)


def pooled_fit(rows: pd.DataFrame, columns: list[str], ridge: float = 1.0) -> dict[str, float]:
    """The ridge's coefficients by scikit-learn on one table."""
    scaler = StandardScaler().fit(rows[columns])
    model = LogisticRegression(C=1 / ridge, tol=1e-14, solver="newton-cholesky", max_iter=1000)
    model.fit(scaler.transform(rows[columns]), rows["mvi"])
    return dict(zip(columns, model.coef_[0] / scaler.scale_, strict=True))


def test_platelets_a_thousand_times_too_high_stop_the_study_and_its_advice_mends_it(
    run: Run, table: pd.DataFrame
) -> None:
    """And one albumin of 5200, which nobody can explain, leaves that patient out and no other."""
    table["albumin"] = np.random.default_rng(1).normal(40, 4, len(table)).round(1)
    table.loc[7, "albumin"] = 5200
    counted = table.copy()
    counted.loc[counted["hospital"] == "birch", "platelets"] *= 1000
    asked = {
        "clinical": [*CLINICAL, "albumin"],
        "variables": {"albumin": {"unit": "g/L", "range": [10, 65]}, "platelets": {"unit": "10^9/L"}},
        "validation": JUDGED_ON_ITSELF,
    }
    with pytest.raises(StudyStopped, match="do not seem to count in the same units") as stopped:
        run(counted, **asked)
    assert "birch's columns.yaml" in str(stopped.value)
    results = run(counted, {"birch": yaml.safe_load(str(stopped.value).split("`")[1])}, **asked)
    assert results["cohort"]["patients"] == len(table) - 1
    expected = pooled_fit(table.drop(index=7), [*CLINICAL, "albumin"])
    assert results["model"]["coefficients"] == pytest.approx(expected, abs=1e-8)


def test_columns_that_hold_the_outcome_are_named_and_no_others(run: Run, table: pd.DataFrame) -> None:
    """Also the one that falls with the outcome; columns that are sums of others (rank 2 of 3) fit under a ridge."""
    rng = np.random.default_rng(2)
    table["invasion_score"] = table["mvi"] * 6 + rng.normal(size=len(table))
    table["clear_margin"] = 1 - table["mvi"]
    table["small"], table["large"] = (table["age"] < 60).astype(int), (table["age"] >= 60).astype(int)
    table["both"] = table["small"] * 2 + table["large"]
    columns = [*CLINICAL, "small", "large", "both", "invasion_score", "clear_margin"]
    model = {"kind": "logistic", "penalty": "ridge", "strength": 100.0}
    results = run(table, clinical=columns, validation=JUDGED_ON_ITSELF, model=model)
    said = [note for note in results["notes"] if "too good to be true: probably it holds the outcome" in note]
    assert [note.partition(":")[0] for note in said] == ["invasion_score", "clear_margin"]
    assert f"AUC of {lone_auc(table, 'invasion_score'):.3f}" in said[0]
    assert "AUC of 1.000" in said[1]
    assert not [note for note in results["notes"] if "take it out" in note and note not in said]
    assert results["model"]["coefficients"] == pytest.approx(pooled_fit(table, columns, ridge=100.0), abs=1e-8)


def test_the_pairs_of_a_column_that_few_carry_say_nothing() -> None:
    """One carrier's pairs are all won or all lost: their number would be the carrier's outcome."""
    outcome = np.repeat([0.0, 1.0], 20)
    matrix = np.zeros((40, 3))
    matrix[-1, 0] = 1.0
    matrix[[0, 1, 20, 21, 22], 1] = 1.0
    matrix[:, 2] = np.arange(40)
    won, pairs = _pairs(matrix, outcome)
    assert pairs.tolist() == [0, 400, 400]
    assert won.tolist() == [0, 200 + 0.5 * 20, 400]
    few = np.repeat([0.0, 1.0], [36, 4])
    assert _pairs(matrix, few)[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("patient_no", "names patients"),
        ("MRN", "names patients"),
        ("accession_number", "names patients"),
        ("os_days", "follow-up"),
        ("recurrence", "follow-up"),
        ("dead_12m", "follow-up"),
        ("age", ""),
        ("hbv_dna", ""),
        ("platelets", ""),
        ("glucose", ""),
    ],
)
def test_predictors_called_like_ids_or_follow_up_are_named(name: str, said: str) -> None:
    found = suspicious_names(asking([name]))
    assert [said in text for text in found] == ([True] if said else [])


@pytest.mark.parametrize("column", ["early_recurrence", "recurrence_24m", "os_5y", "relapse_within_12"])
def test_an_event_within_a_time_as_a_plain_yes_or_no_is_warned_of(column: str) -> None:
    found = suspicious_names(asking(outcome={"kind": "binary", "column": column}))
    assert "neither 0 nor to be dropped" in found[0]
    assert not suspicious_names(asking(outcome={"kind": "binary", "column": "mvi"}))


@pytest.mark.slow
def test_noise_with_hospital_effects_is_a_half_within_hospitals_and_the_report_says_so(run: Run) -> None:
    """Every column is noise about the hospital's own mean, and hospitals differ in how often the outcome happens."""
    rng = np.random.default_rng(8)
    sizes = {"alder": 120, "birch": 120, "cedar": 120, "dogwood": 120}
    hospital = np.repeat(list(sizes), list(sizes.values()))
    number = np.repeat(np.arange(4), 120)
    rows = pd.DataFrame({"id": [f"P{i:03d}" for i in range(480)], "hospital": hospital})
    for name in ("a", "b", "c"):
        rows[name] = number * 2.0 + rng.normal(size=480)
    rows["mvi"] = (rng.random(480) < np.array([0.1, 0.35, 0.65, 0.9])[number]).astype(int)
    results = run(rows, clinical=["a", "b", "c"], variables={})
    found = results["performance"]["kfold"]
    within = found["within_sites"]["auc"]
    assert found["overall"]["auc"]["low"] > 0.7
    assert within["low"] < 0.5 < within["high"]
    assert any("tells hospitals apart rather than patients" in text for text in remarks(results))
