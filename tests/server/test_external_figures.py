"""One sealed hospital's own figures where the outcome is a time or has several classes: lifelines and scikit-learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from common.months import in_days
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import write_hospitals
from tests.server.heard import listening_to_questions
from tests.server.survival_tables import gbsg2

COLUMNS = ["age", "grade", "pnodes"]
SEALED = "cedar"
Run = tuple[dict[str, Any], Path, dict[str, Any]]
"""Results, the sealed hospital's own folder, and what it was asked for its own figures."""


def run(folder: Path, table: pd.DataFrame, clinical: list[str], content: dict[str, Any]) -> Run:
    """Simulate a study in which one hospital is sealed."""
    sites = write_hospitals(folder / "sites", table, clinical, [])
    checks = {"folds": 2, "leave_one_hospital_out": False, "external": [SEALED]}
    chosen = Study.from_content(
        {"study": "sealed", "validation": checks, "privacy": {"secure_sum": False}} | content, "test study"
    )
    with listening_to_questions() as heard:
        simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    asked = next(question.question for question in heard if question.name == "external_figures")
    return json.loads((folder / "out" / "results.json").read_text()), folder / "out" / "sites" / SEALED, asked


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return gbsg2().assign(id=lambda t: [f"P{k:04d}" for k in t.index], days=lambda t: t["time"])


@pytest.fixture(scope="module")
def survival(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Run:
    content = {
        "outcome": {"kind": "survival", "time": "days", "event": "event", "horizons_months": [24, 48]},
        "predictors": {"clinical": COLUMNS},
        "model": {"kind": "cox", "penalty": "none"},
        "compare": {"nodes": {"clinical": ["pnodes"]}},
    }
    return run(tmp_path_factory.mktemp("times"), table, ["days", "event", *COLUMNS], content)


def test_a_sealed_hospital_says_its_own_c_slope_and_observed_over_expected(
    survival: Run, table: pd.DataFrame
) -> None:
    results, folder, asked = survival
    trained = table[table["hospital"] != SEALED]
    fitted = CoxPHFitter().fit(
        trained[["time", "event", "hospital", *COLUMNS]], "time", "event", strata="hospital"
    )
    own = table[table["hospital"] == SEALED].copy()
    own["score"] = (own[COLUMNS] - trained[COLUMNS].mean()).to_numpy() @ fitted.params_[COLUMNS].to_numpy()
    found = results["external"]["hospitals"][SEALED]["judged"]["external"]
    expected = concordance_index(own["time"], -own["score"], own["event"])
    assert results["external"]["figure"] == "C"
    assert found["figure"]["value"] == pytest.approx(expected, abs=5.1e-4)
    slope = CoxPHFitter().fit(own[["time", "event", "score"]], "time", "event").params_["score"]
    assert found["calibration"]["slope"] == pytest.approx(slope, abs=6e-4)
    ends, hazards = in_days(asked["parameters"]["months"]), asked["arrays"]["baseline"]
    assert hazards[-1] == pytest.approx(results["survival"]["baseline"][""]["48"])
    gathered = np.interp(own["time"], [0.0, *ends], [0.0, *hazards])
    ratio = own.loc[own["time"] <= ends[-1], "event"].sum() / (gathered * np.exp(own["score"])).sum()
    assert found["calibration"]["intercept"] == pytest.approx(np.log(ratio), abs=6e-4)
    pooled = CoxPHFitter().fit(trained[["time", "event", *COLUMNS]], "time", "event")
    until = own["time"].clip(upper=float(ends[-1]))
    curves = pooled.predict_cumulative_hazard(own, times=sorted(set(until)))
    expected = sum(curves.loc[until[k], k] for k in own.index)
    observed = own.loc[own["time"] <= ends[-1], "event"].sum()
    assert found["calibration"]["intercept"] == pytest.approx(np.log(observed / expected), abs=0.02)
    written = pd.read_csv(folder / "survival.csv", keep_default_na=False)
    assert set(written["scheme"]) == {"external"}
    rows = written[written["model"] == ""].set_index("id").loc[own["id"]]
    assert rows["score"].to_numpy() == pytest.approx(own["score"].to_numpy(), abs=1e-4)


def test_the_sealed_hospital_is_in_no_total_and_the_note_says_its_figure(
    survival: Run, table: pd.DataFrame
) -> None:
    results, _, _ = survival
    trained = (table["hospital"] != SEALED).sum()
    performance = results["survival"]["performance"][""]
    assert {name: judged["patients"] for name, judged in performance.items()} == {
        "apparent": trained,
        "kfold": trained,
    }
    assert any(f"{SEALED}: C 0." in note for note in results["notes"])
    assert [q["sums"] for q in results["exchanges"]["asked"] if q["query"] == "external_figures"] == [{}]


def test_of_several_classes_each_is_judged_against_the_others(tmp_path: Path) -> None:
    data = load_iris(as_frame=True)
    rng = np.random.default_rng(3)
    columns = ["length", "width"]
    table = data.frame.iloc[:, [0, 1]].set_axis(columns, axis=1)
    table["kind"] = data.target.map(dict(enumerate(["a", "b", "c"])))
    table["id"] = [f"P{k:03d}" for k in table.index]
    table["hospital"] = rng.choice(["alder", "birch", "dogwood", SEALED], len(table), p=[0.2, 0.22, 0.23, 0.35])
    content = {
        "outcome": {"kind": "multiclass", "column": "kind"},
        "variables": {"kind": {"type": "category", "levels": ["a", "b", "c"]}},
        "predictors": {"clinical": columns},
        "model": {"kind": "multinomial", "penalty": "ridge", "strength": 1.0},
    }
    results, folder, _ = run(tmp_path, table, ["kind", *columns], content)
    trained, own = table[table["hospital"] != SEALED], table[table["hospital"] == SEALED]
    mean, spread = trained[columns].mean(), trained[columns].std(ddof=0)
    judged = results["external"]["hospitals"][SEALED]["judged"]
    assert {"external#a", "external#b", "external#c"} >= set(judged)
    assert len(judged) >= 2
    fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(
        (trained[columns] - mean) / spread, trained["kind"]
    )
    risks = pd.DataFrame(fitted.predict_proba((own[columns] - mean) / spread), columns=fitted.classes_)
    for label, found in judged.items():
        level = label.partition("#")[2]
        expected = roc_auc_score(own["kind"] == level, risks[level])
        assert found["figure"]["value"] == pytest.approx(expected, abs=0.02)
        assert found["calibration"]["slope"] > 0
    assert any(f"{SEALED}, a: AUC" in note for note in results["notes"])
    worth = json.loads((folder.parent / "dogwood" / "worth_joining.json").read_text())["answer"]
    assert worth["figure"] == "mean AUC"
    assert worth["federated"]["value"] > 0.6
    assert f"judged for the classes {', '.join(worth['classes'])}" in (
        folder.parent / "dogwood" / "worth_joining.md"
    ).read_text(encoding="utf-8")
    assert json.loads((folder / "worth_joining.json").read_text())["answer"] is None
