"""Models side by side: their columns, a strength chosen inside each training set, and scores that are stacked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from client.folds import Folds
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals

CLINICAL = ["mean_radius", "mean_smoothness"]
FEATURES = ["mean_texture", "mean_concavity", "worst_symmetry", "texture_error", "worst_compactness"]
COMPARE = {
    "clinical": {"clinical": "all"},
    "texture": {"radiomics": "*texture*"},
    "images": {"radiomics": "all"},
    "late fusion": {"stack": ["clinical", "images"]},
}
HOSPITALS = ("alder", "birch", "cedar", "dogwood")


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    return breast_cancer()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pooled: pd.DataFrame) -> Path:
    """A study of five models whose strength is chosen by cross-validation in every training set."""
    folder = tmp_path_factory.mktemp("models")
    sites = write_hospitals(folder / "sites", pooled, ["mvi", *CLINICAL], FEATURES)
    chosen = study(
        predictors={"clinical": CLINICAL, "radiomics": "all"},
        model={
            "kind": "logistic",
            "penalty": "elastic-net",
            "strength": "cross-validated",
            "strengths": 6,
            "inner_folds": 3,
        },
        compare=COMPARE,
        validation={"folds": 3, "leave_one_hospital_out": True},
    )
    simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    return folder / "out"


@pytest.fixture(scope="module")
def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text())


@pytest.fixture(scope="module")
def predictions(run: Path, pooled: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p).assign(hospital=p.parent.name) for p in sorted(run.glob("sites/*/predictions.csv"))]
    found = pd.concat(parts).fillna({"model": ""})
    return found.merge(pooled[["id", "mvi", *CLINICAL, *FEATURES]], on="id")


def fit(rows: pd.DataFrame, columns: list[str], strength: float) -> np.ndarray:
    """Intercept and coefficients in own units by scikit-learn's elastic net."""
    scaler = StandardScaler().fit(rows[columns])
    model = LogisticRegression(l1_ratio=0.5, C=1 / strength, solver="saga", tol=1e-12, max_iter=200_000).fit(
        scaler.transform(rows[columns]), rows["mvi"]
    )
    slopes = model.coef_[0] / scaler.scale_
    return np.concatenate([[model.intercept_[0] - slopes @ scaler.mean_], slopes])


@pytest.mark.parametrize(
    ("name", "columns"),
    [("", CLINICAL + FEATURES), ("clinical", CLINICAL), ("texture", ["mean_texture", "texture_error"])],
)
def test_every_model_is_the_pooled_fit_of_its_own_columns_at_its_own_strength(
    results: dict[str, Any], pooled: pd.DataFrame, name: str, columns: list[str]
) -> None:
    found = results["models"][name]
    expected = fit(pooled, columns, found["strength"])
    own = [found["coefficients"].get(c, 0.0) for c in ("intercept", *columns)]
    assert np.abs(np.array(own) - expected).max() < 1e-6 * max(1.0, np.abs(expected).max())


def test_the_strength_is_chosen_in_every_training_set_by_itself(results: dict[str, Any]) -> None:
    splits = {"final", *(f"kfold/0/{f}" for f in range(3)), *(f"leave_one_hospital_out/{h}" for h in HOSPITALS)}
    for name in ("", "clinical", "texture", "images"):
        assert set(results["models"][name]["strength_by_split"]) == splits
    chosen = results["models"][""]["strength_by_split"]
    assert len(set(chosen.values())) > 1


def test_late_fusion_weighs_the_scores_of_its_parts(
    predictions: pd.DataFrame,
) -> None:
    kfold = predictions[predictions["scheme"] == "kfold"]
    logit = kfold.assign(eta=np.log(kfold["score"] / (1 - kfold["score"]))).pivot(
        index="id", columns="model", values="eta"
    )
    fold = kfold[kfold["model"] == ""].set_index("id")["fold"]
    for number in fold.unique():
        rows = logit[fold.reindex(logit.index) == number]
        design = np.column_stack([np.ones(len(rows)), rows[["clinical", "images"]]])
        solved, *_ = np.linalg.lstsq(design, rows["late fusion"], rcond=None)
        assert np.abs(design @ solved - rows["late fusion"]).max() < 1e-6
        assert (solved[1:] > 0).all()


def test_late_fusion_is_fitted_on_scores_of_patients_that_its_parts_did_not_train_on(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    rows = pooled.sort_values("id").reset_index(drop=True)
    held_out = np.full(len(rows), -1)
    for hospital, own in rows.groupby("hospital"):
        folds = Folds(own["mvi"].to_numpy(float), 3, 7, str(hospital), inner=3)
        for k in range(3):
            held_out[own.index[folds.held_out(f"final/inner/{k}")]] = k
    scores = pd.DataFrame(index=rows.index, columns=["clinical", "images"], dtype=float)
    for name, columns in (("clinical", CLINICAL), ("images", FEATURES)):
        for k in range(3):
            beta = fit(rows[held_out != k], columns, results["models"][name]["strength"])
            scores.loc[held_out == k, name] = beta[0] + rows.loc[held_out == k, columns] @ beta[1:]
    expected = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(scores, rows["mvi"]).coef_[0]
    weights = results["models"]["late fusion"]["stack"]
    assert [weights["clinical"], weights["images"]] == pytest.approx(list(expected), rel=1e-5)


def test_every_model_scores_every_patient_once_a_scheme(predictions: pd.DataFrame, pooled: pd.DataFrame) -> None:
    assert set(predictions["model"]) == {"", *COMPARE}
    for _, rows in predictions.groupby(["scheme", "model"]):
        assert sorted(rows["id"]) == sorted(pooled["id"])


def test_the_report_sets_the_models_side_by_side(run: Path, results: dict[str, Any]) -> None:
    page = (run / "report.html").read_text()
    assert 'id="models"' in page
    for name in COMPARE:
        assert name in page
    assert results["models"]["clinical"]["clinical"] == 2
    assert results["models"]["texture"]["radiomics"] == 2
