"""The quadratic with corners is minimised exactly, also where columns nearly coincide."""

import numpy as np
import pytest

from server.methods.sparse import corner_step, minimum


@pytest.mark.parametrize("trial", range(40))
def test_the_minimum_meets_the_conditions_of_optimality(trial: int) -> None:
    rng = np.random.default_rng(trial)
    q = int(rng.integers(2, 50))
    x = rng.normal(size=(int(rng.integers(q, 4 * q)), q))
    x[:, 1] = x[:, 0] + 1e-3 * rng.normal(size=len(x))
    curvature, target = x.T @ x + 1e-6 * np.eye(q), rng.normal(size=q) * len(x)
    l1 = np.full(q, rng.uniform(0.01, 0.5) * np.abs(target).max())
    l1[0] = 0.0
    found = minimum(curvature, target, l1, rng.normal(size=q) * (rng.random(q) < 0.5))
    slope = curvature @ found - target
    beyond = np.where(found != 0, np.abs(slope + l1 * np.sign(found)), np.maximum(np.abs(slope) - l1, 0.0))
    assert beyond.max() < 1e-8 * np.abs(target).max()


def test_equal_columns_share_a_coefficient_where_ridge_helps_and_are_no_obstacle_where_not() -> None:
    x = np.random.default_rng(1).normal(size=(60, 3))
    x = np.column_stack([x, x[:, 0]])
    hessian, gradient = x.T @ x, x.T @ (x[:, 0] + 0.5 * x[:, 1])
    for l2 in (0.0, 1.0):
        step = corner_step(hessian, gradient, np.zeros(4), np.full(4, 3.0), np.full(4, l2))
        slope = hessian @ step + l2 * step - gradient
        assert np.abs(slope[step != 0] + 3.0 * np.sign(step[step != 0])).max() < 1e-6
        assert np.abs(slope).max() <= 3.0 + 1e-6
    assert step[0] == pytest.approx(step[3], rel=1e-6)
