"""Features are chosen inside every training set, as the pooled rows would choose them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.datasets import load_rossi
from scipy.stats import chi2, mannwhitneyu, spearmanr
from sklearn.datasets import load_wine
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from statsmodels.duration.hazard_regression import PHReg

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.methods.redundancy import most_relevant, pearson, spearman, without_the_alike
from server.methods.screening import screen
from server.methods.selection import most_columns, select_columns
from server.progress import Silence
from tests.hospitals_on_disk import breast_cancer, write_hospitals
from tests.hospitals_on_disk import study as asked_of
from tests.server.selecting import SIZES, Conversation, converse
from tests.server.test_selection_in_studies import FOLDS, noise


@pytest.fixture(scope="module")
def cancer(tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    """Breast cancer in four uneven hospitals; one has patients of a single class."""
    table = breast_cancer()
    rng = np.random.default_rng(1)
    benign = table.index[(table["mvi"] == 1) & (rng.random(len(table)) < 0.15)]
    table.loc[benign, "hospital"] = "elm"
    study = asked_of(validation={"folds": 3, "leave_one_hospital_out": True})
    return converse(tmp_path_factory.mktemp("cancer"), table, study)


def test_t_is_the_pooled_f_in_every_training_set(cancer: Conversation) -> None:
    found = screen(cancer.federation, cancer.study, cancer.prepared, "t")
    for k, split in enumerate(cancer.federation.splits):
        statistic, p_value = f_classif(cancer.training(split), cancer.outcome(split))
        np.testing.assert_allclose(found.statistic[k], statistic, rtol=1e-9)
        np.testing.assert_allclose(found.p_value[k], p_value, rtol=1e-6, atol=1e-300)


def test_with_three_classes_it_is_the_pooled_f_too(tmp_path: Path) -> None:
    wine = load_wine(as_frame=True)
    table = wine.frame.rename(columns={"target": "mvi"}).assign(id=[f"P{i:03d}" for i in range(178)])
    table["mvi"] = table["mvi"].map({0: "HCC", 1: "ICC", 2: "metastasis"})
    table["hospital"] = np.where(table["mvi"] == "HCC", "alder", np.resize(np.array([*SIZES]), 178))
    study = asked_of(
        outcome={"kind": "multiclass", "column": "mvi"},
        variables={"mvi": {"type": "category", "levels": ["HCC", "ICC", "metastasis"]}},
        model={"kind": "multinomial"},
        validation={"folds": 0, "leave_one_hospital_out": False},
    )
    talk = converse(tmp_path, table, study)
    statistic, p_value = f_classif(table[list(talk.prepared.columns)], table["mvi"])
    found = screen(talk.federation, study, talk.prepared, "t")
    np.testing.assert_allclose(found.statistic[0], statistic, rtol=1e-9)
    np.testing.assert_allclose(found.p_value[0], p_value, rtol=1e-6)
    # A multinomial model's second derivatives are those of two linear predictors.
    assert most_columns(study, talk.room, talk.federation.splits).tolist() == [(178 // 3 - 1) // 2]


def test_with_times_to_an_event_it_is_the_score_test_of_a_cox_model_stratified_by_hospital(tmp_path: Path) -> None:
    table = (
        load_rossi().astype(float).rename(columns={"week": "days"}).assign(id=[f"P{i:03d}" for i in range(432)])
    )
    names = ["age", "prio", "fin", "paro"]
    table = table[["id", "days", "arrest", *names]].assign(
        hospital=np.resize(np.array([*SIZES, *SIZES, "elm"]), 432)
    )
    study = asked_of(
        outcome={"kind": "survival", "time": "days", "event": "arrest"},
        variables={"days": {"time_zero": "release"}},
        model={"kind": "cox"},
        validation={"folds": 0, "leave_one_hospital_out": True},
    )
    talk = converse(tmp_path, table, study, outcome=("days", "arrest"))
    found = screen(talk.federation, study, talk.prepared, "cox")
    for k, split in enumerate(talk.federation.splits):
        rows = table[table["hospital"] != split.rpartition("/")[2]]
        x = rows[list(talk.prepared.columns)]
        z = ((x - x.mean()) / x.std(ddof=0)).to_numpy()
        model = PHReg(rows["days"], z, status=rows["arrest"], strata=rows["hospital"], ties="breslow")
        expected = model.score(np.zeros(4)) ** 2 / -np.diag(model.hessian(np.zeros(4)))
        np.testing.assert_allclose(found.statistic[k], expected, rtol=1e-9)
        np.testing.assert_allclose(found.p_value[k], chi2.sf(expected, 1), rtol=1e-9)


def test_rank_sums_hold_the_pooled_auc_within_their_certificate_and_order_features_alike(
    cancer: Conversation,
) -> None:
    found = screen(cancer.federation, cancer.study, cancer.prepared, "mann-whitney")
    for k, split in enumerate(cancer.federation.splits[:2]):
        x, y = cancer.training(split), cancer.outcome(split)
        u = mannwhitneyu(x[y == 1], x[y == 0], method="asymptotic", use_continuity=False)
        true = u.statistic / ((y == 1).sum() * (y == 0).sum())
        pairs = (y == 1).sum() * (y == 0).sum()
        about = 0.5 + np.sign(true - 0.5) * np.sqrt(found.statistic[k] * (len(y) + 1) / (12 * pairs))
        assert (np.abs(about - true) <= found.certificate[k] + 0.003).all()  # ties shrink the variance a little
        assert found.certificate[k].max() < 0.05
        assert spearmanr(found.statistic[k], np.abs(true - 0.5)).statistic > 0.995


def test_spearman_is_the_pooled_one_within_its_certificate(cancer: Conversation) -> None:
    every = tuple(range(len(cancer.prepared.columns)))
    few = (3, 1, 7)
    columns = [every if k % 2 == 0 else few for k in range(len(cancer.federation.splits))]
    for k, found in enumerate(spearman(cancer.federation, cancer.prepared, columns)):
        rows = cancer.training(cancer.federation.splits[k]).to_numpy()[:, list(columns[k])]
        away = np.abs(found.rho - spearmanr(rows).statistic)
        assert (away <= found.certificate + 1e-12).all()
        assert away.max() < 0.004
        assert np.median(away) < 1e-3


def test_correlations_and_the_order_of_mrmr_are_the_pooled_ones(cancer: Conversation) -> None:
    every = tuple(range(len(cancer.prepared.columns)))
    found = pearson(cancer.federation, cancer.prepared, [every] * len(cancer.federation.splits))
    relevance = screen(cancer.federation, cancer.study, cancer.prepared, "t").statistic
    for k, split in enumerate(cancer.federation.splits):
        rows, y = cancer.training(split), cancer.outcome(split)
        correlation = rows.corr()
        np.testing.assert_allclose(found[k], correlation, atol=1e-10)
        expected = _mrmr_by_the_book(pd.Series(f_classif(rows, y)[0], index=rows.columns), correlation, 12)
        assert [rows.columns[j] for j in most_relevant(relevance[k], found[k], 12)] == expected


def _mrmr_by_the_book(relevance: pd.Series, correlation: pd.DataFrame, number: int) -> list[str]:
    chosen: list[str] = []
    while len(chosen) < number:
        rest = [name for name in relevance.index if name not in chosen]
        gain = {n: relevance[n] / (correlation.loc[n, chosen].abs().mean() if chosen else 1.0) for n in rest}
        chosen.append(max(gain, key=lambda name: gain[name]))
    return chosen


def test_on_noise_a_study_that_chooses_features_inside_its_folds_predicts_nothing(tmp_path: Path) -> None:
    table = noise()
    sites = write_hospitals(tmp_path / "sites", table, ["mvi"], [c for c in table.columns if c.startswith("f")])
    study = asked_of(validation=FOLDS, selection={"keep": 10}, privacy={"secure_sum": False})
    simulate(Simulation(study, find_hospitals(sites), tmp_path / "out"), Silence())
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    # Chosen on all rows, the same ten features look like a model: what these patients' own data would say.
    rows, outcome = table[[c for c in table.columns if c.startswith("f")]], table["mvi"]
    best = rows.columns[np.argsort(-f_classif(rows, outcome)[0])[:10]]
    assert set(results["selection"]["final"]) == set(best)
    outside = cross_val_predict(LogisticRegression(), rows[best], outcome, cv=5, method="predict_proba")[:, 1]
    assert roc_auc_score(outcome, outside) > 0.75
    inside = results["performance"]["kfold"]["overall"]["auc"]
    assert inside["low"] < 0.5 < inside["high"]
    assert inside["value"] < 0.6
    coefficients = results["model"]["by_split"]["kfold/0/3"]["coefficients"]
    allowed = results["selection"]["allowed"]["kfold/0/3"]  # of a fold of 22 patients, six columns
    assert sum(value != 0 for value in coefficients.values()) == min(10, allowed)


def test_of_two_alike_features_the_one_that_tells_less_goes() -> None:
    correlation = np.array([[1, 0.95, 0.2], [0.95, 1, -0.97], [0.2, -0.97, 1]])
    assert without_the_alike(np.array([3.0, 2.0, 1.0]), correlation, 0.9).tolist() == [True, False, True]
    assert without_the_alike(np.array([1.0, 2.0, 1.5]), correlation, 0.9).tolist() == [False, True, False]


def test_steps_choose_what_the_pooled_rows_of_the_training_set_would_choose(cancer: Conversation) -> None:
    selected = cancer.selected(largest_missing_share=0.2, screening="t", keep=15, redundancy=0.88, mrmr=6)
    assert [step.name for step in selected.steps] == [
        "measured",
        "varying",
        "known",
        "screening",
        "redundancy",
        "mrmr",
    ]
    for k, split in enumerate(cancer.federation.splits):
        rows, y = cancer.training(split), cancer.outcome(split)
        relevance = pd.Series(f_classif(rows, y)[0], index=rows.columns)
        strong = relevance.nlargest(min(15, selected.allowed[k])).index
        rho = rows[strong].corr("spearman").abs()
        kept: list[str] = []
        for name in relevance[strong].sort_values(ascending=False).index:
            if not kept or rho.loc[name, kept].max() <= 0.88:
                kept.append(name)
        expected = _mrmr_by_the_book(relevance[kept], rows[kept].corr(), min(6, len(kept)))
        assert {selected.columns[j] for j in np.flatnonzero(selected.active[k])} == set(expected)
        assert [int(step.left[k]) for step in selected.steps] == [
            30,
            30,
            30,
            len(strong),
            len(kept),
            len(expected),
        ]


def test_screening_by_p_value_leaves_the_features_below_it(cancer: Conversation) -> None:
    selected = cancer.selected(screening="t", p_value=1e-40)
    for k, split in enumerate(cancer.federation.splits):
        _, p_value = f_classif(cancer.training(split), cancer.outcome(split))
        expected = min((p_value < 1e-40).sum(), selected.allowed[k])
        assert selected.active[k].sum() == expected
        assert p_value[selected.active[k]].max() < 1e-40
    assert cancer.selected(p_value=1e-300).active.sum(axis=1).tolist() == [1] * len(cancer.federation.splits)


def test_a_study_that_says_nothing_keeps_all_features_that_its_patients_allow(cancer: Conversation) -> None:
    selected = select_columns(cancer.federation, cancer.study, cancer.prepared, cancer.room, 30)
    np.testing.assert_array_equal(selected.active, cancer.prepared.used)
    assert [step.name for step in selected.steps] == ["measured", "varying"]
    assert not selected.notes


def test_where_hospitals_are_left_out_the_smallest_one_says_how_many_columns_a_product_may_cover(
    cancer: Conversation,
) -> None:
    smallest = cancer.table["hospital"].value_counts().min()
    selected = cancer.selected()
    assert selected.allowed.max() == smallest // 3 - 1
    assert (selected.active.sum(axis=1) == np.minimum(30, selected.allowed)).all()
