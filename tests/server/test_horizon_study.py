"""A whole study of an event at a horizon over masked sums and gates: results, their document, own files, the report."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from common.months import DAYS_A_MONTH
from common.study import Study
from deploy.simulation.simulate import find_hospitals
from deploy.study_words import study_in_words
from server.report.html import render
from tests.approved import approve_everywhere, run_between
from tests.hospitals_on_disk import write_hospitals
from tests.server.horizon_tables import COLUMNS, horizon_study, weighted_auc, weights_by
from tests.server.survival_tables import gbsg2
from tests.server.test_results_document import DOCUMENT, keys_of, pattern

MONTHS = 36


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return gbsg2().assign(id=lambda t: [f"P{k:04d}" for k in t.index])


@pytest.fixture(scope="module")
def study() -> Study:
    sections = horizon_study(
        MONTHS,
        COLUMNS,
        variables={"time": {"time_zero": "date of surgery"}},
        compare={"clinical": {"clinical": ["age", "grade"]}},
        validation={"folds": 3, "leave_one_hospital_out": True},
    )
    return Study.from_content({"study": "early", **sections}, "study")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame, study: Study) -> Path:
    folder = tmp_path_factory.mktemp("horizon")
    hospitals = find_hospitals(write_hospitals(folder / "sites", table, ["time", "event", *COLUMNS], []))
    for hospital in hospitals.values():
        (hospital / "site.yaml").write_text("policy: {single_hospital_sums: true}\n")
    run_between(study, approve_everywhere(study, hospitals), folder / "out")
    return folder


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "out" / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(run: Path, table: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p) for p in sorted(run.glob("sites/*/.hepafed/**/predictions.csv"))]
    return pd.concat(parts).merge(table[["id", "time", "event", "hospital"]], on="id")


def test_the_hospitals_gates_let_the_study_pass(results: dict[str, Any]) -> None:
    assert results["protection"]["gate"]
    assert results["lost"] == []
    assert results["left_out"] == {}


@pytest.mark.parametrize("model", ["", "clinical"])
@pytest.mark.parametrize("scheme", ["apparent", "kfold", "leave_one_hospital_out"])
def test_figures_are_those_of_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame, scheme: str, model: str
) -> None:
    rows = written[(written["scheme"] == scheme) & (written["model"].fillna("") == model)]
    weights = results["horizon"]["weights"]
    outcome, weight = weights_by(rows, MONTHS, weights["months"], np.array(weights["followed"]["final"]))
    found = results["models"][model]["performance"][scheme]
    auc, risk = found["overall"]["auc"], rows["score"].to_numpy()
    assert len(rows) == found["patients"]
    assert auc["certified_low"] <= weighted_auc(risk, outcome, weight) <= auc["certified_high"]
    assert found["overall"]["brier"] == pytest.approx(
        np.nansum(weight * (outcome - risk) ** 2) / len(risk), abs=1e-9
    )
    expected = results["horizon"]["incidence"] / risk.mean()
    assert found["overall"]["calibration"]["observed_to_expected"] == pytest.approx(expected, abs=1e-9)


def test_the_incidence_is_kaplan_meiers_and_the_report_says_what_naive_shares_would_be(
    results: dict[str, Any], table: pd.DataFrame
) -> None:
    curve = KaplanMeierFitter().fit(table["time"], table["event"])
    assert results["horizon"]["incidence"] == pytest.approx(1 - curve.predict(MONTHS * DAYS_A_MONTH), abs=0.01)
    until = table["time"] <= MONTHS * DAYS_A_MONTH
    events, lost = int((until & (table["event"] == 1)).sum()), int((until & (table["event"] == 0)).sum())
    assert results["horizon"]["known"] == {"events": events, "free": len(table) - events - lost, "lost": lost}
    text = re.sub(r"\s+", " ", render(results))
    assert f"{events} patients are known to have had it by then" in text
    assert f"dropping those who were lost would say {100 * events / (len(table) - lost):.1f} %" in text
    assert f"({100 * events / len(table):.1f} %) had the outcome" not in text
    assert "event within 36 months" in text
    assert "AUC overall" in text
    assert "too many hospitals' numbers" not in text.replace("&#39;", "'")


def test_the_decision_curve_is_that_of_the_hospitals_own_files_weighted(
    results: dict[str, Any], written: pd.DataFrame
) -> None:
    curves = results["horizon"]["decision_curves"]
    assert {"apparent", "kfold", "leave_one_hospital_out", "kfold@clinical"} <= set(curves)
    rows = written[(written["scheme"] == "kfold") & written["model"].isna()]
    months, followed = (results["horizon"]["weights"][key] for key in ("months", "followed"))
    outcome, weight = weights_by(rows, MONTHS, months, np.array(followed["final"]))
    assert len(curves["kfold"]) >= 5
    for point in curves["kfold"]:
        above, odds = rows["score"] > point["threshold"], point["threshold"] / (1 - point["threshold"])
        true, false = (weight[above & (outcome == had)].sum() / weight.sum() for had in (1, 0))
        assert point["model"] == pytest.approx(true - odds * false, abs=1e-9)
    assert "Decision curves" in render(results)


def test_models_are_compared_by_weighted_pairs_of_the_hospitals_own_files(
    results: dict[str, Any], written: pd.DataFrame
) -> None:
    rows = written[written["scheme"] == "kfold"].copy()
    months, followed = (results["horizon"]["weights"][key] for key in ("months", "followed"))
    rows["y"], rows["w"] = weights_by(rows, MONTHS, months, np.array(followed["final"]))
    sides = [rows[rows["model"] == "clinical"].set_index("id"), rows[rows["model"].isna()].set_index("id")]
    first, second = sides[0], sides[1].loc[sides[0].index]
    found = next(entry for entry in results["horizon"]["comparisons"] if entry["scheme"] == "kfold")
    assert (found["first"], found["second"]) == ("clinical", "")
    parts, left = [], []
    for hospital in first["hospital"].unique():
        own = first[(first["hospital"] == hospital) & (first["w"] > 0)]
        pairs = np.outer(own["w"] * own["y"], own["w"] * (1 - own["y"]))
        scores = own["score"].to_numpy(), second.loc[own.index, "score"].to_numpy()
        a, b = (pairs * (0.5 + 0.5 * np.sign(np.subtract.outer(s, s))) for s in scores)
        parts.append(((b - a).sum(), pairs.sum()))
        left += list(zip((b - a).sum(0) + (b - a).sum(1), pairs.sum(0) + pairs.sum(1), strict=True))
    won, counted = np.array(parts).sum(axis=0)
    assert found["within_sites"]["value"] == pytest.approx(won / counted, abs=1e-9)
    without = np.array([(won - x) / (counted - n) for x, n in left])
    jackknife = np.sqrt((len(without) - 1) / len(without) * ((without - without.mean()) ** 2).sum())
    assert found["within_sites"]["standard_error"] == pytest.approx(jackknife, rel=0.1)
    apart, known = second["score"] - first["score"], first["w"] > 0
    event, other = (
        np.average(apart[known & (first["y"] == y)], weights=first["w"][known & (first["y"] == y)]) for y in (1, 0)
    )
    improvement = found["discrimination_improvement"]
    assert improvement["value"] == pytest.approx(event - other, abs=1e-9)
    assert improvement["low"] < improvement["value"] < improvement["high"]
    assert 'id="pairs-at-horizon"' in render(results)


def test_what_is_left_out_is_said_and_not_computed_unweighted(results: dict[str, Any], run: Path) -> None:
    for entry in ("usefulness", "membership", "bootstrap", "hospital_name", "survival", "external"):
        assert results[entry] is None
    assert results["comparisons"] == results["subgroups"] == []
    assert results["model"]["standard_errors"] is None
    assert any(note.startswith("Not worked out for an event at a horizon") for note in results["notes"])
    asked = {entry["query"] for entry in results["exchanges"]["asked"]}
    assert not asked & {"discrimination", "threshold_classes", "paired_predictions", "membership", "lone_columns"}
    for own in run.glob("sites/*/.hepafed/**/worth_joining.json"):
        assert "weights" in json.loads(own.read_text())["why"]
    for own in run.glob("sites/*/.hepafed/**/recalibration.json"):
        assert json.loads(own.read_text()) == {}


def test_the_keys_are_those_that_the_document_describes(results: dict[str, Any]) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("## horizon in results.json")[2].partition("\n## ")[0]
    described = set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))
    found = keys_of({"horizon": results["horizon"]})
    known = [re.compile(pattern(path)) for path in described]
    assert sorted(key for key in found if not any(p.fullmatch(key) for p in known)) == []
    assert sorted(p for p in described if not any(re.fullmatch(pattern(p), key) for key in found)) == []


def test_a_study_in_words_says_what_happens_to_those_who_are_lost(study: Study) -> None:
    said = dict(study_in_words(study))["Outcome"]
    assert "the event within 36 months, or not" in said
    assert "neither dropped nor taken for free of it" in said
