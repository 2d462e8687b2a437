"""The patients of synthetic hospitals follow from the truth that is written beside them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import f_oneway, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from tests.deploy.written_hospitals import Tables, tables, truth

TWO_YEARS_DAYS = 730


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough patients to see the truth through the noise."""
    folder = tmp_path_factory.mktemp("large")
    write_hospitals(folder, sites=5, patients=500, seed=3)
    return folder


def test_bclc_follows_from_size_number_and_liver_function(large: Path) -> None:
    table = pd.concat(tables(large, "patients.csv").values())
    single, small = table.tumour_number == 1, table.tumour_size_mm <= 20
    assert (single & small)[table.bclc == "0"].all()
    assert (single | ((table.tumour_number <= 3) & (table.tumour_size_mm <= 30)))[table.bclc == "A"].all()
    assert (~single)[table.bclc == "B"].all()
    assert (table.bclc == "C")[table.child_pugh == "C"].all()
    assert set(table.bclc) == {"0", "A", "B", "C"}


def test_early_recurrence_agrees_with_recurrence_free_survival(large: Path) -> None:
    table = pd.concat(tables(large, "patients.csv").values())
    assert (table.rfs_days <= table.os_days).all()
    assert (table.rfs_event >= table.os_event).all()
    seen, free = table[table.early_recurrence == 1], table[table.early_recurrence == 0]
    unknown = table[table.early_recurrence.isna()]
    assert ((seen.rfs_days <= TWO_YEARS_DAYS) & (seen.rfs_event == 1) & (seen.rfs_days < seen.os_days)).all()
    assert (free.rfs_days > TWO_YEARS_DAYS).all()
    # Lost, or dead without recurrence, before two years.
    assert ((unknown.rfs_days <= TWO_YEARS_DAYS) & (unknown.rfs_days == unknown.os_days)).all()
    assert 0.25 < table.early_recurrence.mean() < 0.5


def test_the_linear_predictors_are_those_of_the_truth(large: Path) -> None:
    told = truth(large)
    for name, latent in tables(large, "{}_latent.csv").items():
        patients = tables(large, "patients.csv")[name]
        transformed = patients.assign(afp=np.log10(patients.afp), tumour_size_mm=np.log(patients.tumour_size_mm))
        standardised = {
            column: (transformed[column] - how["centre"]) / how["scale"]
            for column, how in told["standardised"].items()
        }
        terms = {**latent, **standardised, "mvi": patients.mvi}
        recurrence, death = told["outcomes"]["recurrence"], told["outcomes"]["death"]
        intercept = told["hospitals"][name]["mvi_intercept"]
        for outcome, coefficients, constant in (
            ("mvi", told["outcomes"]["mvi"], intercept),
            ("recurrence", recurrence["coefficients"], 0),
            ("death", death["coefficients"], 0),
        ):
            expected = constant + sum(c * terms[term] for term, c in coefficients.items())
            difference = (latent[f"{outcome}_linear_predictor"] - expected).dropna().abs()
            assert len(difference) > 0.8 * len(patients)
            # ALBI is written with three decimals, as the predictors took it.
            assert difference.max() < 1e-4


def test_prevalence_is_calibrated_and_differs_between_hospitals(large: Path) -> None:
    told, prevalence = truth(large)["hospitals"], []
    for name, latent in tables(large, "{}_latent.csv").items():
        expected = expit(latent.mvi_linear_predictor).mean()
        assert abs(expected - told[name]["mvi_prevalence"]) < 0.05
        observed = tables(large, "patients.csv")[name].mvi.mean()
        assert abs(observed - expected) < 4 * np.sqrt(0.25 / len(latent))
        prevalence.append(observed)
    assert min(prevalence) > 0.22
    assert max(prevalence) < 0.53
    assert max(prevalence) - min(prevalence) > 0.08


def test_case_mix_differs_between_hospitals(large: Path) -> None:
    patients = tables(large, "patients.csv")
    hepatitis = [table.hbv.mean() for table in patients.values()]
    assert max(hepatitis) - min(hepatitis) > 0.3
    assert f_oneway(*(table.age for table in patients.values())).pvalue < 1e-6


def test_features_correlate_in_blocks_as_the_loadings_of_the_truth_say(large: Path) -> None:
    told = truth(large)
    features = pd.DataFrame(told["features"]).T
    loadings = np.array(features.loadings.tolist())
    covariance = loadings @ np.array(told["factor_correlation"]) @ loadings.T
    expected = covariance + np.diag(features.unique.to_numpy(float) ** 2)
    np.testing.assert_allclose(np.diag(expected), 1, atol=1e-3)
    clean = pd.concat(tables(large, "{}_clean_features.csv").values())[features.index]
    # Skewed features are monotone in a normal one: Spearman's ρ sees through, and gives back Pearson's r.
    observed = 2 * np.sin(np.pi / 6 * spearmanr(clean)[0])
    np.testing.assert_allclose(observed, expected, atol=0.1)

    size = np.abs(observed)
    blocks = features.block.to_numpy()
    for block in set(blocks):
        within = size[np.ix_(blocks == block, blocks == block)]
        others = size[np.ix_(blocks == block, blocks != block)]
        assert np.median(within) > 0.5, block
        assert np.median(others) < 0.25, block


def test_shape_features_follow_the_tumours_size(large: Path) -> None:
    features = pd.concat(tables(large, "features.csv").values())
    size = pd.concat(tables(large, "patients.csv").values()).tumour_size_mm
    assert spearmanr(features.tumour_original_shape_MeshVolume, size)[0] > 0.9
    assert spearmanr(features.tumour_original_shape_SurfaceVolumeRatio, size)[0] < -0.9
    volume, area = features.tumour_original_shape_MeshVolume, features.tumour_original_shape_SurfaceArea
    sphericity = (36 * np.pi * volume**2) ** (1 / 3) / area
    np.testing.assert_allclose(features.tumour_original_shape_Sphericity, sphericity, rtol=1e-4)


