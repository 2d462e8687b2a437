"""A whole survival study over masked sums and the hospitals' gates: results, their document, own files, the report."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from lifelines.utils.concordance import _concordance_summary_statistics

from common.errors import StudyStopped
from common.query import Disclosed
from common.study import Study
from deploy.simulation.simulate import find_hospitals
from server.evaluation.proportional_hazards import score_test
from server.report.html import render
from server.units import stop_at_unit_errors
from tests.approved import approve_everywhere, run_between
from tests.hospitals_on_disk import write_hospitals
from tests.server.survival_tables import gbsg2
from tests.server.test_results_document import DOCUMENT, keys_of, pattern
from tests.server.test_survival_between import sums_of

COLUMNS = ["age", "grade", "hormone", "pnodes", "progrec"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return gbsg2().assign(
        id=lambda t: [f"P{k:04d}" for k in t.index],
        days=lambda t: t["time"],
        menopause=lambda t: (t["age"] > -0.3).astype(int),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("survival")
    sites = write_hospitals(folder / "sites", table, ["days", "event", "menopause", *COLUMNS], [])
    study = Study.from_content(
        {
            "study": "gbsg",
            "outcome": {"kind": "survival", "time": "days", "event": "event", "horizons_months": [12, 36, 120]},
            "variables": {"days": {"time_zero": "date of surgery"}, "menopause": {"type": "binary"}},
            "predictors": {"clinical": COLUMNS},
            "model": {"kind": "cox", "penalty": "none"},
            "compare": {"nodes": {"clinical": ["pnodes", "grade"]}},
            "subgroups": [{"column": "menopause"}],
            "validation": {"folds": 3, "leave_one_hospital_out": True, "bootstrap": 400},
        },
        "study",
    )
    hospitals = find_hospitals(sites)
    for hospital in hospitals.values():
        (hospital / "site.yaml").write_text("policy: {single_hospital_sums: true}\n")
    run_between(study, approve_everywhere(study, hospitals), folder / "out")
    return folder


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "out" / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def everything(run: Path, table: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p) for p in sorted(run.glob("sites/*/.hepafed/**/survival.csv"))]
    return pd.concat(parts).merge(table[["id", "time", "event", "hospital", "menopause"]], on="id")


@pytest.fixture(scope="module")
def written(everything: pd.DataFrame) -> pd.DataFrame:
    """By the study's first model."""
    return everything[everything["model"].isna()]


def test_the_hospitals_gates_let_the_study_pass(results: dict[str, Any]) -> None:
    assert results["protection"]["gate"]
    assert not results["protection"]["lower_profile"]
    assert results["lost"] == []


def test_scores_of_the_final_model_are_those_of_the_pooled_stratified_fit(
    written: pd.DataFrame, table: pd.DataFrame
) -> None:
    fitted = CoxPHFitter(baseline_estimation_method="breslow").fit(
        table[["time", "event", "hospital", *COLUMNS]], "time", "event", strata="hospital"
    )
    own = written[written["scheme"] == "apparent"].set_index("id").loc[table["id"], "score"].to_numpy()
    expected = table[COLUMNS].to_numpy() @ fitted.params_.to_numpy()
    assert np.abs(own - own.mean() - (expected - expected.mean())).max() < 1e-4


@pytest.mark.parametrize("scheme", ["apparent", "kfold", "leave_one_hospital_out"])
def test_concordance_is_that_of_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame, scheme: str
) -> None:
    rows = written[written["scheme"] == scheme]
    found = results["survival"]["performance"][""][scheme]
    pooled = concordance_index(rows["time"], -rows["score"], rows["event"])
    overall = found["overall"]["concordance"]
    assert overall["certified_low"] <= pooled <= overall["certified_high"]
    assert overall["value"] == pytest.approx(pooled, abs=0.012)
    for name, own in rows.groupby("hospital"):
        expected = concordance_index(own["time"], -own["score"], own["event"])
        assert found["by_site"][name]["concordance"]["value"] == pytest.approx(expected, abs=5.1e-4)


@pytest.mark.parametrize("scheme", ["kfold", "leave_one_hospital_out"])
def test_risks_and_groups_are_in_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame, scheme: str
) -> None:
    rows = written[written["scheme"] == scheme]
    found = results["survival"]["performance"][""][scheme]
    assert rows["group"].value_counts()[["low", "middle", "high"]].tolist() == found["risk_groups"]["patients"]
    at = found["horizons"]["36"]
    assert at["expected"] == pytest.approx(rows["risk_at_36_months"].mean(), abs=1e-9)
    assert at["observed"] == pytest.approx(at["expected"], abs=0.03)
    assert at["brier"] < at["brier_reference"]


