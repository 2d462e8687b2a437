"""The report's tables on hospitals and subgroups, and the sentence that an AUC is a hospital effect."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from server.report.differences import hospital_effects
from server.report.remarks import remarks
from tests.hospitals_on_disk import study, write_hospitals
from tests.server.made_up_results import made_up, page

EFFECT = "the overall AUC is a hospital effect"


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Features without any meaning, shifted by hospital, where more or fewer patients have the outcome."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(11)
    parts = []
    for name, share in {"alder": 0.15, "birch": 0.3, "cedar": 0.6, "dogwood": 0.8}.items():
        own = pd.DataFrame(rng.normal(size=(70, 4)) + 3 * share, columns=["f1", "f2", "f3", "f4"])
        own["mvi"] = (np.arange(70) < 70 * share).astype(int)
        own["sex"] = np.where(np.arange(70) % 2, "f", "m")
        parts.append(own.assign(hospital=name))
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "id", [f"P{k}" for k in range(len(table))])
    sites = write_hospitals(folder / "sites", table, ["mvi", "sex"], ["f1", "f2", "f3", "f4"])
    chosen = study(
        validation={"folds": 5, "leave_one_hospital_out": False, "bootstrap": 400},
        subgroups=[{"column": "sex"}],
        variables={"sex": {"type": "binary", "levels": ["m", "f"]}},
    )
    simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    results: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    return results, (Path(folder) / "out" / "report.html").read_text(encoding="utf-8")


def test_pure_noise_with_hospital_effects_is_told_to_be_a_hospital_effect(
    noise: tuple[dict[str, Any], str],
) -> None:
    results, report = noise
    kfold = results["performance"]["kfold"]
    within = kfold["within_sites"]["auc"]
    assert within["low"] < 0.5 < within["high"]
    assert kfold["overall"]["auc"]["low"] > 0.5
    assert results["hospital_name"]["low"] == results["hospital_name"]["high"] > kfold["overall"]["auc"]["low"]
    assert results["hospital_name"]["by_chance_high"] < results["hospital_name"]["low"]
    assert EFFECT in remarks(results)[0]
    assert report.index(EFFECT) < report.index("<nav")


def test_the_three_aucs_stand_beside_each_other(noise: tuple[dict[str, Any], str]) -> None:
    results, report = noise
    performance = report[report.index('id="performance"') :]
    cards = report[report.index("Patients of one hospital") : report.index("Read the three side by side")]
    assert f"name alone has an AUC of {results['hospital_name']['low']:.2f}." in cards
    name = f"has an AUC of {results['hospital_name']['low']:.3f}. If the outcome fell to patients by lot"
    assert performance.index("AUC within hospitals") < performance.index(name) < performance.index("By hospital")


def test_the_hospitals_interval_is_wider_than_the_patients_where_hospitals_make_the_auc(
    noise: tuple[dict[str, Any], str],
) -> None:
    drawn = noise[0]["bootstrap"]["auc"]["kfold"]["overall"]
    patients = noise[0]["performance"]["kfold"]["overall"]["auc"]
    assert drawn["high"] - drawn["low"] > 1.5 * (patients["high"] - patients["low"])


def test_every_table_of_a_run_is_in_its_report(noise: tuple[dict[str, Any], str]) -> None:
    _, report = noise
    for said in ("How much hospitals differ", "Intervals for hospitals like these", "Subgroups", "pooled, alone"):
        assert said in report


def test_a_model_that_ranks_within_hospitals_is_not_called_a_hospital_effect() -> None:
    assert hospital_effects(made_up()) == []


def test_results_without_these_figures_make_a_report_without_these_tables() -> None:
    text = page(made_up()).text
    assert "How much hospitals differ" not in text
    assert "hospital's name alone" not in text


def test_a_name_that_is_not_known_is_said_so() -> None:
    text = page(made_up() | {"hospital_name": None}).text
    assert "has an AUC that is not known: too many hospitals' numbers" in text
