"""Hospitals drawn anew, subgroups, and 'was it worth joining': against scikit-learn on the pooled predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from client.queries.bootstrap import overall_part
from client.queries.subgroups import without_small_rests
from common.errors import StudyError
from common.query import Total
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.evaluation.bootstrap import interval
from server.evaluation.discrimination import certified_auc
from server.progress import Silence
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals
from tests.server.heard import listening_to_questions

FEATURES = ["mean_texture", "mean_smoothness", "mean_symmetry"]
HOSPITALS = 8
SUBGROUPS = [{"column": "age", "cut_offs": [50, 65]}, {"column": "stage"}]
VARIABLES = {"stage": {"type": "category", "levels": ["I", "II", "rare"]}}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Breast cancer at eight hospitals; age leads to other cut-offs, one stage is rare, some stages are unknown."""
    pooled = breast_cancer()
    rng = np.random.default_rng(2)
    pooled["hospital"] = [f"h{k}" for k in rng.integers(0, HOSPITALS, len(pooled))]
    pooled["age"] = rng.normal(60, 9, len(pooled)).round()
    pooled["stage"] = rng.choice(["I", "II", "rare", ""], len(pooled), p=[0.5, 0.38, 0.02, 0.1])
    return pooled


@pytest.fixture(scope="module")
def run(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Total]]:
    """The output folder, and the totals by question."""
    folder = tmp_path_factory.mktemp("hospitals")
    sites = write_hospitals(folder / "sites", table, ["mvi", "age", "stage"], FEATURES)
    asked = study(
        subgroups=SUBGROUPS,
        variables=VARIABLES,
        validation={"folds": 4, "leave_one_hospital_out": True, "bootstrap": 1000},
    )
    with listening_to_questions() as heard:
        simulate(Simulation(asked, find_hospitals(sites), folder / "out"), Silence())
    return folder / "out", {question.name: question.total for question in heard}