def c_within(rows: pd.DataFrame) -> tuple[float, int]:
    """C over pairs of patients of one hospital, by lifelines; and how many hospitals have five of each kind."""
    won = counted = 0.0
    hospitals = 0
    for _, own in rows.groupby("hospital"):
        if min((own["event"] == 1).sum(), (own["event"] == 0).sum()) < 5:
            continue
        right, tied, pairs = _concordance_summary_statistics(
            own["time"].to_numpy(), -own["score"].to_numpy(), own["event"].to_numpy()
        )
        won, counted, hospitals = won + right + tied / 2, counted + pairs, hospitals + 1
    return won / counted, hospitals


@pytest.mark.parametrize("scheme", ["kfold", "leave_one_hospital_out"])
def test_a_subgroup_has_the_c_and_the_risks_of_its_patients_in_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame, scheme: str
) -> None:
    groups = {group["name"]: group for group in results["survival"]["subgroups"][0]["groups"]}
    for level in (0, 1):
        rows = written[(written["scheme"] == scheme) & (written["menopause"] == level)]
        group = groups[str(level)]
        assert (group["patients"], group["events"]) == (len(rows), int(rows["event"].sum()))
        found = group["found"][scheme]
        expected, hospitals = c_within(rows)
        assert hospitals >= 3
        assert found["concordance"]["value"] == pytest.approx(expected, abs=1e-9)
        curve = KaplanMeierFitter().fit(rows["time"], rows["event"])
        observed = 1 - curve.predict(36 * 30.4375)
        assert found["observed_to_expected"] == pytest.approx(
            observed / rows["risk_at_36_months"].mean(), rel=0.06
        )
        assert 0 < found["brier"] < 0.3


def test_two_models_are_compared_by_c_within_hospitals_and_by_their_likelihoods(
    results: dict[str, Any], everything: pd.DataFrame, table: pd.DataFrame
) -> None:
    found = {entry["scheme"]: entry for entry in results["survival"]["comparisons"]}
    assert set(found) == {"apparent", "kfold", "leave_one_hospital_out"}
    rows = everything[everything["scheme"] == "kfold"]
    first, second = (c_within(rows[chosen])[0] for chosen in (rows["model"] == "nodes", rows["model"].isna()))
    assert (found["kfold"]["first"], found["kfold"]["second"]) == ("nodes", "")
    assert found["kfold"]["within_sites"]["value"] == pytest.approx(second - first, abs=1e-9)
    small, large = (
        CoxPHFitter().fit(table[["time", "event", "hospital", *columns]], "time", "event", strata="hospital")
        for columns in (["pnodes", "grade"], COLUMNS)
    )
    ratio = found["kfold"]["likelihood_ratio"]
    assert (ratio["smaller"], ratio["degrees"]) == ("nodes", 3)
    assert ratio["statistic"] == pytest.approx(2 * (large.log_likelihood_ - small.log_likelihood_), abs=1e-4)


def test_hospitals_drawn_anew_give_c_the_error_of_weighted_hospitals(
    results: dict[str, Any], written: pd.DataFrame
) -> None:
    rows = written[written["scheme"] == "kfold"]
    own = []
    for _, of_one in rows.groupby("hospital"):
        right, tied, pairs = _concordance_summary_statistics(
            of_one["time"].to_numpy(), -of_one["score"].to_numpy(), of_one["event"].to_numpy()
        )
        own.append((right + tied / 2, pairs))
    won, counted = np.array(own).T
    value, hospitals = won.sum() / counted.sum(), len(own)
    parts = (won - value * counted) / counted.sum()
    found = results["survival"]["bootstrap"]["concordance"]["kfold"]
    assert found["within_sites"]["value"] == pytest.approx(value, abs=1e-9)
    expected = np.sqrt(hospitals / (hospitals - 1) * (parts**2).sum())
    assert found["within_sites"]["standard_error"] == pytest.approx(expected, rel=0.25)  # 400 draws of 4 weights
    performance = results["survival"]["performance"][""]["kfold"]
    assert found["overall"]["value"] == performance["overall"]["concordance"]["value"]
    assert found["overall"]["low"] < found["overall"]["value"] < found["overall"]["high"]
    assert results["bootstrap"] is None


def test_proportional_hazards_are_tested_in_totals_as_on_the_pooled_table(
    results: dict[str, Any], table: pd.DataFrame
) -> None:
    fitted = CoxPHFitter().fit(table[["time", "event", "hospital", *COLUMNS]], "time", "event", strata="hospital")
    expected = score_test(*sums_of(table, COLUMNS, fitted.params_[COLUMNS].to_numpy()), COLUMNS)
    assert expected is not None
    found = results["survival"]["proportional_hazards"]
    assert set(found) == {"", "nodes"}
    assert found[""]["statistic"] == pytest.approx(expected.statistic, abs=1e-4)
    for name, column in expected.columns.items():
        assert found[""]["columns"][name]["p"] == pytest.approx(column.p_value, abs=1e-4)
    assert any(note.startswith("Hazard ratios change with time") for note in results["notes"]) == (
        expected.p_value < 0.05
    )


