"""What a person is told when a simulated study cannot be run as asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from common.errors import HepafedError, StudyStopped
from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, prepare_out, simulate
from server.progress import Silence


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    write_hospitals(tmp_path / "hospitals", sites=4, patients=60, seed=7)
    return tmp_path / "hospitals"


def run(sites: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """The demo study with some sections replaced."""
    content = yaml.safe_load((sites / "study.yaml").read_text()) | changes
    simulate(Simulation(Study.from_content(content, "study"), find_hospitals(sites), out), Silence())
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def edit(path: Path, change: Any) -> None:
    table = pd.read_csv(path)
    change(table).to_csv(path, index=False)


def test_a_hospital_mended_after_the_roll_call_stays_out_and_is_still_named(sites: Path, tmp_path: Path) -> None:
    broken = sorted(find_hospitals(sites))[0]
    path = sites / broken / "patients.csv"
    good = path.read_text()
    edit(path, lambda table: table.drop(columns="mvi"))

    class Crash(Silence):
        rounds = 0

        def exchanged(self, replayed: bool, largest: int) -> None:
            self.rounds += 1
            if self.rounds == 4:
                raise KeyboardInterrupt

    content = yaml.safe_load((sites / "study.yaml").read_text())
    simulation = Simulation(Study.from_content(content, "study"), find_hospitals(sites), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        simulate(simulation, Crash())
    path.write_text(good)
    simulate(simulation, Silence())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["left_out"] == {broken: "outcome_column_missing"}
    assert broken not in results["sites"]


def test_an_outcome_that_everybody_has_is_nothing_to_model(sites: Path, tmp_path: Path) -> None:
    for path in sites.glob("*/patients.csv"):
        edit(path, lambda table: table.assign(mvi=1))
    with pytest.raises(StudyStopped, match="nothing to model"):
        run(sites, tmp_path / "out")


def test_a_predictor_that_no_hospital_has_stops_the_study(sites: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyStopped, match="no hospital knows a value of tumor_size"):
        run(
            sites,
            tmp_path / "out",
            predictors={"clinical": ["age", "tumor_size"]},
            harmonisation={"method": "none"},
        )


def test_a_reference_that_takes_no_part_is_named(sites: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyStopped, match="nowhere is none of the hospitals"):
        run(sites, tmp_path / "out", harmonisation={"method": "combat", "reference": "nowhere"})


def test_the_one_hospital_that_differs_is_named_and_not_the_others(sites: Path, tmp_path: Path) -> None:
    odd = sorted(find_hospitals(sites))[2]
    edit(sites / odd / "features.csv", lambda table: table.assign(ring5mm_original_glcm_Extra=1.0))
    with pytest.raises(
        StudyStopped, match=f"{odd} has ring5mm_original_glcm_Extra, which most have not"
    ) as stopped:
        run(sites, tmp_path / "out")
    assert "lacks" not in str(stopped.value)


@pytest.mark.parametrize(
    "harmonisation",
    [
        pytest.param({"method": "covbat", "preserve": ["age"]}, marks=pytest.mark.slow),
        {"method": "combat", "batch": ["bclc"], "preserve": ["age"]},
    ],
)
def test_variants_that_need_complete_rows_get_them_imputed(
    sites: Path, tmp_path: Path, harmonisation: dict[str, Any]
) -> None:
    """The demo's features have gaps: no hospital may be lost over that."""
    common = {"include": [{"column": "bclc", "one_of": ["A", "B"]}]}
    results = run(sites, tmp_path / "out", harmonisation=harmonisation, cohort=common)
    assert results["lost"] == []
    assert len(results["sites"]) == 4


def test_three_hospitals_are_too_few_to_leave_one_out_and_that_is_said(tmp_path: Path) -> None:
    write_hospitals(tmp_path / "three", sites=3, patients=60, seed=7)
    results = run(tmp_path / "three", tmp_path / "out")
    assert any("One of 3 hospitals was left out" in note for note in results["notes"])


def test_out_is_a_folder_of_its_own(sites: Path, tmp_path: Path) -> None:
    hospitals = find_hospitals(sites)
    north = next(iter(hospitals.values()))
    with pytest.raises(HepafedError, match="is a file"):
        prepare_out(sites / "study.yaml", hospitals, resume=False, overwrite=False)
    for folder in (sites, north, north / "deep"):
        with pytest.raises(HepafedError, match="only read"):
            prepare_out(folder, hospitals, resume=False, overwrite=False)
    with pytest.raises(HepafedError, match="give one of them"):
        prepare_out(tmp_path / "out", hospitals, resume=True, overwrite=True)


@pytest.mark.slow
def test_the_cure_stands_on_the_screen_and_old_errors_do_not_return(sites: Path, tmp_path: Path) -> None:
    broken = sorted(find_hospitals(sites))[0]
    path = sites / broken / "patients.csv"
    good = path.read_text()
    edit(path, lambda table: table.assign(afp=table["afp"].astype(str).where(table.index != 3, ">1210")))
    call = ["simulate", sites / "study.yaml", "--sites", sites, "--out", tmp_path / "out"]

    def hepafed(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy", *map(str, call), *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    ran = hepafed()
    assert ran.returncode == 0
    assert '{values: {">1210": ' in ran.stderr
    assert f"without {broken} (text_in_numeric_column)" in ran.stdout
    assert "3 of 4 hospitals took part" in ran.stdout
    path.write_text(good)
    again = hepafed("--overwrite")
    assert again.returncode == 0
    assert again.stderr == ""
    assert "4 of 4 hospitals took part" in again.stdout
