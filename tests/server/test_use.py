"""Usefulness of a whole simulated study equals what scikit-learn and numpy say of the hospitals' pooled predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.metrics import brier_score_loss, confusion_matrix, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from client.own_scores import recalibrate
from common.evaluation import Evaluation
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.evaluation.operating import choose_threshold
from server.evaluation.parts import group_of
from server.progress import Silence
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals

NAMES = {
    "mean_texture": "age",
    "mean_smoothness": "portal_tumour_original_glcm_Contrast",
    "mean_symmetry": "portal_tumour_log-1mm_firstorder_Mean",
    "mean_fractal_dimension": "portal_ring5mm_original_glcm_Contrast",
    "mean_compactness": "portal_ring5mm_original_firstorder_Mean",
}


@pytest.fixture(scope="module")
def pooled() -> pd.DataFrame:
    table = breast_cancer().rename(columns=NAMES)
    return table[["id", "hospital", "mvi", *NAMES.values()]]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, pooled: pd.DataFrame) -> Path:
    folder = tmp_path_factory.mktemp("use")
    sites = write_hospitals(folder / "sites", pooled, ["age", "mvi"], list(NAMES.values())[1:])
    chosen = study(
        predictors={"clinical": ["age"], "radiomics": "all"},
        validation={"folds": 3, "repeats": 2, "leave_one_hospital_out": True},
        model={"kind": "logistic", "penalty": "none"},
        compare={"clinical": {"clinical": "all"}, "tumour": {"clinical": "all", "radiomics": "*_tumour_*"}},
    )
    simulate(Simulation(chosen, find_hospitals(sites), folder / "out"), Silence())
    return folder / "out"


@pytest.fixture(scope="module")
def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def by_every_model(out: Path, pooled: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p).assign(hospital=p.parent.name) for p in sorted(out.glob("sites/*/predictions.csv"))]
    return pd.concat(parts).fillna({"model": ""}).merge(pooled[["id", "mvi"]], on="id")


@pytest.fixture(scope="module")
def predictions(by_every_model: pd.DataFrame) -> pd.DataFrame:
    """By the model of all predictors."""
    return by_every_model[by_every_model["model"] == ""]


def first_repeat(predictions: pd.DataFrame, scheme: str) -> pd.DataFrame:
    return predictions[(predictions["scheme"] == scheme) & (predictions["repeat"] == 0)]


@pytest.mark.parametrize("scheme", ["apparent", "kfold", "leave_one_hospital_out"])
def test_net_benefit_is_that_of_the_pooled_predictions(
    results: dict[str, Any], predictions: pd.DataFrame, scheme: str
) -> None:
    rows = first_repeat(predictions, scheme)
    y, p = rows["mvi"].to_numpy(), rows["score"].to_numpy()
    curve = results["usefulness"]["judged"][scheme]["decision_curve"]
    assert len(curve) >= 12, "most thresholds are far enough apart in 569 patients"
    for point in curve:
        t = point["threshold"]
        true, false = ((p > t) & (y == 1)).sum(), ((p > t) & (y == 0)).sum()
        assert (point["events_above"], point["others_above"]) == (true, false)
        assert point["model"] == pytest.approx((true - false * t / (1 - t)) / len(y), abs=1e-12)
        assert point["treat_all"] == pytest.approx(y.mean() - (1 - y.mean()) * t / (1 - t), abs=1e-12)


def test_the_error_of_net_benefit_is_that_of_patients_drawn_anew(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    rows = first_repeat(predictions, "kfold")
    y, p = rows["mvi"].to_numpy(), rows["score"].to_numpy()
    for point in results["usefulness"]["judged"]["kfold"]["decision_curve"]:
        t = point["threshold"]
        each = (p > t) * np.where(y == 1, 1.0, -t / (1 - t))
        half = 1.959963984540054 * each.std() / np.sqrt(len(y))
        assert point["high"] - point["model"] == pytest.approx(half, rel=1e-9)


def test_two_thresholds_never_part_fewer_than_ten_patients(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    """Nor does one part fewer from the next edge of the ROC curve: both come from one histogram."""
    for scheme in ("apparent", "kfold", "leave_one_hospital_out"):
        rows = first_repeat(predictions, scheme)
        y, p = rows["mvi"].to_numpy(), rows["score"].to_numpy()
        n1, n0 = (y == 1).sum(), (y == 0).sum()
        above = {round((1 - x) * n0 + (1 - s) * n1) for x, s in results["performance"][scheme]["roc"]}
        above |= {
            int((p <= t["threshold"]).sum()) for t in results["usefulness"]["judged"][scheme]["decision_curve"]
        }
        assert min(np.diff(sorted(above))) >= 10


def test_classification_is_that_of_the_pooled_predictions_at_their_folds_thresholds(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    for scheme, name in (("kfold", "kfold/{repeat}/{fold}"), ("leave_one_hospital_out", "{scheme}/{fold}")):
        found = results["usefulness"]["judged"][scheme]["classification"]
        shares: list[list[float]] = []
        for _, rows in predictions[predictions["scheme"] == scheme].groupby("repeat"):
            cut = [found["thresholds"][name.format(**row)] for row in rows.to_dict("records")]
            (tn, fp), (fn, tp) = confusion_matrix(rows["mvi"], rows["score"] > cut)
            shares.append([tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)])
            low, high = proportion_confint(tp, tp + fn, method="wilson")
            if scheme == "leave_one_hospital_out":
                assert found["sensitivity"]["low"] == pytest.approx(low, abs=1e-12)
                assert found["sensitivity"]["high"] == pytest.approx(high, abs=1e-12)
        expected = np.mean(shares, axis=0)
        keys = ("sensitivity", "specificity", "positive_value", "negative_value")
        assert [found[key]["value"] for key in keys] == pytest.approx(list(expected), abs=1e-12)


def test_the_final_models_threshold_has_nearly_the_largest_youden_index(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    """As far as its bins reach: the best of all thresholds gains little more."""
    rows = first_repeat(predictions, "apparent")
    y, p = rows["mvi"].to_numpy(), rows["score"].to_numpy()

    def youden(t: float) -> float:
        return float((p > t)[y == 1].mean() + (p <= t)[y == 0].mean())

    chosen = results["usefulness"]["judged"]["apparent"]["classification"]["thresholds"]["final"]
    assert youden(chosen) >= max(map(youden, p)) - 0.03


def test_a_threshold_may_be_chosen_by_its_sensitivity() -> None:
    edges = np.array([0.2, 0.4, 0.6])
    histogram = np.array([[30, 20, 10, 5], [2, 3, 15, 30]])
    assert choose_threshold(edges, histogram, Evaluation(sensitivity_at_least=0.95)) == 0.2
    assert choose_threshold(edges, histogram, Evaluation(sensitivity_at_least=0.9)) == 0.4
    assert choose_threshold(edges, histogram, Evaluation(sensitivity_at_least=0.99)) == 0.2, "the nearest there is"
    assert choose_threshold(edges, histogram, Evaluation()) == 0.4, "Youden: 0.9 + 50/65 is the largest sum"


def test_scaled_brier_score_is_the_pooled_one(results: dict[str, Any], predictions: pd.DataFrame) -> None:
    rows = first_repeat(predictions, "leave_one_hospital_out")
    share = rows["mvi"].mean()
    expected = 1 - brier_score_loss(rows["mvi"], rows["score"]) / (share * (1 - share))
    found = results["usefulness"]["judged"]["leave_one_hospital_out"]
    assert found["scaled_brier"] == pytest.approx(expected, abs=1e-12)
    curve = results["performance"]["leave_one_hospital_out"]["calibration_curve"]
    apart = [abs(g["observed"] - g["predicted"]) for g in curve]
    sizes = [g["patients"] for g in curve]
    assert found["calibration_error"]["mean"] == pytest.approx(np.average(apart, weights=sizes), abs=1e-12)
    assert found["calibration_error"]["largest"] == pytest.approx(max(apart), abs=1e-12)


def test_the_shares_of_the_parts_are_the_pooled_covariances(results: dict[str, Any], pooled: pd.DataFrame) -> None:
    coefficients = results["model"]["coefficients"]
    brought = {
        "clinical": pooled["age"] * coefficients["age"],
        "tumour": sum(pooled[c] * coefficients[c] for c in NAMES.values() if "tumour" in c),
        "ring": sum(pooled[c] * coefficients[c] for c in NAMES.values() if "ring" in c),
    }
    whole = sum(brought.values())
    found = results["parts"][""]
    assert set(found) == set(brought)
    for group, part in brought.items():
        assert found[group]["share"] == pytest.approx(np.cov(part, whole)[0, 1] / np.var(whole, ddof=1), abs=1e-9)
        assert found[group]["spread"] == pytest.approx(part.std(ddof=0), rel=1e-9)
    assert sum(part["share"] for part in found.values()) == pytest.approx(1, abs=1e-12)


def test_models_are_compared_on_the_same_held_out_patients(
    results: dict[str, Any], by_every_model: pd.DataFrame
) -> None:
    found = {(c["scheme"], c["first"], c["second"]): c for c in results["comparisons"]}
    assert len(found) == 3 * 3
    rows = by_every_model[by_every_model["scheme"] == "kfold"]
    wide = rows.pivot(index=["hospital", "id", "mvi", "repeat"], columns="model", values="score").reset_index()
    for a, b in (("clinical", ""), ("tumour", ""), ("clinical", "tumour")):
        within, idi = [], []
        for _, own in wide.groupby("repeat"):
            won = pairs = 0.0
            for _, here in own.groupby("hospital"):
                weight = (here["mvi"] == 1).sum() * (here["mvi"] == 0).sum()
                won += weight * (roc_auc_score(here["mvi"], here[b]) - roc_auc_score(here["mvi"], here[a]))
                pairs += weight
            within.append(won / pairs)
            gained = own[b] - own[a]
            idi.append(gained[own["mvi"] == 1].mean() - gained[own["mvi"] == 0].mean())
        said = found["kfold", a, b]
        assert said["within_sites"]["value"] == pytest.approx(np.mean(within), abs=1e-12)
        assert said["discrimination_improvement"]["value"] == pytest.approx(np.mean(idi), abs=1e-12)
        overall = wide.groupby("repeat")[[a, b, "mvi"]].apply(
            lambda x: roc_auc_score(x["mvi"], x[b]) - roc_auc_score(x["mvi"], x[a])  # noqa: B023
        )
        assert said["overall"]["certified_low"] <= overall.mean() <= said["overall"]["certified_high"]


def test_nested_models_are_compared_by_the_pooled_likelihood_ratio(
    results: dict[str, Any], pooled: pd.DataFrame
) -> None:
    def fitted(columns: list[str]) -> float:
        x = pooled[columns]
        return float(sm.Logit(pooled["mvi"], sm.add_constant((x - x.mean()) / x.std())).fit(disp=0).llf)

    every = list(NAMES.values())
    statistic = 2 * (fitted(every) - fitted(["age"]))
    said = next(c for c in results["comparisons"] if (c["first"], c["second"]) == ("clinical", ""))[
        "likelihood_ratio"
    ]
    assert (said["smaller"], said["degrees"]) == ("clinical", 4)
    assert said["statistic"] == pytest.approx(statistic, rel=1e-8)


def test_every_hospital_recalibrates_its_own_predictions_and_keeps_that(
    out: Path, predictions: pd.DataFrame
) -> None:
    for folder in sorted((out / "sites").iterdir()):
        found = json.loads((folder / "recalibration.json").read_text())
        own = predictions[
            (predictions["hospital"] == folder.name) & (predictions["scheme"] == "leave_one_hospital_out")
        ]
        score = np.log(own["score"] / (1 - own["score"]))
        fit = sm.Logit(own["mvi"], sm.add_constant(score)).fit(disp=0)
        alone = sm.GLM(own["mvi"], np.ones(len(own)), family=sm.families.Binomial(), offset=score).fit()
        said = found["leave_one_hospital_out"]
        assert [said["intercept"], said["slope"]] == pytest.approx(list(fit.params), abs=1e-4)
        assert said["shift"] == pytest.approx(alone.params.iloc[0], abs=1e-8)
        assert own["recalibrated"].to_numpy() == pytest.approx(fit.predict().tolist(), abs=1e-4)
        assert own["recalibrated"].mean() == pytest.approx(own["mvi"].mean(), abs=1e-5)
    assert "recalibrat" not in (out / "results.json").read_text().replace('"recalibration"', ""), (
        "nothing of it leaves"
    )


def test_a_hospital_with_few_of_a_class_is_not_recalibrated() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=60)
    assert recalibrate(score, np.repeat([1.0, 0.0], [9, 51])) is None
    assert recalibrate(np.zeros(60), np.repeat([1.0, 0.0], [30, 30])) is None
    assert recalibrate(score, (score > 0) * 1.0) is None, "perfectly separated"


def test_the_radiomics_score_is_the_image_features_part(
    results: dict[str, Any], predictions: pd.DataFrame, pooled: pd.DataFrame
) -> None:
    coefficients = results["model"]["coefficients"]
    features = list(NAMES.values())[1:]
    part = pooled.set_index("id")[features] @ np.array([coefficients[name] for name in features])
    centred = part - part.mean()
    rows = first_repeat(predictions, "apparent").set_index("id")
    assert rows["radiomics_score"].to_numpy() == pytest.approx(centred[rows.index].to_numpy(), abs=1e-9)
    whole = np.log(rows["score"] / (1 - rows["score"]))
    age = pooled.set_index("id")["age"][rows.index] * coefficients["age"]
    rest = whole - rows["radiomics_score"] - age
    assert np.ptp(rest) == pytest.approx(0, abs=1e-8), "what is left is the intercept"


@pytest.mark.parametrize(
    ("column", "group"),
    [
        ("age", "clinical"),
        ("age:missing", "clinical"),
        ("portal_tumour_original_shape_Sphericity", "tumour"),
        ("tumor_original_shape_Sphericity", "tumour"),
        ("portal-minus-arterial_ring5mm_original_firstorder_Mean", "ring"),
        ("portal_ring5mm-over-tumour_original_firstorder_Mean", "tumour and ring"),
        ("arterial_tumour-and-ring3mm_original_glcm_Contrast", "tumour and ring"),
        ("t2_habitat2_original_shape_VolumeFraction", "tumour"),
        ("portal_liver-background_original_firstorder_Mean", "other image features"),
        ("texture_of_tumour", "other image features"),
    ],
)
def test_columns_belong_to_parts_by_their_names(column: str, group: str) -> None:
    assert group_of(study(predictors={"clinical": ["age"], "radiomics": "all"}), column) == group
