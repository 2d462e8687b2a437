"""Newton's method finds the optimum of problems whose answer is known."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from server.methods.newton import Optimum, Sums, climb, maximise

Evaluate = Callable[[list[np.ndarray], list[int]], Sums]


def climbed(evaluate: Evaluate, *l2: np.ndarray) -> Optimum:
    """From zero, a problem for every vector of ridge penalties."""
    nothing = [np.zeros(len(penalty)) for penalty in l2]
    return climb(evaluate, nothing, nothing, l2)


def logistic_problem(x: np.ndarray, y: np.ndarray) -> Evaluate:
    design = np.column_stack([np.ones(len(x)), x])

    def evaluate(beta: list[np.ndarray], problems: list[int]) -> Sums:
        linear = np.array(beta) @ design.T
        p = 1 / (1 + np.exp(-linear))
        value = (y * linear - np.logaddexp(0, linear)).sum(axis=1)
        hessian = np.einsum("kn,ni,nj->kij", p * (1 - p), design, design)
        return value, (y - p) @ design, hessian

    return evaluate


def test_the_optimum_is_scikit_learns() -> None:
    x, y = make_classification(300, 6, n_informative=4, class_sep=0.7, random_state=1)
    found = climbed(logistic_problem(x, y), np.r_[0.0, np.full(6, 2.0)])
    expected = LogisticRegression(C=0.5, tol=1e-14, solver="newton-cholesky", max_iter=1000).fit(x, y)
    assert found.converged.all()
    assert found.beta[0][1:] == pytest.approx(expected.coef_[0], abs=1e-9)
    assert found.beta[0][0] == pytest.approx(expected.intercept_[0], abs=1e-9)


def test_a_point_that_is_not_allowed_is_never_asked() -> None:
    """As for thresholds that would be out of order."""
    x, y = make_classification(200, 5, n_informative=5, n_redundant=0, random_state=2)
    seen: list[float] = []

    def watched(beta: list[np.ndarray], problems: list[int]) -> Sums:
        seen.extend(float(np.abs(b).max()) for b in beta)
        return logistic_problem(x, y)(beta, problems)

    unhindered = climbed(watched, np.zeros(6))
    largest, asked = max(seen), len(seen)
    nothing = [np.zeros(6)]
    limit = 0.3 * float(np.abs(unhindered.beta[0]).max())
    found = climb(watched, nothing, nothing, nothing, lambda beta: bool(np.abs(beta).max() < limit))
    assert max(seen[asked:]) < limit < largest
    assert np.abs(found.beta[0]).max() < limit


def test_a_full_newton_step_that_overshoots_is_halved() -> None:
    """log cosh is flat far out: from 0 with an offset of 3, an unhalved Newton step diverges."""

    def evaluate(beta: list[np.ndarray], problems: list[int]) -> Sums:
        z = np.array(beta) - 3.0
        return -np.log(np.cosh(z)).sum(axis=1), -np.tanh(z), (1 / np.cosh(z) ** 2)[:, :, None]

    found = climbed(evaluate, np.zeros(1))
    assert found.beta[0][0] == pytest.approx(3.0, abs=1e-9)


def test_perfect_separation_is_noticed() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    found = climbed(logistic_problem(x, (x[:, 0] > 0).astype(float)), np.zeros(2))
    assert found.separated.all()
    assert not found.converged.any()


def test_a_column_that_is_the_sum_of_others_is_noticed() -> None:
    x, y = make_classification(200, 4, n_informative=4, n_redundant=0, random_state=3)
    x = np.column_stack([x, x[:, 0] + x[:, 1]])
    found = climbed(logistic_problem(x, y), np.zeros(6))
    assert found.rank_lost[0] == 1


def test_problems_that_have_converged_are_not_asked_again() -> None:
    asked: list[list[int]] = []

    def evaluate(beta: np.ndarray, problems: list[int]) -> Sums:
        asked.append(problems)
        goal = np.array([0.0 if k == 0 else 3.0 for k in problems])[:, None]
        z = beta - goal
        return -np.log(np.cosh(z)).sum(axis=1), -np.tanh(z), (1 / np.cosh(z) ** 2)[:, :, None]

    found = maximise(evaluate, 2, 1)
    assert asked[0] == [0, 1]
    assert asked[-1] == [1]
    assert np.concatenate(found.beta) == pytest.approx([0.0, 3.0], abs=1e-9)