@pytest.fixture(scope="module")
def results(run: tuple[Path, dict[str, Total]]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run[0] / "results.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def predictions(run: tuple[Path, dict[str, Total]], table: pd.DataFrame) -> pd.DataFrame:
    parts = [pd.read_csv(p) for p in sorted(run[0].glob("sites/*/predictions.csv"))]
    return pd.concat(parts).merge(table[["id", "hospital", "mvi", "age", "stage"]], on="id")


def of(predictions: pd.DataFrame, scheme: str) -> pd.DataFrame:
    return predictions[predictions["scheme"] == scheme]


@pytest.mark.parametrize("scheme", ["kfold", "leave_one_hospital_out"])
def test_the_error_over_hospitals_is_that_of_the_weighted_pooled_auc(
    results: dict[str, Any], predictions: pd.DataFrame, scheme: str
) -> None:
    rows, step = of(predictions, scheme), 1e-4
    derivatives = []
    for hospital in rows["hospital"].unique():
        up, down = (1 + sign * step * (rows["hospital"] == hospital) for sign in (1, -1))
        higher, lower = (roc_auc_score(rows["mvi"], rows["score"], sample_weight=w) for w in (up, down))
        derivatives.append((higher - lower) / (2 * step))
    expected = np.sqrt(HOSPITALS / (HOSPITALS - 1) * np.square(derivatives).sum())
    found = results["bootstrap"]["auc"][scheme]["overall"]
    assert found["standard_error"] == pytest.approx(expected, rel=0.12)  # bins of ten patients, 1000 draws
    assert found["value"] == results["performance"][scheme]["overall"]["auc"]["value"]
    assert found["low"] < found["value"] < found["high"]


def test_the_error_within_hospitals_is_that_of_weighted_hospitals(
    results: dict[str, Any], predictions: pd.DataFrame
) -> None:
    own = []
    for _, rows in of(predictions, "kfold").groupby("hospital"):
        pairs = (rows["mvi"] == 1).sum() * (rows["mvi"] == 0).sum()
        own.append((roc_auc_score(rows["mvi"], rows["score"]) * pairs, pairs))
    won, pairs = np.array(own).T
    value = won.sum() / pairs.sum()
    expected = np.sqrt(HOSPITALS / (HOSPITALS - 1) * (((won - value * pairs) / pairs.sum()) ** 2).sum())
    found = results["bootstrap"]["auc"]["kfold"]["within_sites"]
    assert found["value"] == pytest.approx(value, abs=1e-9)
    assert found["standard_error"] == pytest.approx(expected, rel=0.1)


def test_no_two_figures_share_the_weights_that_would_tell_hospitals_apart(
    run: tuple[Path, dict[str, Total]],
) -> None:
    draws = run[1]["bootstrap"].sums["draws"].reshape(-1, 1000)
    assert len(draws) == 4  # two schemes; overall, within
    apart = np.corrcoef(draws)[np.triu_indices(4, 1)]
    assert np.abs(apart).max() < 0.15  # shared weights: the two schemes' overall AUCs correlate above 0.9
    assert len(np.unique(draws)) == draws.size  # integer weights would repeat, and single hospitals' parts show


def shifted(rng: np.random.Generator, hospitals: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Class histograms by hospital (hospitals × 2 × bins) of scores that hospitals shift, or do not; the total."""
    share = rng.uniform(0.4 - 0.2 * shift, 0.4 + 0.2 * shift, size=(hospitals, 1))
    outcome = rng.random((hospitals, 40)) < share
    score = rng.normal(size=(hospitals, 40)) + outcome + shift * rng.normal(size=(hospitals, 1))
    bins = np.digitize(score, np.linspace(-2, 3, 24))
    own = np.array(
        [[np.bincount(b[y == c], minlength=25) for c in (0, 1)] for b, y in zip(bins, outcome, strict=True)]
    )
    return own.astype(float), own.sum(axis=0).astype(float)


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.8, 1.25), (1.5, 1.5, 10.0)])
def test_alike_hospitals_give_the_error_of_delong_and_unlike_ones_a_wider(
    shift: float, low: float, high: float
) -> None:
    rng = np.random.default_rng(4)
    own, total = shifted(rng, 80, shift)
    parts = np.array([overall_part(total, *hospital) for hospital in own])
    assert parts.sum() == pytest.approx(0, abs=1e-12)
    estimate, _ = certified_auc(total[1], total[0])
    draws = (rng.exponential(size=(1000, 80)) - 1) @ parts
    found = interval([estimate.value], draws, 80)
    assert found.standard_error is not None
    assert estimate.standard_error is not None
    assert low < found.standard_error / estimate.standard_error < high


def test_few_hospitals_have_a_wider_interval_than_their_spread_alone_would_say() -> None:
    draws = np.random.default_rng(0).normal(size=1000) * 0.01
    widths = []
    for hospitals in (3, 6, 50):
        found = interval([0.7], draws, hospitals)
        widths.append((found.high or 0) - (found.low or 0))
    assert widths[0] > 2.2 * widths[2] > 1.2 * 2 * 1.96 * 0.01
    assert widths == sorted(widths, reverse=True)


def subgroup(results: dict[str, Any], column: str, name: str) -> dict[str, Any]:
    groups = next(entry["groups"] for entry in results["subgroups"] if entry["column"] == column)
    found: dict[str, Any] = next(group for group in groups if group["name"] == name)
    return found


def takes_part(age: pd.Series, fold: pd.Series, low: float) -> pd.Series:
    """A hospital's patients of an age group, unless they are fewer than five, one in a fold, or others would show."""
    group = age.map(lambda years: 0 if years < 50 else 50 if years < 65 else 65)
    left = {g: int(n) for g, n in group.value_counts().sort_index().items() if n >= 5}
    in_folds = pd.crosstab(group, fold)
    left = {g: n for g, n in left.items() if in_folds.loc[g].min() >= 2}
    while left and 0 < len(age) - sum(left.values()) < 5:
        del left[min(left, key=lambda g: left[g])]
    return (group == low) & group.isin(list(left))


@pytest.mark.parametrize(
    ("column", "name", "low", "high"),
    [("age", "<50", 0, 50), ("age", "50 to <65", 50, 65), ("age", "≥65", 65, 200)],
)
def test_a_subgroup_is_judged_as_scikit_learn_judges_its_patients(
    results: dict[str, Any], predictions: pd.DataFrame, column: str, name: str, low: float, high: float
) -> None:
    for scheme in ("kfold", "leave_one_hospital_out"):
        rows = of(predictions, scheme)
        folds = rows["id"].map(of(predictions, "kfold").set_index("id")["fold"])
        rows = pd.concat(own[takes_part(own["age"], folds[own.index], low)] for _, own in rows.groupby("hospital"))
        assert rows["age"].between(low, high, inclusive="left").all()
        group = subgroup(results, column, name)
        found = group["found"][scheme]
        assert (group["patients"], group["events"]) == (len(rows), rows["mvi"].sum())
        assert found["brier"] == pytest.approx(brier_score_loss(rows["mvi"], rows["score"]), abs=1e-12)
        expected = rows["mvi"].sum() / rows["score"].sum()
        assert found["observed_to_expected"] == pytest.approx(expected, abs=1e-12)
        classes = rows.groupby("hospital")["mvi"].agg(["sum", "size"])
        both = classes.index[np.minimum(classes["sum"], classes["size"] - classes["sum"]) >= 5]
        if len(both) < 3:
            assert found["auc"]["value"] is None
            continue
        won, pairs = 0.0, 0
        for _, own in rows[rows["hospital"].isin(both)].groupby("hospital"):
            n = own["mvi"].sum() * (len(own) - own["mvi"].sum())
            won, pairs = won + n * roc_auc_score(own["mvi"], own["score"]), pairs + n
        assert found["auc"]["value"] == pytest.approx(won / pairs, abs=1e-12)


def test_a_rare_subgroup_is_not_judged_and_nobody_follows_from_the_others(
    results: dict[str, Any], table: pd.DataFrame
) -> None:
    rare = subgroup(results, "stage", "rare")
    assert (rare["patients"], rare["found"]) == (0, {})
    for _, rows in table.groupby("hospital"):
        masks = without_small_rests([(rows["stage"] == level).to_numpy() for level in ("I", "II", "rare")])
        rest = len(rows) - sum(mask.sum() for mask in masks)
        assert rest == 0 or rest >= 5
    first, second, three = np.arange(30) < 20, np.arange(30) >= 23, np.arange(30) == 21
    assert [m.sum() for m in without_small_rests([first, second, three])] == [20, 0, 0]


def alone(rows: pd.DataFrame, folds: pd.Series) -> np.ndarray:
    """Held-out scores of a hospital's own ridge model."""
    score = np.full(len(rows), np.nan)
    for fold in folds.unique():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=1000))
        training = (folds != fold).to_numpy()
        model.fit(rows.loc[training, FEATURES], rows.loc[training, "mvi"])
        score[~training] = model.decision_function(rows.loc[~training, FEATURES])
    return score


