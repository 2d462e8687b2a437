"""`hepafed site harmonise`, as a hospital types it."""

from pathlib import Path

import pandas as pd
import pytest

from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.command import hepafed
from tests.hospitals_on_disk import study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five synthetic hospitals; the first four make the model."""
    folder = tmp_path_factory.mktemp("site")
    write_hospitals(folder / "hospitals", sites=5, patients=40, seed=3)
    hospitals = find_hospitals(folder / "hospitals")
    newcomer = hospitals.pop(max(hospitals))
    newcomer.rename(folder / "newcomer")
    chosen = study(
        predictors={"clinical": ["age"], "radiomics": ["tumour_original_firstorder_*"]},
        harmonisation={"method": "combat", "preserve": ["age"], "transform": "signed-log"},
        validation={"folds": 0, "leave_one_hospital_out": False},
    )
    simulate(Simulation(chosen, hospitals, folder / "report"), Silence())
    return folder


def test_a_hospital_harmonises_its_own_table_and_hears_how_sure_that_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "harmonised.csv"
    model = folder / "report" / "harmonisation.json"
    patients = pd.read_csv(folder / "newcomer" / "patients.csv").drop(columns="mvi")
    patients.to_csv(folder / "newcomer" / "patients.csv", index=False)
    ran = hepafed("site", "harmonise", folder / "newcomer", "--model", model, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "Model test@" in ran.output
    assert "the shift γ of a typical feature is known to ±" in ran.output
    assert "Nothing was sent" in ran.output
    harmonised = pd.read_csv(out)
    assert set(harmonised["id"]) <= set(patients["id"])
    assert harmonised.shape[1] > 5

    again = hepafed("site", "harmonise", folder / "newcomer", "--model", model, "--out", out)
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    shifted = hepafed(
        "site", "harmonise", folder / "newcomer", "--model", model, "--out", out, "--overwrite", "--mean-only"
    )
    assert shifted.exit_code == 0, shifted.output
    assert "its scale is left alone" in shifted.output
    assert not pd.read_csv(out).equals(harmonised)


def test_what_cannot_be_done_is_said_in_words(folder: Path, tmp_path: Path) -> None:
    model = folder / "report" / "harmonisation.json"
    for arguments, words in (
        ((folder / "newcomer", "--model", tmp_path / "no.json"), "ask the study for its harmonisation.json"),
        ((folder / "newcomer", "--model", folder / "report" / "results.json"), "its format is 1"),
        ((folder / "nowhere", "--model", model), "there is no such folder"),
        ((tmp_path, "--model", model), "patients.csv"),
        ((folder / "newcomer", "--model", model, "--out", tmp_path / "no" / "own.csv"), "No such file"),
    ):
        options = () if "--out" in arguments else ("--out", tmp_path / "own.csv")
        ran = hepafed("site", "harmonise", *arguments, *options)
        assert ran.exit_code == 1, ran.output
        assert words in ran.output
        assert "Traceback" not in ran.output


def test_help_has_an_example() -> None:
    for arguments in (("site",), ("site", "harmonise")):
        assert "hepafed site harmonise" in hepafed(*arguments, "--help").output
