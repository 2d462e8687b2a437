"""Every family, fitted over uneven hospitals, is the pooled fit: scikit-learn, statsmodels."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from statsmodels.miscmodels.ordinal_model import OrderedModel

from common.errors import HospitalError
from server.methods.family import Problem, Question
from server.methods.problems import Fits, family_of, fit_problems
from tests.hospitals_on_disk import breast_cancer
from tests.server.tables import Tables, standardised, tables
from tests.server.test_cox import in_hospitals as in_survival
from tests.server.test_cox import survival

NO_FOLDS = {"folds": 0, "leave_one_hospital_out": False}
CLOSE = 1e-8


def everything(width: int) -> Problem:
    return Problem("final", tuple(range(width)))


def fits(federation: Tables, view: str, problems: list[Problem], width: int, l1: Any = 0.0, l2: Any = 0.0) -> Fits:
    each = np.zeros(len(problems))
    found = fit_problems(federation, federation.study, view, problems, each + l1, each + l2, width)
    assert found.converged.all()
    return found


@pytest.fixture(scope="module")
def cancer() -> tuple[pd.DataFrame, list[str]]:
    """Breast cancer in five uneven hospitals, one of which has a single class; no five columns are collinear."""
    table = breast_cancer()
    alone = table.index[table["mvi"] == 1][:20]
    table.loc[alone, "hospital"] = "elm"
    columns = ["mean_texture", "mean_smoothness", "mean_symmetry", "texture_error", "worst_texture", "mean_area"]
    return table, columns


@pytest.fixture(scope="module")
def in_hospitals(cancer: tuple[pd.DataFrame, list[str]]) -> tuple[Tables, str]:
    table, columns = cancer
    return tables(table, ["mvi"], columns, validation=NO_FOLDS)


def pooled_logistic(x: np.ndarray, y: pd.Series, **penalty: Any) -> np.ndarray:
    solver = "saga" if penalty.get("l1_ratio") else "newton-cholesky"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(**penalty, solver=solver, tol=1e-13, max_iter=200_000).fit(x, y)
    return np.r_[model.intercept_, model.coef_[0]]


@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_logistic_regression_is_the_pooled_one(
    cancer: tuple[pd.DataFrame, list[str]], in_hospitals: tuple[Tables, str], strength: float
) -> None:
    table, columns = cancer
    found = fits(*in_hospitals, [everything(6)], 6, l2=strength)
    expected = pooled_logistic(standardised(table, columns), table["mvi"], C=1 / strength if strength else np.inf)
    assert np.abs(found.beta[0] - expected).max() < CLOSE


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_lasso_and_elastic_net_have_the_pooled_support_and_coefficients(
    cancer: tuple[pd.DataFrame, list[str]], in_hospitals: tuple[Tables, str], share: float
) -> None:
    table, columns = cancer
    strength = 40.0
    found = fits(*in_hospitals, [everything(6)], 6, l1=share * strength, l2=(1 - share) * strength)
    expected = pooled_logistic(standardised(table, columns), table["mvi"], C=1 / strength, l1_ratio=share)
    assert ((found.beta[0] == 0) == (expected == 0)).all()
    assert (found.beta[0] == 0).any()
    assert np.abs(found.beta[0] - expected).max() < CLOSE


def test_problems_of_several_columns_folds_and_penalties_share_their_exchanges(
    cancer: tuple[pd.DataFrame, list[str]],
) -> None:
    table, columns = cancer
    federation, view = tables(table, ["mvi"], columns, validation={"folds": 3, "leave_one_hospital_out": True})
    problems = [
        Problem(split, chosen) for split in federation.splits for chosen in ((0, 1, 2, 3, 4, 5), (0, 3), (5,))
    ]
    l1 = np.linspace(0.0, 30.0, len(problems))
    together = fits(federation, view, problems, 6, l1=l1, l2=1.0)
    assert len(federation.asked) == together.rounds < 20
    for k in (0, 7, len(problems) - 1):
        alone = fits(federation, view, [problems[k]], 6, l1=l1[k], l2=1.0)
        assert np.abs(together.beta[k] - alone.beta[0]).max() < 1e-10
    left_out = problems.index(Problem("leave_one_hospital_out/cedar", (0, 3)))
    others = table["hospital"] != "cedar"
    x = standardised(table, columns)[others][:, [0, 3]]
    strength = l1[left_out] + 1.0
    expected = pooled_logistic(
        x, table.loc[others, "mvi"], C=1 / strength, l1_ratio=float(l1[left_out] / strength)
    )
    assert np.abs(together.beta[left_out][[0, 1, 4]] - expected).max() < CLOSE
    assert not together.beta[left_out][[2, 3, 5, 6]].any()


@pytest.fixture(scope="module")
def wine() -> tuple[pd.DataFrame, list[str]]:
    """Wine in four uneven hospitals; one has a single class and one lacks one."""
    data = load_wine(as_frame=True)
    columns = ["alcohol", "ash", "magnesium", "hue"]
    table = data.frame[columns].assign(grade=data.target)
    hospital = np.random.default_rng(3).choice(["ash", "beech", "cedar"], len(table), p=[0.2, 0.3, 0.5])
    table["hospital"] = hospital
    table.loc[table.index[table["grade"] == 2][:12], "hospital"] = "dogwood"
    table.loc[(table["hospital"] == "ash") & (table["grade"] == 0), "hospital"] = "beech"
    return table, columns


def graded(wine: tuple[pd.DataFrame, list[str]], kind: str) -> tuple[Tables, str]:
    levels = {"grade": {"type": "category", "levels": ["M0", "M1", "M2"]}}
    return tables(
        wine[0],
        ["grade"],
        wine[1],
        outcome={"kind": "multiclass", "column": "grade"},
        variables=levels,
        model={"kind": kind},
        validation=NO_FOLDS,
    )


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_multinomial_regression_is_the_pooled_one(wine: tuple[pd.DataFrame, list[str]], strength: float) -> None:
    """scikit-learn's softmax has slopes for the reference class too: without a penalty their differences are ours."""
    table, columns = wine
    found = fits(*graded(wine, "multinomial"), [everything(4)], 4, l2=strength)
    x = standardised(table, columns)
    intercepts, slopes = found.beta[0, :2], found.beta[0, 2:].reshape(2, 4)
    if strength:

        def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
            a, w = b[:2], b[2:].reshape(2, 4)
            linear = np.column_stack([np.zeros(len(x)), a + x @ w.T])
            p = np.exp(linear) / np.exp(linear).sum(axis=1, keepdims=True)
            y = table["grade"].to_numpy()
            off = (p - np.eye(3)[y])[:, 1:]
            value = -np.log(p[np.arange(len(y)), y]).sum() + 0.5 * strength * (w**2).sum()
            return float(value), np.r_[off.sum(axis=0), (off.T @ x + strength * w).ravel()]

        independent = minimize(loss, np.zeros(10), jac=True, method="BFGS", options={"gtol": 1e-9}).x
        assert np.abs(found.beta[0] - independent).max() < 1e-7
        return
    model = LogisticRegression(C=np.inf, solver="newton-cg", tol=1e-12, max_iter=5000).fit(x, table["grade"])
    assert np.abs(slopes - (model.coef_[1:] - model.coef_[0])).max() < CLOSE
    assert np.abs(intercepts - (model.intercept_[1:] - model.intercept_[0])).max() < CLOSE


