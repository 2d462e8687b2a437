"""Whole studies with differential privacy: near the study without noise where patients are enough, else refused."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from client.store import Store
from common.errors import StudyStopped
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.evaluation.private_discrimination import bin_edges, judge
from server.methods.private_pipeline import standardisation
from server.progress import Silence
from server.report.private import render_private
from tests.approved import approve_everywhere, run_between, site_of
from tests.private_studies import FEATURES, hospitals_of, private_study, radiomics

FOLDS = {"folds": 2, "leave_one_hospital_out": False}


def run(folder: Path, chosen: Study, hospitals: int, patients: int) -> dict[str, Any]:
    sites = hospitals_of(folder / "sites", hospitals, patients)
    simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    results: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Five hospitals of 100 patients at ε = 4."""
    return run(
        tmp_path_factory.mktemp("private"),
        private_study({"epsilon": 4.0, "iterations": 3}, validation=FOLDS),
        5,
        100,
    )


def auc_of(model: dict[str, Any], table: pd.DataFrame) -> float:
    beta = np.array([model["coefficients"][name] for name in FEATURES])
    return float(roc_auc_score(table["mvi"], table[FEATURES].to_numpy() @ beta))


def test_five_hundred_patients_at_epsilon_4_are_near_the_study_without_noise(results: dict[str, Any]) -> None:
    """On new patients, one run; tests/server/test_private_cost.py has the average of many."""
    new = radiomics(3000, seed=99)
    with_noise, without = auc_of(results["model"], new), auc_of(results["without_noise"]["model"], new)
    assert without > 0.68
    assert with_noise > without - 0.13
    assert results["model"]["coefficients"] != results["without_noise"]["model"]["coefficients"]


def test_without_noise_the_histograms_give_the_auc_of_the_predictions(results: dict[str, Any]) -> None:
    found, new = results["without_noise"], radiomics(500)
    beta = np.array([found["model"]["coefficients"][name] for name in FEATURES])
    bounded = np.clip(new[FEATURES].to_numpy(), -4, 4)
    auc = roc_auc_score(new["mvi"], bounded @ beta)
    assert found["performance"]["apparent"]["auc"]["value"] == pytest.approx(auc, abs=0.01)


def test_results_state_the_budget_the_unit_the_mechanism_and_the_cost(results: dict[str, Any]) -> None:
    privacy = results["privacy"]
    assert (privacy["epsilon"], privacy["delta"]) == (4.0, 1e-5)
    assert privacy["epsilon_spent"] == pytest.approx(4.0, rel=1e-6)
    assert "One patient" in privacy["unit"]
    assert "Gaussian" in privacy["mechanism"]
    page = render_private(results)
    for said in ("ε = <b>4.0</b>", "Cost of privacy", "Error from noise", "One patient of a hospital"):
        assert said in page
    assert {asked["query"] for asked in results["exchanges"]["asked"]} == {
        "private_moments", "private_gradient", "private_histograms", "own_copy",
    }  # fmt: skip


DOCUMENT = Path(__file__).parents[2] / "docs" / "differential-privacy.md"
OWN_SECTIONS = ("privacy", "sites", "cohort", "pipeline", "model", "performance")


