"""A released model inside a hospital: known patients get the study's predictions, new ones the locked model's, once."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.command import hepafed
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals, write_study

FEATURES = ["mean_texture", "mean_area", "worst_symmetry"]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hospitals fit a harmonised model with gaps imputed; dogwood took no part; plan, study and lock beside."""
    folder = tmp_path_factory.mktemp("released")
    table = breast_cancer()
    table["age"] = np.where(np.arange(len(table)) % 7, table["mean_radius"].round(1), np.nan)
    write_hospitals(folder / "sites", table, ["age", "mvi"], FEATURES)
    (folder / "sites" / "dogwood").rename(folder / "dogwood")
    chosen = study(
        predictors={"clinical": ["age"], "radiomics": "all"},
        harmonisation={"method": "combat", "preserve": ["age"]},
        validation={"folds": 0, "leave_one_hospital_out": False},
        privacy={"secure_sum": False},
    )
    write_study(folder / "study.yaml", chosen)
    hospitals = find_hospitals(folder / "sites")
    simulate(Simulation(chosen, hospitals, folder / "out"), Silence())
    for name, path in hospitals.items():  # on the day, a hospital's own folder is its own
        (folder / "out" / "sites" / name).rename(path / ".hepafed")
    (folder / "plan.md").write_text("All new patients until the end of 2027; AUC and calibration, once.\n")
    locked = hepafed(
        *("study", "lock", folder / "study.yaml", "--results", folder / "out", "--plan", folder / "plan.md"),
        *("--threshold", 0.4, "--out", folder / "lock.json"),
    )
    assert locked.exit_code == 0, locked.output
    assert json.loads((folder / "lock.json").read_text())["lock"] in locked.output
    return folder


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    """A test's own copy: hospitals predict, and lose, what other tests look at."""
    return Path(shutil.copytree(released, tmp_path / "released"))


def predictions(folder: Path, name: str) -> pd.Series:
    table = pd.read_csv(folder / "sites" / name / ".hepafed" / "predictions.csv")
    return table[table["scheme"] == "apparent"].set_index("id")["score"].sort_index()


@pytest.mark.parametrize("name", ["alder", "birch", "cedar"])
def test_a_known_patient_gets_the_prediction_of_the_study(folder: Path, name: str, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    ran = hepafed("site", "score", folder / "sites" / name, "--model", folder / "out" / "model.json", "--out", out)
    assert ran.exit_code == 0, ran.output
    found = pd.read_csv(out).set_index("id")["probability"].sort_index()
    expected = predictions(folder, name)
    assert list(found.index) == list(expected.index)
    assert np.abs(found - expected).max() < 1e-12


def test_a_model_file_that_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "out" / "model.json").read_text()
    for name, changed in (("model", text.replace('"birch"', '"beech"')), ("no", '{"format": "hepafed-model/1"}')):
        path = tmp_path / f"{name}.json"
        path.write_text(changed)
        ran = hepafed("site", "score", folder / "dogwood", "--model", path, "--out", tmp_path / "out.csv")
        assert ran.exit_code == 1
        assert ("was changed after it was written" if name == "model" else "no model of a study") in ran.output
    lock = tmp_path / "lock.json"
    lock.write_text(
        (folder / "lock.json").read_text().replace('"threshold": 0.4,\n"plan"', '"threshold": 0.2,\n"plan"')
    )
    ran = hepafed("site", "apply", folder / "dogwood", "--lock", lock)
    assert ran.exit_code == 1
    assert "was changed after it was locked" in ran.output


def prospective(hospital: Path) -> pd.DataFrame:
    (file,) = (hospital / ".hepafed" / "prospective").glob("*.csv")
    return pd.read_csv(file).set_index("id")


def add_patients(hospital: Path, rows: pd.DataFrame) -> None:
    for name in ("patients.csv", "features.csv"):
        table = pd.read_csv(hospital / name)
        pd.concat([table, rows[[c for c in table.columns if c in rows]]]).to_csv(hospital / name, index=False)