def test_proportional_odds_are_the_pooled_ones(wine: tuple[pd.DataFrame, list[str]]) -> None:
    table, columns = wine
    found = fits(*graded(wine, "ordinal"), [everything(4)], 4)
    model = OrderedModel(table["grade"], standardised(table, columns), distr="logit")
    pooled = model.fit(method="newton", maxiter=200, tol=1e-14, disp=False)
    thresholds = model.transform_threshold_params(pooled.params)[1:-1]
    assert np.abs(found.beta[0, :2] - thresholds).max() < CLOSE
    assert np.abs(found.beta[0, 2:] - pooled.params[:4]).max() < CLOSE
    assert found.likelihood[0] == pytest.approx(pooled.llf, abs=1e-9)


def test_the_best_thresholds_without_columns_follow_from_the_first_answer(
    wine: tuple[pd.DataFrame, list[str]],
) -> None:
    for kind in ("multinomial", "ordinal"):
        federation, view = graded(wine, kind)
        found = fits(federation, view, [Problem("final", ())], 4)
        family = found.family
        first = Question(federation, view, [Problem("final", ())], [family.start], ())
        value, gradient, _ = family.sums(first)
        assert np.abs(family.null(float(value[0]), gradient[0]) - found.beta[0, : family.intercepts]).max() < 1e-9


@pytest.mark.parametrize("kind", ["logistic", "multinomial", "ordinal", "cox", "cox shared"])
def test_coefficients_that_let_few_patients_carry_a_sum_are_refused_by_every_family(
    kind: str, cancer: tuple[pd.DataFrame, list[str]], wine: tuple[pd.DataFrame, list[str]]
) -> None:
    """One chosen β made a logistic Hessian one patient's row; in a Cox model it makes one patient every risk set."""
    if kind == "logistic":
        federation, view = tables(cancer[0], ["mvi"], cancer[1], validation=NO_FOLDS)
        columns = 6
    elif kind.startswith("cox"):
        table, names = survival("gbsg2")
        baseline = {"baseline": "shared"} if kind == "cox shared" else {}
        (federation, view), columns = in_survival(table, names, **baseline), len(names)
    else:
        (federation, view), columns = graded(wine, kind), 4
    problem = [Problem("final", tuple(range(columns)))]
    family = family_of(federation, federation.study, view, problem)
    federation.lower_profile = False
    steep = np.r_[family.start, np.full(family.length(problem[0]) - family.intercepts, 30.0)]
    flat = np.r_[family.start, np.zeros(len(steep) - family.intercepts)]
    assert np.isfinite(family.sums(Question(federation, view, problem, [flat], [0]))[0]).all()
    with pytest.raises(HospitalError, match="its weights rest on"):
        family.sums(Question(federation, view, problem, [steep], ()))
