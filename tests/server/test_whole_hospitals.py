"""Groups of hospitals left out together, and sealed external hospitals, beside the pooled fit by scikit-learn."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from client.ledger import entries
from client.site import open_site
from client.store import Store
from common.errors import StudyStopped
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.approved import approve_everywhere, run_between
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals
from tests.server.test_results_document import documented, keys_of, pattern

NAMES = ("alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo")
FEATURES = ["mean_texture", "mean_area", "worst_symmetry", "mean_smoothness"]
GROUPS = {"north": ["alder", "birch", "cedar"], "south": ["dogwood", "elm", "fir"]}


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    table = breast_cancer()
    table["hospital"] = np.random.default_rng(11).choice(NAMES, size=len(table))
    return table


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, pooled: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return write_hospitals(folder / "sites", pooled, ["mvi"], FEATURES)


def asking(**more: Any) -> Study:
    checks: dict[str, Any] = {"folds": 0, "leave_one_hospital_out": False, "external": ["ginkgo"]}
    sections = {"privacy": {"secure_sum": False}} | more  # masks make no difference to any of this
    return study(**(sections | {"validation": checks | sections.pop("validation", {})}))


def run(chosen: Study, sites: Path, out: Path) -> dict[str, Any]:
    simulate(Simulation(chosen, find_hospitals(sites), out), Silence())
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, sites: Path) -> Path:
    """Two groups left out in turn, and one sealed hospital."""
    folder = tmp_path_factory.mktemp("groups") / "out"
    run(asking(validation={"leave_groups_out": GROUPS}), sites, folder)
    return folder


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def fit(rows: pd.DataFrame) -> np.ndarray:
    """Intercept and coefficients in own units by scikit-learn."""
    scaler = StandardScaler().fit(rows[FEATURES])
    model = LogisticRegression(C=1.0, tol=1e-14, max_iter=20_000, solver="newton-cholesky")
    model.fit(scaler.transform(rows[FEATURES]), rows["mvi"])
    slopes = model.coef_[0] / scaler.scale_
    return np.concatenate([[model.intercept_[0] - slopes @ scaler.mean_], slopes])


def risk(beta: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    return 1 / (1 + np.exp(-(beta[0] + rows[FEATURES].to_numpy() @ beta[1:])))


def federated(model: dict[str, Any]) -> np.ndarray:
    return np.array([model["intercept"], *(model["coefficients"][name] for name in FEATURES)])


def test_every_group_left_out_leaves_the_pooled_fit_of_the_others(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    trained = pooled[pooled["hospital"] != "ginkgo"]
    for group, names in GROUPS.items():
        expected = fit(trained[~trained["hospital"].isin(names)])
        found = federated(results["model"]["by_split"][f"leave_group_out/{group}"])
        assert np.abs(found - expected).max() < 1e-8


def test_a_sealed_hospital_is_in_no_training_rows_and_gets_the_released_model(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    expected = fit(pooled[pooled["hospital"] != "ginkgo"])
    assert np.abs(federated(results["model"]) - expected).max() < 1e-8
    assert federated(results["model"]["by_split"]["external"]) == pytest.approx(federated(results["model"]), abs=0)
    assert results["performance"]["apparent"]["patients"] == (pooled["hospital"] != "ginkgo").sum()
    assert results["performance"]["apparent"]["events"] == pooled.loc[pooled["hospital"] != "ginkgo", "mvi"].sum()


def test_groups_are_judged_by_the_model_without_them_and_as_masked_totals(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    trained = pooled[pooled["hospital"] != "ginkgo"]
    score = pd.Series(0.0, index=trained.index)
    for names in GROUPS.values():
        inside = trained["hospital"].isin(names)
        score[inside] = risk(fit(trained[~inside]), trained[inside])
    judged = results["performance"]["leave_group_out"]
    auc = judged["overall"]["auc"]
    assert auc["certified_low"] - 1e-12 <= roc_auc_score(trained["mvi"], score) <= auc["certified_high"] + 1e-12
    assert judged["patients"] == len(trained)
    assert "ginkgo" not in judged["by_site"]
    assert {asked["class"] for asked in results["exchanges"]["asked"]} == {"masked total"}


def test_one_external_hospital_says_its_own_figures_alone(results: dict[str, Any], pooled: pd.DataFrame) -> None:
    own = pooled[pooled["hospital"] == "ginkgo"]
    expected = roc_auc_score(own["mvi"], risk(fit(pooled[pooled["hospital"] != "ginkgo"]), own))
    assert "external" not in results["performance"]
    assert results["external"]["judged_together"] is False
    assert results["external"]["hospitals"]["ginkgo"]["judged"]["external"]["figure"]["value"] == pytest.approx(
        expected, abs=5.1e-4
    )
    asked = [query for query in results["exchanges"]["asked"] if query["query"] == "external_figures"]
    assert [query["sums"] for query in asked] == [{}]


def test_what_is_said_of_external_hospitals_is_documented(results: dict[str, Any]) -> None:
    found = {key for key in keys_of(results) if key.startswith("external|")}
    known = {path for path in documented() if path.startswith("external.")}
    assert all(any(re.fullmatch(pattern(path), key) for path in known) for key in found)
    assert all(any(re.fullmatch(pattern(path), key) for key in found) for path in known)


def test_the_sealed_hospital_notes_when_its_outcomes_were_first_used(out: Path, sites: Path) -> None:
    site = open_site(sites / "ginkgo", out / "sites" / "ginkgo", lower_profile=True)
    with closing(Store(site.own)) as store:
        noted = [e for e in entries(store) if "sealed outcomes first used" in e.thresholds]
    assert [entry.query for entry in noted] == ["external_figures"]
    predictions = pd.read_csv(out / "sites" / "ginkgo" / "predictions.csv")
    assert set(predictions["scheme"]) == {"external"}


def test_three_external_hospitals_are_judged_together(sites: Path, pooled: pd.DataFrame, tmp_path: Path) -> None:
    sealed = ["elm", "fir", "ginkgo"]
    chosen = asking(validation={"external": sealed, "folds": 2})
    results = run(chosen, sites, tmp_path / "out")
    inside = pooled["hospital"].isin(sealed)
    expected = roc_auc_score(pooled.loc[inside, "mvi"], risk(fit(pooled[~inside]), pooled[inside]))
    judged = results["performance"]["external"]
    auc = judged["overall"]["auc"]
    assert auc["certified_low"] - 1e-12 <= expected <= auc["certified_high"] + 1e-12
    assert judged["patients"] == inside.sum()
    assert sorted(judged["by_site"]) == sealed
    assert results["performance"]["kfold"]["patients"] == (~inside).sum()
    assert results["external"]["judged_together"] is True


@pytest.mark.slow
def test_a_sealed_hospital_is_harmonised_as_an_unseen_one(
    sites: Path, pooled: pd.DataFrame, tmp_path: Path
) -> None:
    chosen = asking(
        harmonisation={"method": "combat", "preserve": []},
        validation={"external": ["elm", "fir", "ginkgo"], "folds": 3},
    )
    results = run(chosen, sites, tmp_path / "out")
    assert results["performance"]["external"]["transductive"] is True
    assert 0.5 < results["performance"]["external"]["overall"]["auc"]["value"] <= 1


def test_hospitals_that_do_not_fit_the_groups_stop_the_study_in_words(sites: Path, tmp_path: Path) -> None:
    for validation, words in (
        ({"external": ["nowhere"]}, "nowhere cannot take part"),
        ({"external": list(NAMES[2:])}, "2 hospitals are left to train on"),
        ({"external": [], "leave_groups_out": GROUPS}, "ginkgo is in no group"),
    ):
        with pytest.raises(StudyStopped, match=words):
            run(asking(validation=validation), sites, tmp_path / words[:7].strip())


@pytest.mark.slow
def test_every_gate_lets_a_study_with_groups_and_a_sealed_hospital_pass(
    pooled: pd.DataFrame, tmp_path: Path
) -> None:
    sites = write_hospitals(tmp_path / "sites", pooled, ["mvi"], FEATURES)
    chosen = asking(validation={"leave_groups_out": GROUPS}, privacy={"secure_sum": True})
    results = run_between(chosen, approve_everywhere(chosen, find_hospitals(sites)), tmp_path / "out")
    assert results["protection"]["gate"] is True
    assert sorted(results["performance"]) == ["apparent", "leave_group_out"]
    assert results["external"]["hospitals"]["ginkgo"]["judged"]["external"]["figure"]["value"] > 0.5
