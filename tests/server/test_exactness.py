"""The federated results are those of the pooled table: independent fits by scikit-learn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    return breast_cancer()


@pytest.fixture(scope="module")
def features(pooled: pd.DataFrame) -> list[str]:
    return [c for c in pooled.columns if c not in ("id", "hospital", "mvi")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pooled: pd.DataFrame, features: list[str]) -> Path:
    """One simulated ridge study over the four hospitals."""
    folder = tmp_path_factory.mktemp("breast")
    sites = write_hospitals(folder / "sites", pooled, ["mvi"], features)
    simulate(Simulation(study(), find_hospitals(sites), folder / "out"), Silence())
    return folder / "out"


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


@pytest.fixture(scope="module")
def predictions(run: Path, pooled: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p).assign(hospital=p.parent.name) for p in sorted(run.glob("sites/*/predictions.csv"))]
    return pd.concat(parts).merge(pooled[["id", "mvi"]], on="id")


def fit(x: pd.DataFrame, y: pd.Series, c: float = 1.0) -> np.ndarray:
    """Intercept and coefficients in own units by scikit-learn."""
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=c, tol=1e-14, max_iter=20_000, solver="newton-cholesky").fit(
        scaler.transform(x), y
    )
    slopes = model.coef_[0] / scaler.scale_
    return np.concatenate([[model.intercept_[0] - slopes @ scaler.mean_], slopes])


def federated(model: dict[str, Any], features: list[str]) -> np.ndarray:
    return np.array([model["intercept"], *(model["coefficients"][name] for name in features)])


def test_ridge_coefficients_equal_the_pooled_fit(
    results: dict[str, Any], pooled: pd.DataFrame, features: list[str]
) -> None:
    expected = fit(pooled[features], pooled["mvi"])
    assert np.abs(federated(results["model"], features) - expected).max() < 1e-8


def test_every_left_out_hospital_leaves_the_pooled_fit_of_the_others(
    results: dict[str, Any], pooled: pd.DataFrame, features: list[str]
) -> None:
    for hospital in pooled["hospital"].unique():
        others = pooled[pooled["hospital"] != hospital]
        model = results["model"]["by_split"][f"leave_one_hospital_out/{hospital}"]
        assert np.abs(federated(model, features) - fit(others[features], others["mvi"])).max() < 1e-8


def test_every_fold_is_the_pooled_fit_of_the_other_folds(
    results: dict[str, Any], predictions: pd.DataFrame, pooled: pd.DataFrame, features: list[str]
) -> None:
    kfold = predictions[predictions["scheme"] == "kfold"]
    for fold in range(5):
        held_out = set(kfold.loc[kfold["fold"].astype(str) == str(fold), "id"])
        training = pooled[~pooled["id"].isin(held_out)]
        expected = fit(training[features], training["mvi"])
        assert np.abs(federated(results["model"]["by_split"][f"kfold/0/{fold}"], features) - expected).max() < 1e-8


def test_every_scheme_scores_every_patient_once(predictions: pd.DataFrame, pooled: pd.DataFrame) -> None:
    for _, rows in predictions.groupby("scheme"):
        assert sorted(rows["id"]) == sorted(pooled["id"])


@pytest.mark.parametrize("scheme", ["apparent", "kfold", "leave_one_hospital_out"])
def test_auc_of_the_pooled_scores_lies_in_its_certificate(
    results: dict[str, Any], predictions: pd.DataFrame, scheme: str
) -> None:
    auc = results["performance"][scheme]["overall"]["auc"]
    rows = predictions[predictions["scheme"] == scheme]
    true = roc_auc_score(rows["mvi"], rows["score"])
    assert auc["certified_low"] - 1e-12 <= true <= auc["certified_high"] + 1e-12
    assert auc["certified_high"] - auc["certified_low"] <= 1 / auc["bins"]
    assert auc["low"] < auc["value"] <= auc["high"]


def test_within_and_own_auc_and_brier_equal_the_pooled_ones(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    performance = results["performance"]["leave_one_hospital_out"]
    rows = predictions[predictions["scheme"] == "leave_one_hospital_out"]
    won, pairs = 0.0, 0.0
    for hospital, own in rows.groupby("hospital"):
        value = roc_auc_score(own["mvi"], own["score"])
        weight = (own["mvi"] == 1).sum() * (own["mvi"] == 0).sum()
        won, pairs = won + value * weight, pairs + weight
        assert performance["by_site"][hospital]["auc"]["value"] == pytest.approx(value, abs=5.1e-4)
    assert performance["within_sites"]["auc"]["value"] == pytest.approx(won / pairs, abs=1e-12)
    assert performance["overall"]["brier"] == pytest.approx(
        brier_score_loss(rows["mvi"], rows["score"]), abs=1e-12
    )


def test_calibration_equals_the_pooled_recalibration(results: dict[str, Any], predictions: pd.DataFrame) -> None:
    for scheme in ("kfold", "leave_one_hospital_out"):
        rows = predictions[predictions["scheme"] == scheme]
        linear = np.log(rows["score"] / (1 - rows["score"])).to_numpy()[:, None]
        model = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(linear, rows["mvi"])
        found = results["performance"][scheme]["overall"]["calibration"]
        assert found["slope"]["value"] == pytest.approx(model.coef_[0, 0], abs=1e-5)
        assert found["intercept"]["value"] == pytest.approx(model.intercept_[0], abs=1e-5)