def test_every_hospital_learns_in_its_own_folder_whether_it_was_worth_joining(
    run: tuple[Path, dict[str, Total]], results: dict[str, Any], predictions: pd.DataFrame, table: pd.DataFrame
) -> None:
    answered = 0
    for folder in sorted(run[0].glob("sites/*")):
        said = json.loads((folder / "worth_joining.json").read_text(encoding="utf-8"))
        rows = of(predictions, "kfold").query("hospital == @folder.name").merge(table[["id", *FEATURES]], on="id")
        if said["answer"] is None:
            assert rows["mvi"].value_counts().min() < 10
            continue
        answered += 1
        score = alone(rows, rows["fold"])
        own = roc_auc_score(rows["mvi"], score)
        federated = roc_auc_score(rows["mvi"], rows["score"])
        found = said["answer"]
        assert found["alone"]["value"] == pytest.approx(own, abs=2e-4)
        assert found["federated"]["value"] == pytest.approx(federated, abs=1e-12)
        assert found["difference"]["value"] == pytest.approx(federated - own, abs=2e-4)
        assert results["simulation_only"]["by_site"][folder.name]["alone"]["value"] == found["alone"]["value"]
        words = (folder / "worth_joining.md").read_text(encoding="utf-8")
        assert f"| your patients alone (the same folds) | {own:.3f} (" in words
    assert answered >= 5
    assert not (run[0] / "coordinator" / "worth_joining.json").exists()


def test_the_pooled_model_of_a_simulation_is_the_federated_one(results: dict[str, Any]) -> None:
    pooled, federated = results["simulation_only"]["pooled"], results["performance"]["kfold"]
    assert pooled["within_sites"]["value"] == pytest.approx(federated["within_sites"]["auc"]["value"], abs=2e-3)
    certified = federated["overall"]["auc"]
    assert certified["certified_low"] - 1e-3 < pooled["overall"]["value"] < certified["certified_high"] + 1e-3


@pytest.mark.parametrize(
    ("subgroups", "said"),
    [
        ([{"column": "age"}], "say where to cut"),
        ([{"column": "mvi"}], "no subgroup"),
        ([{"column": "age", "cut_offs": [60]}, {"column": "age", "cut_offs": [61]}], "stands here twice"),
        ([{"column": "stage", "cut_offs": [1]}], "take cut_offs out"),
        ([{"column": "age", "cut_offs": [65, 50]}], "must rise"),
    ],
)
def test_subgroups_that_cannot_be_formed_are_refused_with_a_cure(
    subgroups: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(StudyError, match=said):
        study(subgroups=subgroups, variables=VARIABLES)
