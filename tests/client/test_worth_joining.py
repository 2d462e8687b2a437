"""A hospital's own models against lifelines and scikit-learn, and two models' figures on the same patients."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from lifelines.datasets import load_rossi
from lifelines.utils import concordance_index
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from client.own_class_models import own_class_probabilities
from client.own_models import best_strength, fit, in_span_of, own_scores, prepared
from client.paired_figures import figure_of, mean_difference, mean_figure
from client.worth_joining import Worth, in_words
from tests.hospitals_on_disk import study


@pytest.fixture(scope="module")
def rossi() -> pd.DataFrame:
    """Columns with a standard deviation of 1, as lifelines penalises them."""
    table = load_rossi()
    predictors = [c for c in table.columns if c not in ("week", "arrest", "wexp")]
    table[predictors] = (table[predictors] - table[predictors].mean()) / table[predictors].std()
    return table


@pytest.mark.parametrize("strength", [1e-6, 30.0])
def test_a_ridge_cox_model_stratified_by_hospital_is_that_of_lifelines(
    rossi: pd.DataFrame, strength: float
) -> None:
    x = rossi.drop(columns=["week", "arrest", "wexp"]).to_numpy()
    own = fit(
        np.column_stack([np.ones(len(x)), x]),
        rossi[["week", "arrest"]].to_numpy(dtype=float),
        rossi["wexp"].to_numpy(),
        strength,
    )
    theirs = CoxPHFitter(penalizer=strength / len(x)).fit(
        rossi, "week", "arrest", strata=["wexp"], fit_options={"precision": 1e-10}
    )
    assert own[1:] == pytest.approx(theirs.params_.to_numpy(), abs=1e-6)


def test_more_columns_than_patients_are_fitted_in_the_axes_of_the_patients() -> None:
    data = load_breast_cancer()
    x = np.column_stack([np.ones(60), (data.data[:60] - data.data.mean(0)) / data.data.std(0)])
    wide = np.column_stack([x, x[:, 1:] ** 2, x[:, 1:] ** 3])  # 90 columns
    training, nowhere = np.arange(60) < 45, np.zeros(60)
    y = data.target[:60].astype(float)
    narrow = in_span_of(training, wide)
    assert narrow.shape[1] <= 46
    found = narrow[~training] @ fit(narrow[training], y[training], nowhere[training], 5.0)
    model = LogisticRegression(C=0.2, tol=1e-10, max_iter=20_000).fit(wide[training, 1:], y[training])
    assert found == pytest.approx(model.decision_function(wide[~training, 1:]), abs=1e-4)


def test_gaps_and_scales_come_from_the_training_rows_alone() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(3, 2, size=(50, 2))
    matrix[[3, 30, 45], 0] = np.nan
    training = np.arange(50) < 40
    before = prepared(matrix[training], matrix)
    other = matrix.copy()
    other[~training] += 100.0
    after = prepared(other[training], other)
    assert np.array_equal(before[training], after[training])
    filled = np.where(np.isnan(matrix), np.nanmean(matrix[training], axis=0), matrix)
    expected = (filled - filled[training].mean(axis=0)) / filled[training].std(axis=0)
    assert before[:, 1:] == pytest.approx(expected, abs=1e-12)


def test_pure_noise_is_penalised_the_most_and_held_out_scores_know_nothing() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(120, 40)), (np.arange(120) % 2).astype(float)
    strength = best_strength(np.column_stack([np.ones(120), x]), y, np.zeros(120))
    assert strength >= 1e3
    folds = [(np.arange(120) % 5 != k, np.arange(120) % 5 == k) for k in range(5)]
    scores = own_scores(study(model={"penalty": "lasso"}), x, y, folds).scores
    assert figure_of(scores, y).low < 0.5


def placement_matrix(score: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """1 where a patient with the outcome scores above one without."""
    return np.greater.outer(score[outcome == 1], score[outcome == 0]).astype(float)


def test_the_difference_of_two_aucs_has_the_error_of_delong() -> None:
    rng = np.random.default_rng(8)
    outcome = (rng.random(70) < 0.4).astype(float)
    first = rng.normal(size=70) + outcome
    second = 0.6 * first + rng.normal(size=70)
    both = [placement_matrix(s, outcome) for s in (first, second)]
    with_it, without = (np.cov([m.mean(axis=axis) for m in both]) for axis in (1, 0))
    s = with_it / both[0].shape[0] + without / both[0].shape[1]
    error = np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    found = mean_difference([(first, outcome)], [(second, outcome)])
    assert found.value == pytest.approx(roc_auc_score(outcome, first) - roc_auc_score(outcome, second), abs=1e-12)
    assert found.high - found.value == pytest.approx(1.959963984540054 * error, abs=1e-12)
    assert figure_of(first, outcome).standard_error == pytest.approx(np.sqrt(s[0, 0]), abs=1e-12)


def test_the_difference_of_two_concordances_has_about_the_error_of_the_jackknife(rossi: pd.DataFrame) -> None:
    rows = rossi.iloc[::3].reset_index(drop=True)
    outcome = rows[["week", "arrest"]].to_numpy(dtype=float)
    first, second = rows["prio"].to_numpy() - rows["age"].to_numpy(), rows["prio"].to_numpy()

    def difference(kept: np.ndarray) -> float:
        t, e = outcome[kept, 0], outcome[kept, 1]
        return float(concordance_index(t, -first[kept], e) - concordance_index(t, -second[kept], e))

    everybody = np.ones(len(rows), dtype=bool)
    found = mean_difference([(first, outcome)], [(second, outcome)])
    assert found.value == pytest.approx(difference(everybody), abs=1e-12)
    without = [difference(everybody & (np.arange(len(rows)) != k)) for k in range(len(rows))]
    jackknife = np.sqrt((len(rows) - 1) * np.var(without))
    assert (found.high - found.value) / 1.959963984540054 == pytest.approx(jackknife, rel=0.05)


def of_three_classes() -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Two columns, three classes, and probabilities by some model."""
    rng = np.random.default_rng(12)
    outcome = rng.integers(0, 3, 120).astype(float)
    x = rng.normal(size=(120, 2)) + np.array([[0, 0], [1, 0], [0, 1.5]])[outcome.astype(int)]
    fitted = LogisticRegression().fit(x[:, :1], outcome)
    return x, outcome, pd.DataFrame(fitted.predict_proba(x[:, :1]))


