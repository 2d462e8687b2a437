"""A network sees every column that the study names: it asks for no products of columns, which patients would limit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.gate_rules.questions import questions_of
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study, write_hospitals
from tests.server.network_tables import equal_hospitals

FEATURES = [f"f{k:02d}" for k in range(60)]


def wide(**changes: Any) -> Study:
    """Sixty features over 120 patients: a cross-product may cover 39 columns."""
    content: dict[str, Any] = {
        "predictors": {"clinical": [], "radiomics": "all"},
        "model": {"kind": "network"},
        "network": {"hidden": [4], "rounds": 2},
        "validation": {"folds": 0, "leave_one_hospital_out": False},
    }
    return study(**(content | changes))


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = equal_hospitals()
    table.insert(0, "id", [f"P{k:03d}" for k in range(len(table))])
    drawn = np.random.default_rng(2).normal(size=(len(table), len(FEATURES)))
    for k, name in enumerate(FEATURES):
        table[name] = drawn[:, k]
    return write_hospitals(tmp_path_factory.mktemp("wide"), table, ["mvi"], FEATURES)


def run(sites: Path, asked: Study, out: Path) -> dict[str, Any]:
    simulate(Simulation(asked, find_hospitals(sites), out), Silence())
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    assert {said["query"] for said in found["exchanges"]["asked"]} <= set(questions_of(asked))
    return found


def test_a_network_takes_more_columns_than_a_cross_product_and_nobody_is_asked_to_cut_them(
    sites: Path, tmp_path: Path
) -> None:
    found = run(sites, wide(), tmp_path)
    assert found["network"]["inputs"] == len(FEATURES)
    assert "class_sums" not in {said["query"] for said in found["exchanges"]["asked"]}


@pytest.mark.slow
def test_a_number_that_was_asked_for_is_kept_whatever_the_patients_allow(sites: Path, tmp_path: Path) -> None:
    assert run(sites, wide(selection={"keep": 50}), tmp_path)["network"]["inputs"] == 50


@pytest.mark.slow
def test_features_that_are_compared_with_each_other_stay_within_what_patients_allow(
    sites: Path, tmp_path: Path
) -> None:
    assert run(sites, wide(selection={"redundancy": 0.95}), tmp_path)["network"]["inputs"] <= 39
