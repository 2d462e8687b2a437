"""docs/results.md and a real run's results.json name the same keys, and the report can be made from them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study as asked_of
from tests.hospitals_on_disk import write_hospitals
from tests.server.made_up_results import page

DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"
ONLY_IN_BAD_TIMES = (
    "flow.<step>.at_least",
    "flow.<step>.at_most",
    "left_out.<hospital>",
    "lost[]",
    "lost[].hospital",
    "lost[].code",
    "lost[].query",
)
ONLY_ELSEWHERE = (
    "stability.",
    "external.",
    "network.",
    "models.<name>.stack.",
    "models.<name>.strength_by_split.",
)
"""Runs with these: test_stability.py, test_whole_hospitals.py, test_network_runs.py, test_models.py."""


def documented() -> set[str]:
    """The keys of results.json in the first column of docs/results.md's tables."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## results.json")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE))


def keys_of(value: Any, place: str = "") -> set[str]:
    """Every key of results.json, as a path with | between names; the items of a list as []."""
    found = {place} if place else set()
    if isinstance(value, dict):
        return found.union(*(keys_of(v, f"{place}|{k}" if place else k) for k, v in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return found.union(*(keys_of(v, f"{place}[]") for v in value))
    return found


def pattern(path: str) -> str:
    """A documented path as a regular expression: <name> is any one name, … is anything below."""
    escaped = re.escape(path.replace(".", "|")).replace("…", ".+")
    return re.sub(r"<[^>]+>", "[^|]*", escaped)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """results.json of a real run with clinical columns of every kind, harmonised."""
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(160, 3)), columns=["age", "texture", "entropy"])
    table["sex"] = rng.integers(0, 2, 160)
    table.loc[:6, "age"] = np.nan
    table["mvi"] = (rng.random(160) < 1 / (1 + np.exp(-table["texture"]))).astype(int)
    table.insert(0, "id", [f"P{k}" for k in range(160)])
    table["hospital"] = np.repeat(["alder", "birch", "cedar", "dogwood"], 40)
    sites = write_hospitals(folder / "sites", table, ["age", "sex", "mvi"], ["texture", "entropy"])
    for name in ("alder", "birch", "cedar"):  # patients measured twice
        shutil.copy(sites / name / "features.csv", sites / name / "features_retest.csv")
    chosen = asked_of(
        predictors={"clinical": ["age", "sex"], "radiomics": "all"},
        harmonisation={"method": "combat", "preserve": ["age"]},
        selection={"screening": "mann-whitney", "redundancy": 0.9},
        variables={"sex": {"type": "binary"}},
        validation={"folds": 2, "leave_one_hospital_out": True, "bootstrap": 200},
        subgroups=[{"column": "sex"}],
        compare={"clinical": {"clinical": "all"}},
        model={"kind": "logistic", "penalty": "none"},
    )
    simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    results: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))
    results["predictions"] = (folder / "out" / "sites" / "alder" / "predictions.csv").read_text().splitlines()[0]
    return results


def test_every_key_of_a_real_run_is_documented(real: dict[str, Any]) -> None:
    known = [re.compile(pattern(path)) for path in documented()]
    found = keys_of({k: v for k, v in real.items() if k != "predictions"})
    assert sorted(key for key in found if not any(p.fullmatch(key) for p in known)) == []


def test_every_documented_key_is_there_in_a_real_run(real: dict[str, Any]) -> None:
    found = keys_of(real)
    paths = {p for p in documented() - set(ONLY_IN_BAD_TIMES) if not p.startswith(ONLY_ELSEWHERE)}
    assert len(paths) > 60
    assert sorted(p for p in paths if not any(re.fullmatch(pattern(p), key) for key in found)) == []


def test_the_columns_of_predictions_are_documented(real: dict[str, Any]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("## predictions.csv")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE) == real["predictions"].split(",")


def test_a_real_run_makes_a_report(real: dict[str, Any]) -> None:
    text = page(real).text
    assert "160 patients of 4 hospitals" in text
    assert "removed from the image features by ComBat" in text
