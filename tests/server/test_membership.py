"""The membership-inference audit of a whole study, and the hospital's own: against models taken from results.json."""

import json
import stat
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from server.report.html import render
from tests.command import hepafed
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals, write_study

COLUMNS = ["mean_radius", "mean_texture"]


class Run:
    """A simulated study over noisy outcomes of the breast-cancer set."""

    def __init__(self, folder: Path, chosen: Study, patients: int, columns: list[str]) -> None:
        table = breast_cancer().head(patients)
        rng = np.random.default_rng(2)
        table["mvi"] = np.where(rng.random(patients) < 0.25, 1 - table["mvi"], table["mvi"])
        table["hospital"] = np.resize(["alder", "birch", "cedar"], patients)
        self.table, self.folder, self.columns = table, folder, columns
        self.sites = write_hospitals(folder / "sites", table, ["mvi", *columns], [])
        self.study = write_study(folder / "study.yaml", chosen)
        simulate(Simulation(chosen, find_hospitals(self.sites), folder / "out"), Silence())
        self.results: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())

    def own(self, hospital: str) -> Path:
        return self.folder / "out" / "sites" / hospital

    def attack(self, hospital: str) -> tuple[float, int]:
        """Won pairs and pairs of one hospital, worked out from results.json and predictions.csv alone."""
        rows = self.table[self.table["hospital"] == hospital]
        models = self.results["model"]["by_split"]
        truth = rows["mvi"].to_numpy()

        def margin(split: str) -> np.ndarray:
            slopes = np.array([models[split]["coefficients"][name] for name in self.columns])
            raw = (2 * truth - 1) * (models[split]["intercept"] + rows[self.columns].to_numpy() @ slopes)
            return raw - np.array([raw[truth == 0].mean(), raw[truth == 1].mean()])[truth]

        reference = margin(f"leave_one_hospital_out/{hospital}")
        predictions = pd.read_csv(self.own(hospital) / "predictions.csv")
        folds = predictions[predictions["scheme"] == "kfold"].set_index("id").loc[rows["id"], "fold"].astype(int)
        won, pairs = 0.0, 0
        for fold in sorted(set(folds)):
            score, out = margin(f"kfold/0/{fold}") - reference, (folds == fold).to_numpy()
            won += (score[~out][:, None] > score[out]).sum() + 0.5 * (score[~out][:, None] == score[out]).sum()
            pairs += int(out.sum() * (~out).sum())
        return won, pairs


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two columns, 540 patients."""
    chosen = study(predictors={"clinical": COLUMNS}, validation={"folds": 4, "leave_one_hospital_out": True})
    return Run(tmp_path_factory.mktemp("hidden"), chosen, 540, COLUMNS)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Thirty columns that no screening thins out, ninety patients, and hardly a penalty."""
    columns = [c for c in breast_cancer().columns if c not in ("id", "hospital", "mvi")]
    chosen = study(
        predictors={"clinical": columns},
        model={"kind": "logistic", "penalty": "ridge", "strength": 0.01},
        validation={"folds": 4, "repeats": 2, "leave_one_hospital_out": False},
    )
    return Run(tmp_path_factory.mktemp("overfitted"), chosen, 90, columns)


def test_the_audit_is_that_of_the_models_in_results_json(hidden: Run) -> None:
    found = hidden.results["membership"]
    own = [hidden.attack(hospital) for hospital in ("alder", "birch", "cedar")]
    assert found["attack"] == "calibrated"
    assert found["pairs"] == sum(pairs for _, pairs in own)
    assert found["auc"]["value"] == pytest.approx(sum(won for won, _ in own) / found["pairs"], abs=1e-9)


def test_a_model_of_few_columns_and_many_patients_does_not_tell_who_was_in_the_study(hidden: Run) -> None:
    auc = hidden.results["membership"]["auc"]
    assert 0.47 < auc["low"] < 0.51
    assert auc["high"] < 0.57
    assert "the model knows its own patients" not in hidden.results["membership"]["sentence"]