def test_hospitals_shift_and_scale_features_but_not_their_clean_values(large: Path) -> None:
    """Analysis of variance over hospitals, of features that depend on no case mix (no load on size)."""
    told = truth(large)["features"]
    names = [name for name, feature in told.items() if feature["block"].endswith("attenuation")]
    assert len(names) >= 8

    def share(found: Tables, spread: bool) -> float:
        def values(table: pd.DataFrame, name: str) -> pd.Series:
            known = table[name].dropna()
            return (known - known.median()).abs() if spread else known

        low = [f_oneway(*(values(table, name) for table in found.values())).pvalue < 1e-4 for name in names]
        return float(np.mean(low))

    measured, clean = tables(large, "features.csv"), tables(large, "{}_clean_features.csv")
    assert share(measured, spread=False) > 0.9
    assert share(measured, spread=True) > 0.7
    assert share(clean, spread=False) < 0.2
    assert share(clean, spread=True) < 0.2


def test_measured_features_are_the_clean_ones_under_the_shifts_and_scales_of_the_truth(large: Path) -> None:
    told = truth(large)
    mean = pd.Series({name: feature["mean"] for name, feature in told["features"].items()})
    deviation = pd.Series({name: feature["sd"] for name, feature in told["features"].items()})
    for name, clean in tables(large, "{}_clean_features.csv").items():
        hospital = pd.DataFrame(told["hospitals"][name]["shift"], index=clean.index)[mean.index]
        factor = pd.DataFrame(told["hospitals"][name]["scale"], index=clean.index)[mean.index]
        models = tables(large, "patients.csv")[name].scanner
        for model in models.unique():
            hospital.loc[models == model] += pd.Series(told["scanners"][model]["shift"])
            factor.loc[models == model] *= pd.Series(told["scanners"][model]["scale"])
        expected = mean + deviation * hospital + factor * (clean[mean.index] - mean)
        measured = tables(large, "features.csv")[name]
        off = ((measured[mean.index] - expected) / deviation).abs().max().max()
        assert off < 1e-3
        shapes = told["shape_features"]
        pd.testing.assert_frame_equal(measured[shapes], clean[shapes])


def test_a_few_values_are_missing_in_the_columns_that_hospitals_leave_empty(large: Path) -> None:
    missing = pd.DataFrame({name: table.isna().mean() for name, table in tables(large, "patients.csv").items()})
    gappy = ["afp", "albumin", "bilirubin", "platelets", "hbv", "mvi"]
    assert missing.loc[gappy].to_numpy().max() < 0.1
    assert missing.loc[gappy].mean(axis=1).min() > 0.005
    assert 0.01 < missing.loc["mvi"].mean() < 0.04
    complete = missing.index.difference([*gappy, "albi", "early_recurrence"])
    assert missing.loc[complete].to_numpy().max() == 0


def auc(predictors: pd.DataFrame, outcome: pd.Series) -> float:
    """Cross-validated over all patients, as the demonstration's study does."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
    filled = predictors.fillna(predictors.mean())
    score = cross_val_predict(model, filled, outcome, cv=5, method="decision_function")
    return float(roc_auc_score(outcome, score))


def test_radiomics_adds_to_clinical_columns_in_foretelling_invasion(large: Path) -> None:
    study = Study.from_file(large / "study.yaml")
    patients = pd.concat(tables(large, "patients.csv").values()).dropna(subset="mvi")
    clean = pd.concat(tables(large, "{}_clean_features.csv").values()).loc[patients.index]
    clinical = patients[study.predictors.clinical].assign(afp=np.log10(patients.afp))
    radiomics = clean[study.predictors.matching(list(clean.columns))]
    alone, both = auc(clinical, patients.mvi), auc(pd.concat([clinical, radiomics], axis=1), patients.mvi)
    assert 0.62 < alone < 0.75
    assert 0.78 < both < 0.88
    assert both > alone + 0.05


def test_a_model_from_elsewhere_fails_on_raw_features_and_not_on_clean_ones(large: Path) -> None:
    study = Study.from_file(large / "study.yaml")
    patients = tables(large, "patients.csv")

    def left_out(file: str) -> float:
        found = tables(large, file)
        everyone = pd.concat(found.values())
        features = everyone[study.predictors.matching(list(everyone.columns))]
        features = features.fillna(features.mean())
        outcome = pd.concat(patients.values()).mvi
        hospital = pd.Series({patient: name for name, table in found.items() for patient in table.index})
        score = pd.Series(np.nan, index=outcome.index)
        known = outcome.notna()
        for name in found:
            train, held_out = known & (hospital != name), known & (hospital == name)
            model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
            model.fit(features[train], outcome[train])
            score[held_out] = model.decision_function(features[held_out])
        return float(roc_auc_score(outcome[known], score[known]))

    assert left_out("features.csv") < left_out("{}_clean_features.csv") - 0.05


def test_the_true_risk_of_death_orders_survival(large: Path) -> None:
    """Harrell's concordance of the true predictor: far above chance, far from certainty."""
    patients = pd.concat(tables(large, "patients.csv").values())
    risk = pd.concat(tables(large, "{}_latent.csv").values()).death_linear_predictor.to_numpy()
    days, event = patients.os_days.to_numpy(), patients.os_event.to_numpy() == 1
    comparable = event[:, None] & (days[:, None] < days[None, :])
    concordance = (risk[:, None] > risk[None, :])[comparable].mean()
    assert 0.62 < concordance < 0.85
