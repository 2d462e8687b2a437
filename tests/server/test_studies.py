"""Whole studies on awkward data: what is imputed, left out, said, or stopped, and in which words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from common.errors import StudyStopped
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import UNMASKED, study, write_hospitals

CLINICAL = ["age", "afp", "size"]
FEATURES = ["texture", "entropy"]
Run = Callable[[pd.DataFrame, Study], dict[str, Any]]


@pytest.fixture
def table() -> pd.DataFrame:
    """200 patients of four hospitals, with gaps in afp that depend on nothing."""
    rng = np.random.default_rng(11)
    n = 200
    x = pd.DataFrame(rng.normal(size=(n, 5)), columns=CLINICAL + FEATURES)
    x["afp"] += 0.8 * x["age"] - 0.5 * x["size"]
    x["mvi"] = (rng.random(n) < 1 / (1 + np.exp(-x["afp"] + 0.5 * x["texture"]))).astype(int)
    x.loc[rng.choice(n, 30, replace=False), "afp"] = np.nan
    x.insert(0, "id", [f"P{i:03d}" for i in range(n)])
    x["hospital"] = np.repeat(["alder", "birch", "cedar", "dogwood"], [35, 45, 55, 65])
    return x


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def simulated(table: pd.DataFrame, chosen: Study) -> dict[str, Any]:
        clinical = [c for c in table.columns if c not in ("id", "hospital", *FEATURES)]
        features = [c for c in FEATURES if c in table.columns]
        sites = write_hospitals(tmp_path / "sites", table, clinical, features)
        simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())
        results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text())
        return results

    return simulated


def asking(**changes: Any) -> Study:
    predictors = {"clinical": CLINICAL, "radiomics": "all"}
    folds = {"folds": 3, "leave_one_hospital_out": False}
    return study(**({"predictors": predictors, "validation": folds, "privacy": UNMASKED} | changes))


def pooled_fit(x: pd.DataFrame, y: pd.Series, c: float = 1.0) -> dict[str, float]:
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=c, tol=1e-14, max_iter=10_000, solver="newton-cholesky").fit(
        scaler.transform(x), y
    )
    return dict(zip(x.columns, model.coef_[0] / scaler.scale_, strict=True))


def test_mean_imputation_is_that_of_the_pooled_table(run: Run, table: pd.DataFrame) -> None:
    found = run(table, asking())["model"]["coefficients"]
    x = table[CLINICAL + FEATURES]
    assert found == pytest.approx(pooled_fit(x.fillna(x.mean()), table["mvi"]), abs=1e-9)


def test_unpenalised_regression_is_that_of_the_pooled_table_with_its_errors(run: Run, table: pd.DataFrame) -> None:
    results = run(table, asking(model={"kind": "logistic", "penalty": "none"}))
    x = table[CLINICAL + FEATURES]
    x = x.fillna(x.mean())
    assert results["model"]["coefficients"] == pytest.approx(pooled_fit(x, table["mvi"], np.inf), abs=1e-8)
    import statsmodels.api as sm

    errors = sm.Logit(table["mvi"], sm.add_constant(x)).fit(disp=0).bse
    for name, error in results["model"]["standard_errors"].items():
        assert error == pytest.approx(errors[name], rel=1e-5)


def test_regression_imputation_is_that_of_the_pooled_table(run: Run, table: pd.DataFrame) -> None:
    results = run(table, asking(imputation={"method": "regression"}))
    x = table[CLINICAL + FEATURES].copy()
    known = x["afp"].notna()
    regression = LinearRegression().fit(x.loc[known, ["age", "size"]], x.loc[known, "afp"])
    x.loc[~known, "afp"] = regression.predict(x.loc[~known, ["age", "size"]])
    assert results["model"]["coefficients"] == pytest.approx(pooled_fit(x, table["mvi"]), abs=1e-9)


def test_an_indicator_column_says_that_a_value_was_missing(run: Run, table: pd.DataFrame) -> None:
    coefficients = run(table, asking(imputation={"indicator": True}))["model"]["coefficients"]
    x = table[CLINICAL + FEATURES].assign(**{"afp:missing": table["afp"].isna().astype(float)})
    expected = pooled_fit(x.fillna(x.mean()), table["mvi"])
    assert {k: v for k, v in coefficients.items() if v != 0} == pytest.approx(expected, abs=1e-9)
    assert coefficients["age:missing"] == 0


def test_a_column_that_a_whole_hospital_lacks_is_said(run: Run, table: pd.DataFrame) -> None:
    table.loc[table["hospital"] == "birch", "size"] = np.nan
    results = run(table, asking())
    assert "size: unknown for every patient of birch; imputed there from the others" in results["notes"]
    assert results["sites"]["birch"]["missing"]["size"] == 45


def test_categories_become_columns_against_their_first_level(run: Run, table: pd.DataFrame) -> None:
    table["size"] = np.where(table["size"] > 0.5, "large", np.where(table["size"] < -0.5, "small", "middle"))
    levels = {"size": {"type": "category", "levels": ["small", "middle", "large"]}}
    found = run(table, asking(variables=levels))["model"]["coefficients"]
    x = table[["age", "afp", *FEATURES]].assign(
        **{"size=middle": (table["size"] == "middle") * 1.0, "size=large": (table["size"] == "large") * 1.0}
    )
    assert found == pytest.approx(pooled_fit(x.fillna(x.mean()), table["mvi"]), abs=1e-9)


def test_a_transformed_column_is_fitted_on_the_transformed_scale(run: Run, table: pd.DataFrame) -> None:
    table["afp"] = 10 ** table["afp"]
    found = run(table, asking(variables={"afp": {"transform": "log10", "compare_medians": False}}))["model"][
        "coefficients"
    ]
    x = table[CLINICAL + FEATURES].assign(afp=np.log10(table["afp"]))
    assert found == pytest.approx(pooled_fit(x.fillna(x.mean()), table["mvi"]), abs=1e-9)


def test_a_constant_column_is_left_out_and_said(run: Run, table: pd.DataFrame) -> None:
    results = run(table.assign(texture=3.0), asking())
    assert "texture: the same value everywhere; left out of the model" in results["notes"]
    assert results["model"]["coefficients"]["texture"] == 0
    assert not results["pipeline"]["columns"]["texture"]["used"]


def test_a_binary_column_with_four_carriers_does_not_enter(run: Run, table: pd.DataFrame) -> None:
    table["size"] = (np.arange(len(table)) % 50 == 0).astype(int)
    results = run(table, asking(variables={"size": {"type": "binary"}}))
    assert any(note.startswith("size: fewer than 5 patients in total") for note in results["notes"])
    assert results["model"]["coefficients"]["size"] == 0
    assert results["cohort"]["variables"]["size"]["carriers"] is None


def test_perfect_separation_stops_in_words(run: Run, table: pd.DataFrame) -> None:
    table["texture"] = table["mvi"] + 0.01 * table["texture"]
    with pytest.raises(StudyStopped, match="perfect separation") as stopped:
        run(table, asking(model={"kind": "logistic", "penalty": "none"}))
    assert "texture" in str(stopped.value)
    assert "penalty: ridge" in str(stopped.value)


def test_collinear_columns_stop_an_unpenalised_fit_and_are_named(run: Run, table: pd.DataFrame) -> None:
    table["entropy"] = 2 * table["texture"] - table["age"]
    with pytest.raises(StudyStopped, match="combinations of others") as stopped:
        run(table, asking(model={"kind": "logistic", "penalty": "none"}))
    assert "entropy" in str(stopped.value)


def test_feature_columns_that_differ_are_named_with_the_hospital(
    run: Run, tmp_path: Path, table: pd.DataFrame
) -> None:
    sites = write_hospitals(tmp_path / "others", table, [*CLINICAL, "mvi"], FEATURES)
    path = sites / "cedar" / "features.csv"
    pd.read_csv(path).rename(columns={"entropy": "Entropy"}).to_csv(path, index=False)
    with pytest.raises(StudyStopped, match="cedar lacks entropy") as stopped:
        simulate(Simulation(asking(), find_hospitals(sites), tmp_path / "out"), Silence())
    assert "cedar has Entropy, which most have not" in str(stopped.value)


def test_a_hospital_with_a_single_class_trains_but_has_no_auc_of_its_own(run: Run, table: pd.DataFrame) -> None:
    table.loc[table["hospital"] == "alder", "mvi"] = 1
    results = run(table, asking())
    assert results["performance"]["kfold"]["by_site"]["alder"]["auc"]["value"] is None
    assert results["sites"]["alder"]["events"] is None
    x = table[CLINICAL + FEATURES]
    assert results["model"]["coefficients"] == pytest.approx(
        pooled_fit(x.fillna(x.mean()), table["mvi"]), abs=1e-9
    )


def test_repeats_are_averaged(run: Run, table: pd.DataFrame) -> None:
    results = run(table, asking(validation={"folds": 3, "repeats": 2, "leave_one_hospital_out": False}))
    assert results["performance"]["kfold"]["repeats"] == 2
    assert set(results["performance"]) == {"apparent", "kfold"}
    assert {"kfold/0/0", "kfold/1/2"} <= set(results["model"]["by_split"])


def test_cohort_quartiles_are_near_the_pooled_ones(run: Run, table: pd.DataFrame) -> None:
    variables = run(table, asking())["cohort"]["variables"]
    for name in CLINICAL:
        values = table[name].dropna()
        for share, value in variables[name]["quartiles"].items():
            assert abs((values <= value).mean() - float(share)) < 0.05


def test_more_columns_than_hospitals_would_allow_are_said(run: Run, table: pd.DataFrame) -> None:
    few = table.groupby("hospital").head(4)
    results = run(
        few, asking(privacy={"minimum_patients": 4}, validation={"folds": 0, "leave_one_hospital_out": True})
    )
    assert any("a t test (F) chose 1 of them" in note for note in results["notes"])
    assert any("The model has 4 columns" in note and "allow 3" in note for note in results["notes"])


def test_a_lasso_study_is_the_lasso_of_the_pooled_table(run: Run, table: pd.DataFrame) -> None:
    model = {"kind": "logistic", "penalty": "lasso", "strength": 15.0}
    found = run(table, asking(model=model))["model"]["standardised"]
    x = table[CLINICAL + FEATURES]
    scaled = StandardScaler().fit_transform(x.fillna(x.mean()))
    pooled = LogisticRegression(C=1 / 15, l1_ratio=1.0, solver="saga", tol=1e-13, max_iter=100_000)
    expected = pooled.fit(scaled, table["mvi"]).coef_[0]
    assert 0 < (expected == 0).sum() < 5
    assert [found[name] for name in x.columns] == pytest.approx(expected.tolist(), abs=1e-8)