def test_only_patients_who_did_not_train_are_predicted_and_each_once(folder: Path) -> None:
    hospital, lock = folder / "sites" / "cedar", folder / "lock.json"
    trained = set(predictions(folder, "cedar").index)
    newcomers = breast_cancer()[lambda t: t["hospital"] == "dogwood"].assign(age=15.0)
    first, later = newcomers.iloc[:4], newcomers.iloc[4:6]
    add_patients(hospital, first)
    registered = json.loads(lock.read_text())["lock"]
    ran = hepafed("site", "apply", hospital, "--lock", lock, "--registered", registered)
    assert ran.exit_code == 0, ran.output
    assert f"4 new patients predicted now, 0 before; {len(trained)} patients who trained" in ran.output
    before = prospective(hospital)
    assert sorted(before.index) == sorted(first["id"])
    assert (before["positive"] == (before["probability"] > 0.4)).all()

    add_patients(hospital, later)
    table = pd.read_csv(hospital / "features.csv")
    table.loc[table["id"] == first["id"].iloc[0], "mean_area"] *= 2
    table.to_csv(hospital / "features.csv", index=False)
    ran = hepafed("site", "apply", hospital, "--lock", lock)
    assert ran.exit_code == 0, ran.output
    assert "2 new patients predicted now, 4 before" in ran.output
    assert f"{first['id'].iloc[0]}: values have changed since; the first prediction counts" in ran.output.replace(
        "\n", " "
    )
    pd.testing.assert_frame_equal(prospective(hospital).loc[before.index], before)
    assert "4 of the predicted patients were here already when the lock was first used" in ran.output.replace(
        "\n", " "
    )
    came = prospective(hospital)["came_later"]
    assert came[list(first["id"])].tolist() == [0] * 4
    assert came[list(later["id"])].tolist() == [1, 1]


def test_a_patient_who_trained_under_another_id_is_refused(folder: Path) -> None:
    hospital = folder / "sites" / "birch"
    known = predictions(folder, "birch").index[0]
    for name in ("patients.csv", "features.csv"):
        table = pd.read_csv(hospital / name)
        pd.concat([table, table[table["id"] == known].assign(id="NEW-1")]).to_csv(hospital / name, index=False)
    ran = hepafed("site", "apply", hospital, "--lock", folder / "lock.json")
    assert ran.exit_code == 1
    assert "NEW-1: the same values as a patient who trained the model" in ran.output


def test_another_lock_of_the_same_study_is_refused(folder: Path, tmp_path: Path) -> None:
    ran = hepafed("site", "apply", folder / "dogwood", "--lock", folder / "lock.json")
    assert ran.exit_code == 0, ran.output
    since = prospective(folder / "dogwood")
    other = hepafed(
        *("study", "lock", folder / "study.yaml", "--results", folder / "out", "--plan", folder / "plan.md"),
        *("--threshold", 0.2, "--out", tmp_path / "other.json"),
    )
    assert other.exit_code == 0, other.output
    ran = hepafed("site", "apply", folder / "dogwood", "--lock", tmp_path / "other.json")
    assert ran.exit_code == 1
    assert "A locked study keeps its model, threshold and plan" in ran.output.replace("\n", " ")
    ran = hepafed("site", "apply", folder / "dogwood", "--lock", folder / "lock.json", "--registered", "f" * 64)
    assert ran.exit_code == 1
    assert "registered was ffff" in ran.output
    pd.testing.assert_frame_equal(prospective(folder / "dogwood"), since)


def test_a_hospital_that_trained_and_lost_its_store_cannot_tell_who_is_new(folder: Path) -> None:
    store = folder / "sites" / "alder" / ".hepafed"
    store.rename(folder / "aside")
    ran = hepafed("site", "apply", folder / "sites" / "alder", "--lock", folder / "lock.json")
    assert ran.exit_code == 1
    assert "who is new cannot be told" in ran.output.replace("\n", " ")
