"""What a study says of its harmonisation equals scipy and statsmodels on pooled held-out rows, fold by fold."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from neuroHarmonize import harmonizationApply, harmonizationLearn
from scipy import stats
from scipy.special import ndtr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import UNMASKED, study, write_hospitals

FEATURES = [f"f{j:02d}" for j in range(30)]
COVARIATES, FOLDS, COLUMNS = ["age", "sex"], 5, 13
Studied = tuple["Pooled", dict[str, Any]]
RETESTED = {"alder": 14, "birch": 11, "cedar": 20, "dogwood": 9}


class Pooled:
    """The pooled table, and every fold's held-out rows raw and harmonised by neuroHarmonize without them."""

    def __init__(self, table: pd.DataFrame, covariates: list[str], folder: Path) -> None:
        self.table, self.covariates = table, table[covariates].to_numpy(float)
        self.hospital, self.names = table["hospital"].to_numpy(), sorted(table["hospital"].unique())
        own = pd.concat([pd.read_csv(p) for p in (folder / "out" / "sites").glob("*/predictions.csv")])
        fold = own[own["scheme"] == "kfold"].set_index("id")["fold"].astype(int)
        self.fold = fold.loc[table["id"]].to_numpy()
        sites = table[["hospital", *covariates]].rename(columns={"hospital": "SITE"})
        values = table[FEATURES].to_numpy()
        self.before = [values] * FOLDS
        self.after = []
        for k in range(FOLDS):
            training = self.fold != k
            model, _ = harmonizationLearn(values[training], sites[training].reset_index(drop=True))
            self.after.append(harmonizationApply(values, sites, model))

    def sides(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self.before, self.after

    def groups(self, values: np.ndarray, k: int, labels: np.ndarray | None = None) -> list[np.ndarray]:
        """Held-out rows of a fold by hospital, or by other labels."""
        labels = self.hospital if labels is None else labels
        return [values[(self.fold == k) & (labels == name)] for name in np.unique(labels[self.fold == k])]


def omega_squared(f: np.ndarray, patients: int, between: int, left: int) -> np.ndarray:
    return between * (f - 1.0) / (between * f + left + 1.0)


def make_table() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    sizes = {"alder": 43, "birch": 52, "cedar": 60, "dogwood": 65}
    n = sum(sizes.values())
    table = pd.DataFrame(
        {"id": [f"P{i:03d}" for i in range(n)], "hospital": np.repeat(list(sizes), [*sizes.values()])}
    )
    table["age"], table["sex"] = rng.integers(40, 85, n), rng.integers(0, 2, n)
    table["scanner"] = np.where(table["hospital"] == "alder", "one", rng.choice(["one", "two"], n))
    table["mvi"] = rng.integers(0, 2, n)
    code = table["hospital"].astype("category").cat.codes.to_numpy()
    shift, scale = rng.normal(0, 0.8, (4, 30)), rng.uniform(0.7, 1.5, (4, 30))
    effect = table[["age", "sex", "mvi"]].to_numpy() @ (rng.normal(0, 0.05, (3, 30)) * [[1], [8], [12]])
    noise = rng.multivariate_normal(np.zeros(30), 0.6 * np.eye(30) + 0.4, n)
    table[FEATURES] = 10 ** rng.uniform(-2, 4, 30) * (8 + effect + shift[code] + scale[code] * noise)
    return table


def run(folder: Path, table: pd.DataFrame, retest: pd.DataFrame | None = None, **changes: Any) -> dict[str, Any]:
    sites = write_hospitals(folder / "sites", table, [*COVARIATES, "scanner", "mvi"], FEATURES)
    if retest is not None:
        for name, rows in retest[["id", "hospital", *FEATURES]].groupby("hospital"):
            rows.drop(columns="hospital").to_csv(sites / str(name) / "features_retest.csv", index=False)
    simulate(
        Simulation(study(**({"privacy": UNMASKED} | changes)), find_hospitals(sites), folder / "out"), Silence()
    )
    results: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return results


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """Nothing is preserved: analyses of variance without covariates."""
    table, folder = make_table(), tmp_path_factory.mktemp("plain")
    results = run(folder, table, harmonisation={"method": "combat", "preserve": []})
    return Pooled(table, [], folder), results


@pytest.fixture(scope="module")
def second() -> pd.DataFrame:
    """A second measurement of some patients of every hospital; of nine only at one of them."""
    rng = np.random.default_rng(12)
    table = make_table()
    again = pd.concat([table[table["hospital"] == name].iloc[::-1].head(k) for name, k in RETESTED.items()])
    spread = table[FEATURES].std().to_numpy()
    again[FEATURES] += rng.normal(0, 0.2, (len(again), 30)) * spread
    return again


@pytest.fixture(scope="module")
def preserving(tmp_path_factory: pytest.TempPathFactory, second: pd.DataFrame) -> Studied:
    """Age and sex are preserved, and some patients were measured twice."""
    table, folder = make_table(), tmp_path_factory.mktemp("preserving")
    results = run(folder, table, second, harmonisation={"method": "combat", "preserve": COVARIATES})
    return Pooled(table, COVARIATES, folder), results


def by_feature(results: dict[str, Any], figure: str) -> np.ndarray:
    """Before and after × features."""
    return np.array([results["harmonisation"]["features"][name][figure] for name in FEATURES]).T


def test_anova_and_brown_forsythe_equal_scipy(plain: Studied) -> None:
    pooled, results = plain
    for side, (when, values) in enumerate(zip(("before", "after"), pooled.sides(), strict=True)):
        for what in ("location", "spread"):
            omega, shares = [], []
            for k in range(FOLDS):
                groups = pooled.groups(values[k], k)
                test = (
                    stats.f_oneway(*groups)
                    if what == "location"
                    else stats.levene(*groups, center="median", axis=0)
                )
                n = sum(map(len, groups))
                omega.append(omega_squared(test.statistic, n, 3, n - 4))
                shares.append(np.mean(test.pvalue < 0.05))
            np.testing.assert_allclose(
                by_feature(results, what)[side], np.mean(omega, axis=0), rtol=1e-8, atol=1e-10
            )
            found = results["harmonisation"][when][what]
            assert found["share"] == pytest.approx(np.mean(shares), abs=1e-12)
            assert found["omega_squared"] == pytest.approx(np.mean(omega), abs=1e-10)
            assert sum(found["histogram"]["features"]) == len(FEATURES)


def test_hospital_and_scanner_together_equal_scipy(plain: Studied) -> None:
    pooled, results = plain
    both = (pooled.table["hospital"] + pooled.table["scanner"]).to_numpy()
    for when, values in zip(("before", "after"), pooled.sides(), strict=True):
        omega = []
        for k in range(FOLDS):
            groups = pooled.groups(values[k], k, both)
            n = sum(map(len, groups))
            f = stats.f_oneway(*groups).statistic
            omega.append(omega_squared(f, n, len(groups) - 1, n - len(groups)).mean())
        found = results["harmonisation"][when]["location_with_scanner"]["omega_squared"]
        assert found == pytest.approx(np.mean(omega), abs=1e-10)


def test_kruskal_equals_scipy_on_the_binned_rows(plain: Studied) -> None:
    pooled, results = plain
    for side, (when, values) in enumerate(zip(("before", "after"), pooled.sides(), strict=True)):
        h, shares = [], []
        for k in range(FOLDS):
            own = values[k][pooled.fold == k]
            binned = np.minimum(np.floor(4 * ndtr((own - own.mean(axis=0)) / own.std(axis=0))), 3)
            labels = pooled.hospital[pooled.fold == k]
            test = stats.kruskal(*(binned[labels == name] for name in pooled.names))
            h.append(test.statistic)
            shares.append(np.mean(test.pvalue < 0.05))
        np.testing.assert_allclose(by_feature(results, "kruskal")[side], np.mean(h, axis=0), rtol=1e-9)
        assert results["harmonisation"][when]["kruskal"]["share"] == pytest.approx(np.mean(shares), abs=1e-12)


def test_preserved_covariates_are_adjusted_for_as_statsmodels_does(preserving: Studied) -> None:
    pooled, results = preserving
    assert results["harmonisation"]["adjusted_for"] == COVARIATES
    dummies = (pooled.hospital[:, None] == np.array(pooled.names[1:])).astype(float)
    for side, values in enumerate(pooled.sides()):
        for j in (0, 7, 21):
            omega = []
            for k in range(FOLDS):
                own = pooled.fold == k
                y, c = values[k][own, j], pooled.covariates[own]
                small = sm.OLS(y, sm.add_constant(c)).fit()
                f = sm.OLS(y, sm.add_constant(np.hstack([c, dummies[own]]))).fit().compare_f_test(small)[0]
                omega.append(omega_squared(f, len(y), 3, len(y) - 4 - 2))
            assert by_feature(results, "location")[side, j] == pytest.approx(np.mean(omega), abs=1e-9)


def test_the_t_of_covariates_and_outcome_equals_statsmodels_with_a_mean_a_hospital_and_fold(
    preserving: Studied,
) -> None:
    pooled, results = preserving
    labels = np.array([f"{h}{k}" for h, k in zip(pooled.hospital, pooled.fold, strict=True)])
    dummies = (labels[:, None] == np.unique(labels)).astype(float)
    design = np.hstack([dummies, pooled.covariates, pooled.table[["mvi"]].to_numpy(float)])
    for side, values in enumerate(pooled.sides()):
        held_out = np.array([values[k][i] for i, k in enumerate(pooled.fold)])
        for j, name in enumerate(FEATURES):
            expected = sm.OLS(held_out[:, j], design).fit().tvalues[-3:]
            own = results["harmonisation"]["features"][name]["t"]
            found = [own[column][side] for column in ("age", "sex", "mvi")]
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    assert 0.9 < results["harmonisation"]["biology_kept"] < 1.1


def fold_columns(pooled: Pooled, k: int) -> np.ndarray:
    """The largest F before harmonisation over the other folds."""
    f = sum(stats.f_oneway(*pooled.groups(pooled.before[i], i)).statistic for i in range(FOLDS) if i != k)
    return np.sort(np.argsort(-f, kind="stable")[:COLUMNS])


def test_the_classifier_is_fishers_discriminant_on_training_rows_judged_on_held_out_ones(plain: Studied) -> None:
    pooled, results = plain
    for when, values in zip(("before", "after"), pooled.sides(), strict=True):
        normal, ranked, weights = [], [], []
        for k in range(FOLDS):
            x, training = values[k][:, fold_columns(pooled, k)], pooled.fold != k
            for name in pooled.names:
                own = pooled.hospital == name
                w = np.linalg.solve(
                    np.cov(x[training].T, bias=True),
                    x[training & own].mean(axis=0) - x[training & ~own].mean(axis=0),
                )
                a, b = x[~training & own] @ w, x[~training & ~own] @ w
                weights.append((~training & own).sum())
                normal.append(ndtr((a.mean() - b.mean()) / np.sqrt(a.var() + b.var())))
                tool = LinearDiscriminantAnalysis().fit(x[training], own[training])
                ranked.append(roc_auc_score(own[~training], tool.decision_function(x[~training])))
        found = results["harmonisation"][when]["classifier"]
        assert found["columns"] == COLUMNS
        assert found["auc"] == pytest.approx(np.average(normal, weights=weights), abs=1e-8)
        assert found["auc"] == pytest.approx(np.average(ranked, weights=weights), abs=0.03)
    assert results["harmonisation"]["before"]["classifier"]["auc"] > found["by_chance_high"] > 0.5
    assert results["harmonisation"]["covariates_only"] is None


def test_concordance_of_test_and_retest_equals_lins_formula(preserving: Studied, second: pd.DataFrame) -> None:
    """By the final model; the second measurement takes no part in it, and nine pairs stay at home."""
    pooled, results = preserving
    sites = pooled.table[["hospital", *COVARIATES]].rename(columns={"hospital": "SITE"})
    again = second[["hospital", *COVARIATES]].rename(columns={"hospital": "SITE"}).reset_index(drop=True)
    model, first_after = harmonizationLearn(pooled.table[FEATURES].to_numpy(), sites)
    second_after = harmonizationApply(second[FEATURES].to_numpy(), again, model)
    row_of = {patient: i for i, patient in enumerate(pooled.table["id"])}
    rows = [row_of[patient] for patient in second["id"]]
    sent = (second["hospital"] != "dogwood").to_numpy()
    pairs = (
        (pooled.table[FEATURES].to_numpy()[rows], second[FEATURES].to_numpy()),
        (first_after[rows], second_after),
    )
    for side, (x, y) in enumerate(pairs):
        x, y = x[sent], y[sent]
        cov = ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).mean(axis=0)
        expected = 2 * cov / (x.var(axis=0) + y.var(axis=0) + (x.mean(axis=0) - y.mean(axis=0)) ** 2)
        np.testing.assert_allclose(by_feature(results, "concordance")[side], expected, rtol=1e-8)
    assert results["harmonisation"]["retest"]["pairs"] == 45
    assert results["harmonisation"]["retest"]["hospitals"] == 3