def documented() -> set[str]:
    """The paths of the document's last table; one that begins with a dot goes on from its row's first."""
    paths = set()
    table = DOCUMENT.read_text(encoding="utf-8").partition("## results.json of a private study")[2]
    for row in re.findall(r"^\| (`[^|]+`) \|", table, flags=re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        paths |= {first, *(o if o[0] != "." else first.rpartition(".")[0] + o for o in others)}
    return {path for path in paths if path.partition(".")[0] in OWN_SECTIONS}


def leaves_of(value: Any, place: str = "") -> set[str]:
    """Every figure of results.json, as a path with | between names; the items of a list as []."""
    if isinstance(value, dict):
        return set().union(*(leaves_of(v, f"{place}|{k}" if place else k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union(*(leaves_of(item, f"{place}[]") for item in value))
    return {place}


def test_the_document_and_a_run_name_the_same_figures(results: dict[str, Any]) -> None:
    found = leaves_of({name: results[name] for name in OWN_SECTIONS})
    patterns = {p: re.sub(r"<[^>]+>", "[^|]+", re.escape(p.replace(".", "|"))) for p in documented()}
    assert [path for path in found if not any(re.fullmatch(p, path) for p in patterns.values())] == []
    assert [p for p, text in patterns.items() if not any(re.fullmatch(text, path) for path in found)] == []


def test_three_hospitals_of_fifty_patients_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    chosen = private_study({"epsilon": 2.0})
    with pytest.raises(StudyStopped, match=r"pointless.*patients.*no budget is spent"):
        run(tmp_path, chosen, 3, 50)
    assert sorted(p.name for p in (tmp_path / "out").rglob("predictions.csv")) == []
    forced = private_study({"epsilon": 2.0, "force": True, "iterations": 1})
    found = run(tmp_path / "forced", forced, 3, 50)
    assert found["privacy"]["predicted"]["pointless"]
    assert any("force: true" in note for note in found["notes"])


def test_a_delta_that_gives_a_patient_away_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyStopped, match=r"delta is 0.001.*1 in 1000"):
        run(tmp_path, private_study({"delta": 1e-3, "epsilon": 8}), 4, 250)


def test_a_feature_without_public_bounds_stops_the_study(tmp_path: Path) -> None:
    with pytest.raises(StudyStopped, match="f00"):
        run(tmp_path, private_study({"bounds": {"f1*": [-4, 4]}}), 3, 100)


@pytest.mark.slow
def test_between_hospitals_that_approved_it_a_study_runs_once_and_without_a_twin(tmp_path: Path) -> None:
    """Gates, masks and budgets as outside simulations; the second run of the same study costs nothing."""
    sites = hospitals_of(tmp_path / "sites", 4, 150)
    chosen = private_study({"epsilon": 4.0}, validation=FOLDS)
    hospitals = approve_everywhere(chosen, find_hospitals(sites))
    found = run_between(chosen, hospitals, tmp_path / "out")
    assert found["without_noise"] is None
    again = run_between(chosen, hospitals, tmp_path / "again")
    assert again["model"] == found["model"]
    for hospital in hospitals.values():
        store = Store(site_of(hospital).own)
        spent = store.first("SELECT count(*), sum(squared) FROM gate_spent")
        store.close()
        assert spent is not None
        assert spent[0] == 7


def test_a_hospital_whose_budget_is_spent_stops_the_study_rather_than_have_the_others_pay_twice(
    tmp_path: Path,
) -> None:
    sites = hospitals_of(tmp_path / "sites", 4, 150)
    (sites / "h2" / "site.yaml").write_text("policy: {epsilon: 2}\n")
    chosen = private_study({"epsilon": 4.0, "iterations": 1})
    with pytest.raises(StudyStopped, match=r"h2 .*refused_privacy_budget_spent.*second time.*hepafed resume NAME"):
        simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())


def test_noise_in_a_histogram_moves_the_auc_as_much_as_its_error_says() -> None:
    rng = np.random.default_rng(5)
    score, outcome = rng.normal(size=4000), rng.random(4000)
    outcome = (outcome < 1 / (1 + np.exp(-score))).astype(int)
    edges = bin_edges(np.array([0.0, 1.0]))
    bins = np.searchsorted(edges, 1 / (1 + np.exp(-score)))
    clean = np.array([np.bincount(bins[outcome == y], minlength=10) for y in (0, 1)], dtype=float)
    sigma = 15.0
    noisy = [judge(clean + rng.normal(scale=sigma, size=clean.shape), edges, sigma) for _ in range(400)]
    exact = judge(clean, edges, 0.0)
    assert exact.auc == pytest.approx(roc_auc_score(outcome, score), abs=0.01)
    assert np.std([j.auc for j in noisy]) == pytest.approx(np.mean([j.noise_error for j in noisy]), rel=0.15)


def test_a_histogram_of_noise_alone_gives_no_figure() -> None:
    assert judge(np.full((2, 10), -3.0), bin_edges(np.zeros(3)), 5.0).auc is None


def test_moments_without_noise_are_those_of_the_table_and_noisy_spreads_are_drawn_together() -> None:
    table = np.random.default_rng(2).normal(size=(500, 6)) * np.linspace(0.1, 0.3, 6)
    first, second = table.mean(axis=0), (table**2).mean(axis=0)
    centre, spread = standardisation(first, second, 0.0)
    assert centre == pytest.approx(table.mean(axis=0), abs=1e-12)
    assert spread == pytest.approx(table.std(axis=0), rel=1e-9)
    _, drawn = standardisation(first, second, 0.2)
    assert np.ptp(drawn) < np.ptp(spread) / 5