def test_an_overfitted_model_tells_and_the_report_says_so(overfitted: Run) -> None:
    found = overfitted.results["membership"]
    assert found["attack"] == "likelihood ratio"
    assert found["auc"]["low"] > 0.53
    assert "the model knows its own patients" in found["sentence"]
    assert found["sentence"].split(":")[0] in unescape(render(overfitted.results))


def test_shares_of_accused_are_told_from_fifty_patients_a_hospital_on(hidden: Run, overfitted: Run) -> None:
    assert hidden.results["membership"]["accused"]["0.1"]["members"] == 540 * 3
    assert hidden.results["membership"]["accused"]["0.1"]["wrongly"] == pytest.approx(0.1, abs=0.01)
    for run, allowed in ((hidden, "0.01"), (overfitted, "0.1")):
        accused = run.results["membership"]["accused"][allowed]
        assert (accused["members"], accused["rightly"]["value"], accused["wrongly"]) == (0, None, None)


def test_a_hospital_audits_the_models_that_it_was_sent(hidden: Run) -> None:
    ran = hepafed("site", "audit-model", hidden.study, hidden.sites / "birch", "--own-folder", hidden.own("birch"))
    assert ran.exit_code == 0, ran.output
    written = hidden.own("birch") / "audit.json"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    found = json.loads(written.read_text())
    won, pairs = hidden.attack("birch")
    assert (found["pairs"], found["auc"]) == (pairs, pytest.approx(won / pairs, abs=1e-9))
    foremost = found["patients"][0]
    assert f"AUC {found['auc']:.3f}" in ran.output
    assert foremost["id"] in ran.output
    assert [p["known"] for p in found["patients"]] == sorted((p["known"] for p in found["patients"]), reverse=True)
    assert {p["id"] for p in found["patients"]} == set(hidden.table.loc[hidden.table["hospital"] == "birch", "id"])


def test_most_exposed_patients_were_known_better_by_the_models_that_trained_on_them(overfitted: Run) -> None:
    own = overfitted.own("cedar")
    ran = hepafed("site", "audit-model", overfitted.study, overfitted.sites / "cedar", "--own-folder", own)
    assert ran.exit_code == 0, ran.output
    patients = json.loads((own / "audit.json").read_text())["patients"]
    gain = [p["trained"] - p["held_out"] for p in patients]
    assert np.mean(gain[:10]) > np.mean(gain[-10:]) > -1


def test_no_id_of_a_patient_is_in_what_leaves(hidden: Run) -> None:
    said = json.dumps(hidden.results["membership"])
    assert not any(patient in said for patient in hidden.table["id"])


def test_what_cannot_be_audited_is_said_in_words(hidden: Run, tmp_path: Path) -> None:
    other = yaml.safe_load(hidden.study.read_text()) | {"seed": 99}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    other["validation"] = {"folds": 0, "leave_one_hospital_out": True}
    (tmp_path / "no_folds.yaml").write_text(yaml.safe_dump(other))
    birch = (hidden.sites / "birch", "--own-folder", hidden.own("birch"))
    for arguments, words in (
        ((hidden.study, hidden.sites / "birch"), "no study was run here yet"),
        ((tmp_path / "other.yaml", *birch), "it was never asked here"),
        ((tmp_path / "no_folds.yaml", *birch), "the audit needs a k-fold"),
        ((hidden.study, tmp_path / "nowhere"), "there is no such folder"),
    ):
        ran = hepafed("site", "audit-model", *arguments)
        assert ran.exit_code == 1 or "no such folder" in words, ran.output
        assert words in ran.output
        assert "Traceback" not in ran.output


def test_patients_that_have_changed_since_the_run_are_not_audited(overfitted: Run) -> None:
    path = overfitted.sites / "alder" / "patients.csv"
    before = path.read_text()
    path.write_text("\n".join(before.splitlines()[:-1]) + "\n")
    try:
        ran = hepafed(
            "site", "audit-model", overfitted.study, path.parent, "--own-folder", overfitted.own("alder")
        )
    finally:
        path.write_text(before)
    assert ran.exit_code == 1
    assert "the files have changed since" in ran.output