def test_pairs_of_two_hospitals_are_not_asked_for(tmp_path: Path, second: pd.DataFrame) -> None:
    few = second[second["hospital"].isin(["alder", "cedar"])]
    results = run(tmp_path, make_table(), few, harmonisation={"method": "combat", "preserve": []})
    assert results["harmonisation"]["retest"] is None
    assert "retest" not in {entry["query"] for entry in results["exchanges"]["asked"]}


def test_six_questions_about_totals_over_folds_and_the_advice_is_the_first_note(preserving: Studied) -> None:
    _, results = preserving
    judging = {"hospital_effect", "rank_counts", "rank_sums", "classifier_sums", "classifier_auc", "retest"}
    asked = [entry for entry in results["exchanges"]["asked"] if entry["query"] in judging]
    assert sorted(entry["query"] for entry in asked) == sorted(judging)
    assert {entry["class"] for entry in asked} == {"masked total"}
    assert results["harmonisation"]["advice"]["verdict"] == "help"
    assert results["notes"][0] == results["harmonisation"]["advice"]["sentence"]


def test_folds_of_fewer_than_thirty_patients_are_not_judged(tmp_path: Path) -> None:
    few = make_table().groupby("hospital").head(29)
    results = run(tmp_path, few, harmonisation={"method": "combat", "preserve": []})
    assert results["harmonisation"]["advice"]["verdict"] == "not judged"
    assert "sums over fewer than 30" in results["notes"][0]
    assert "hospital_effect" not in {entry["query"] for entry in results["exchanges"]["asked"]}


@pytest.mark.parametrize(
    "harmonisation",
    [
        {"method": "covbat", "preserve": ["age"]},
        pytest.param(
            {"method": "combat", "preserve": ["age"], "transform": "signed-log", "batch": "hospital+scanner"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"method": "combat", "preserve": ["age"], "smooth": {"age": {"knots": [40, 60, 85]}}},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_variant_is_judged(tmp_path: Path, second: pd.DataFrame, harmonisation: dict[str, Any]) -> None:
    results = run(tmp_path, make_table(), second, harmonisation=harmonisation)
    assert results["harmonisation"]["advice"]["verdict"] == "help"
    assert results["harmonisation"]["retest"]["after"] > 0.8


def test_without_harmonisation_nothing_is_judged(tmp_path: Path) -> None:
    assert run(tmp_path, make_table())["harmonisation"] is None
