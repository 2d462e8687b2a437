"""A whole federation on one machine, as its user runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from common.errors import StudyStopped
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study, write_study


def hepafed(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "deploy", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def without_transport(path: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads(path.read_text())
    assert results.pop("transport")
    return results


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "hospitals"
    write_hospitals(folder, sites=4, patients=60, seed=7)
    return folder


@pytest.fixture(scope="module")
def first(demo: Path) -> Path:
    """One run of the demo study by the command."""
    out = demo.parent / "first"
    ran = hepafed("simulate", demo / "study.yaml", "--sites", demo, "--out", out)
    assert ran.returncode == 0, ran.stderr
    assert "holds all hospitals' data and keys" in ran.stdout
    assert str(out / "report.html") in ran.stdout
    return out


def test_a_run_leaves_results_a_report_and_each_hospitals_own_copy(first: Path) -> None:
    results = json.loads((first / "results.json").read_text())
    assert len(results["sites"]) == 4
    assert (first / "report.html").stat().st_size > 1000
    for name in results["sites"]:
        predictions = pd.read_csv(first / "sites" / name / "predictions.csv")
        assert list(predictions.columns[:4]) == ["id", "scheme", "fold", "score"]
        assert predictions["score"].between(0, 1).all()


def test_no_patient_id_is_in_what_the_coordinator_keeps(first: Path, demo: Path) -> None:
    ids = [i for p in demo.glob("*/patients.csv") for i in pd.read_csv(p)["id"]]
    coordinators = [first / "results.json", first / "report.html", *(first / "coordinator").iterdir()]
    for path in coordinators:
        content = path.read_bytes()
        assert not [i for i in ids if i.encode() in content], path


def test_the_same_study_twice_gives_the_same_results(first: Path, demo: Path) -> None:
    again = demo.parent / "again"
    assert hepafed("simulate", demo / "study.yaml", "--sites", demo, "--out", again).returncode == 0
    assert without_transport(again / "results.json") == without_transport(first / "results.json")


@pytest.mark.parametrize(
    "exchanges_before_the_kill",
    [pytest.param(1, marks=pytest.mark.slow), 9, pytest.param(20, marks=pytest.mark.slow)],
)
def test_a_run_killed_in_the_middle_resumes_to_the_same_results(
    first: Path, demo: Path, exchanges_before_the_kill: int
) -> None:
    out = demo.parent / f"killed{exchanges_before_the_kill}"
    arguments = ["simulate", demo / "study.yaml", "--sites", demo, "--out", out]
    script = (
        "import os, signal, sys\n"
        "from deploy.live import Live\n"
        "from deploy import cli\n"
        "plain = Live.exchanged\n"
        "def exchanged(self, replayed, largest):\n"
        "    plain(self, replayed, largest)\n"
        f"    if self._rounds == {exchanges_before_the_kill}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Live.exchanged = exchanged\n"
        "cli.main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, timeout=300, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    assert not (out / "results.json").exists()
    refused = hepafed(*arguments)
    assert refused.returncode == 1
    assert "--resume" in refused.stderr
    assert hepafed(*arguments, "--resume").returncode == 0
    assert without_transport(out / "results.json") == without_transport(first / "results.json")


@pytest.mark.slow
def test_flowers_own_engine_gives_the_same_results_to_the_last_bit(first: Path, demo: Path) -> None:
    out = demo.parent / "ray"
    ran = hepafed("simulate", demo / "study.yaml", "--sites", demo, "--out", out, "--engine", "ray")
    assert ran.returncode == 0, ran.stderr
    assert without_transport(out / "results.json") == without_transport(first / "results.json")


def test_demo_coefficients_equal_the_pooled_fit(demo: Path, tmp_path: Path) -> None:
    """Features and clinical columns with gaps: means of known values fill them, federated as pooled."""
    chosen = study(predictors={"clinical": ["age", "afp"], "radiomics": "tumour_original_*"})
    simulate(Simulation(chosen, find_hospitals(demo), tmp_path / "out"), Silence())
    model = json.loads((tmp_path / "out" / "results.json").read_text())["model"]
    tables = [
        pd.read_csv(p).merge(pd.read_csv(p.parent / "features.csv"), on="id") for p in demo.glob("*/patients.csv")
    ]
    pooled = pd.concat(tables)
    pooled = pooled[pooled["mvi"].notna()]
    names = list(model["coefficients"])
    x = pooled[names].fillna(pooled[names].mean())
    scaler = StandardScaler().fit(x)
    fit = LogisticRegression(C=1.0, tol=1e-14, max_iter=20_000, solver="newton-cholesky")
    fit.fit(scaler.transform(x), pooled["mvi"])
    slopes = fit.coef_[0] / scaler.scale_
    found = np.array([model["coefficients"][name] for name in names])
    assert np.abs((found - slopes) * scaler.scale_).max() < 1e-8
    assert np.abs(found - slopes).max() < 1e-8


def test_a_broken_hospital_is_named_and_the_others_go_on(demo: Path, tmp_path: Path) -> None:
    sites = tmp_path / "sites"
    write_hospitals(sites, sites=4, patients=60, seed=7)
    broken = sorted(find_hospitals(sites))[0]
    path = sites / broken / "patients.csv"
    pd.read_csv(path).drop(columns="mvi").to_csv(path, index=False)
    ran = hepafed("simulate", sites / "study.yaml", "--sites", sites, "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    assert f"{broken} cannot take part: outcome_column_missing" in ran.stdout
    assert "mvi" in ran.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["left_out"] == {broken: "outcome_column_missing"}
    assert broken not in results["sites"]


def test_under_three_hospitals_the_study_stops_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    sites = tmp_path / "sites"
    write_hospitals(sites, sites=3, patients=60, seed=7)
    broken = sorted(find_hospitals(sites))[0]
    good = (sites / broken / "patients.csv").read_text()
    (sites / broken / "patients.csv").write_text("id,age\nA,60\n")
    arguments = ["simulate", sites / "study.yaml", "--sites", sites, "--out", tmp_path / "out"]
    ran = hepafed(*arguments)
    assert ran.returncode == 2
    assert "2 of 3 hospitals can take part" in ran.stderr
    assert (tmp_path / "out" / "coordinator" / "checkpoint.sqlite").exists()
    (sites / broken / "patients.csv").write_text(good)
    assert hepafed(*arguments, "--resume").returncode == 0


def test_a_hospital_lost_in_the_middle_is_left_out_and_the_study_starts_again(demo: Path, tmp_path: Path) -> None:
    lost = _run_and_lose_a_hospital(tmp_path, sites=4)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [entry["hospital"] for entry in results["lost"]] == [lost]
    assert lost not in results["exchanges"]["bytes_up_per_site"]
    assert set(results["performance"]["kfold"]["by_site"]) == set(results["sites"]) - {lost}


def test_with_three_hospitals_the_loss_of_one_stops_the_study(tmp_path: Path) -> None:
    with pytest.raises(StudyStopped, match="2 hospitals are left"):
        _run_and_lose_a_hospital(tmp_path, sites=3)
    assert not (tmp_path / "out" / "results.json").exists()


def _run_and_lose_a_hospital(tmp_path: Path, sites: int) -> str:
    """Run a study; one hospital's files change after the third exchange, so that it refuses to go on."""
    folder = tmp_path / "sites"
    write_hospitals(folder, sites=sites, patients=60, seed=7)
    lost = sorted(find_hospitals(folder))[1]

    class Accident(Silence):
        rounds = 0

        def exchanged(self, replayed: bool, largest: int) -> None:
            self.rounds += 1
            if self.rounds == 3:
                table = pd.read_csv(folder / lost / "patients.csv")
                table["age"] += 1
                table.to_csv(folder / lost / "patients.csv", index=False)

    from common.study import Study

    chosen = Study.from_file(folder / "study.yaml")
    simulate(Simulation(chosen, find_hospitals(folder), tmp_path / "out"), Accident())
    return lost


def test_an_empty_sites_folder_says_what_a_hospital_is(tmp_path: Path) -> None:
    write_study(tmp_path / "study.yaml", study())
    (tmp_path / "none").mkdir()
    ran = hepafed("simulate", tmp_path / "study.yaml", "--sites", tmp_path / "none", "--out", tmp_path / "out")
    assert ran.returncode == 1
    assert "no hospital here" in ran.stderr
    assert "patients.csv" in ran.stderr