@pytest.mark.parametrize("scheme", ["apparent", "kfold"])
def test_net_benefit_at_a_horizon_is_that_of_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame, scheme: str
) -> None:
    """Above a threshold, the share that has the event by the horizon is Kaplan–Meier's (Vickers and others 2008)."""
    rows = written[written["scheme"] == scheme]
    points = results["survival"]["performance"][""][scheme]["horizons"]["36"]["decision_curve"]
    assert len(points) >= 3
    assert all(a["threshold"] < b["threshold"] for a, b in itertools.pairwise(points))
    for point in points:
        above = rows[rows["risk_at_36_months"] > point["threshold"]]
        odds = point["threshold"] / (1 - point["threshold"])
        curve = KaplanMeierFitter().fit(above["time"], above["event"])
        event = 1 - curve.predict(36 * 30.4375)
        expected = len(above) / len(rows) * (event - odds * (1 - event))
        assert point["model"] == pytest.approx(expected, abs=0.025)
        assert point["model"] > -0.01


def test_every_hospital_recalibrates_its_own_risks_and_keeps_that(run: Path, written: pd.DataFrame) -> None:
    judged = 0
    for path in sorted(run.glob("sites/*/.hepafed/**/survival_recalibration.json")):
        own = json.loads(path.read_text(encoding="utf-8"))["kfold/0"]
        rows = written[(written["scheme"] == "kfold") & (written["hospital"] == path.relative_to(run).parts[1])]
        assert (own["patients"], own["events"]) == (len(rows), rows["event"].sum())
        slope = CoxPHFitter().fit(rows[["time", "event", "score"]], "time", "event").params_["score"]
        assert own["slope"] == pytest.approx(slope, abs=1e-4)
        if "36" not in own["horizons"]:
            assert rows["recalibrated_at_36_months"].isna().all()
            continue
        judged += 1
        at = own["horizons"]["36"]
        curve = KaplanMeierFitter().fit(rows["time"], rows["event"])
        assert at["observed"] == pytest.approx(1 - curve.predict(36 * 30.4375), abs=1e-9)
        assert at["predicted"] == pytest.approx(rows["risk_at_36_months"].mean(), abs=1e-9)
        assert rows["recalibrated_at_36_months"].mean() == pytest.approx(at["observed"], abs=1e-9)
        steeper = np.log(-np.log(1 - rows["recalibrated_at_36_months"])) - np.log(
            -np.log(1 - rows["risk_at_36_months"])
        )
        assert steeper.to_numpy() == pytest.approx(at["shift"], abs=1e-6)
    assert judged >= 3


def test_a_horizon_beyond_the_follow_up_is_said_not_judged(results: dict[str, Any]) -> None:
    assert results["survival"]["follow_up"]["horizons_judged"] == [12, 36]
    assert any(note.startswith("Not judged at 120 months") for note in results["notes"])
    assert not any("does not say from what event" in note for note in results["notes"])


def test_the_keys_are_those_that_the_document_describes(results: dict[str, Any]) -> None:
    section = (
        DOCUMENT.read_text(encoding="utf-8").partition("## survival in results.json")[2].partition("\n## ")[0]
    )
    described = set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))
    found = keys_of({"survival": results["survival"]})
    known = [re.compile(pattern(path)) for path in described]
    assert sorted(key for key in found if not any(p.fullmatch(key) for p in known)) == []
    assert sorted(p for p in described if not any(re.fullmatch(pattern(p), key) for key in found)) == []


def test_the_report_shows_concordance_and_curves_and_no_auc_table(results: dict[str, Any]) -> None:
    text = render(results)
    assert "Kaplan–Meier" in text
    assert "C within hospitals" in text
    assert "Log-rank within hospitals" in text
    assert "from date of surgery" in text
    assert "C leaving a hospital out" in text
    assert "Decision curves of the model of all predictors at 36 months" in text
    assert "all predictors − nodes" in text
    assert "Test of proportional hazards" in text
    assert 'id="bootstrap"' in text
    assert 'id="subgroups"' in text
    assert "AUC overall" not in text
    assert "ROC curves" not in text


def test_months_for_days_at_one_hospital_stop_the_study() -> None:
    study = Study.from_content(
        {
            "study": "s",
            "outcome": {"kind": "survival", "time": "days", "event": "event"},
            "predictors": {"clinical": ["age"]},
            "model": {"kind": "cox"},
        },
        "study",
    )
    medians = {"alder": 1200.0, "birch": 39.0, "cedar": 900.0, "dogwood": 1100.0}
    said = {name: Disclosed(medians={"days": days}) for name, days in medians.items()}
    with pytest.raises(StudyStopped, match=r"days: the median at birch is 39.*likely months.*unit: months"):
        stop_at_unit_errors(study, said)