def test_of_several_classes_it_is_the_mean_auc_with_the_error_of_the_jackknife() -> None:
    x, outcome, risks = of_three_classes()
    others = pd.DataFrame(LogisticRegression().fit(x, outcome).predict_proba(x))
    first, second = ([(r[c].to_numpy(), (outcome == c).astype(float)) for c in range(3)] for r in (others, risks))

    def mean_auc(chosen: pd.DataFrame, kept: np.ndarray) -> float:
        return float(roc_auc_score(outcome[kept], chosen[kept], multi_class="ovr"))

    everybody = np.ones(120, dtype=bool)
    found, difference = mean_figure(first), mean_difference(first, second)
    assert found.value == pytest.approx(mean_auc(others, everybody), abs=1e-12)
    assert difference.value == pytest.approx(mean_auc(others, everybody) - mean_auc(risks, everybody), abs=1e-12)
    left = [np.arange(120) != k for k in range(120)]
    one = np.array([mean_auc(others, kept) for kept in left])
    apart = np.array([mean_auc(others, kept) - mean_auc(risks, kept) for kept in left])
    assert found.standard_error == pytest.approx(np.sqrt(119 * one.var()), rel=0.03)
    assert (difference.high - difference.value) / 1.96 == pytest.approx(np.sqrt(119 * apart.var()), rel=0.03)


@pytest.mark.parametrize(("kind", "level"), [("multinomial", "b"), ("ordinal", "b"), ("ordinal", "c")])
def test_the_own_model_of_classes_is_multinomial_ridge_regression(kind: str, level: str) -> None:
    x, outcome, _ = of_three_classes()
    chosen = study(
        outcome={"kind": "multiclass", "column": "type"},
        variables={"type": {"type": "category", "levels": ["a", "b", "c"]}},
        model={"kind": kind, "penalty": "ridge", "strength": 2.0},
    )
    training = np.arange(120) % 3 > 0
    found = own_class_probabilities(chosen, x, outcome, [(training, ~training), (~training, training)]).of(level)
    scaled = (x - x[training].mean(axis=0)) / x[training].std(axis=0)
    fitted = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(scaled[training], outcome[training])
    risks = fitted.predict_proba(scaled[~training])
    expected = risks[:, 1] if kind == "multinomial" else risks[:, ["a", "b", "c"].index(level) :].sum(axis=1)
    assert found[~training] == pytest.approx(expected, abs=1e-4)


def test_a_class_that_the_training_patients_lack_is_not_expected() -> None:
    x, outcome, _ = of_three_classes()
    chosen = study(
        outcome={"kind": "multiclass", "column": "type"},
        variables={"type": {"type": "category", "levels": ["a", "b", "c"]}},
        model={"kind": "multinomial", "penalty": "lasso", "strength": "cross-validated"},
    )
    training = outcome < 2
    found = own_class_probabilities(chosen, x, outcome, [(training, ~training)])
    assert found.penalty == "ridge, λ by cross-validation"
    assert found.of("c")[~training].max() == 0
    assert (found.of("a") + found.of("b"))[~training] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("gain", "said"), [(1.5, "**Yes:**"), (-1.5, "**Not for your own"), (0.0, "**Not to be told")]
)
def test_the_answer_follows_the_interval(gain: float, said: str) -> None:
    rng = np.random.default_rng(1)
    outcome = (np.arange(200) % 2).astype(float)
    federated = rng.normal(size=200) + (1 + max(gain, 0)) * outcome
    alone = rng.normal(size=200) + (1 + max(-gain, 0)) * outcome
    found = Worth(
        figure="AUC",
        patients=200,
        events=100,
        federated=figure_of(federated, outcome),
        alone=figure_of(alone, outcome),
        difference=mean_difference([(federated, outcome)], [(alone, outcome)]),
        without_you=None,
        columns=3,
        penalty="ridge, λ = 1",
    )
    assert said in in_words(found, "north")


def test_a_hospital_without_an_answer_is_told_why() -> None:
    said = in_words("fewer than 10 patients here have the outcome, or have it not", "north")
    assert "There is no answer: fewer than 10 patients here" in said
