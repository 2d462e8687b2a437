"""The shared transform: there and back, and Yeo–Johnson's λ from sums."""

import numpy as np
import pytest
from sklearn.preprocessing import PowerTransformer

from harmonization.transform import (
    Transform,
    magnitude_sums,
    no_transform,
    power_transform,
    powers_of_ten,
    signed_log,
)
from harmonization.yeo_johnson import (
    choose,
    coarse_grid,
    finer_grid,
    inverse_yeo_johnson,
    log_likelihood,
    yeo_johnson,
    yeo_johnson_sums,
)
from tests.harmonization.pooled_combat import add


def skewed(seed: int = 0) -> np.ndarray:
    """Normal values bent by known powers, to either side."""
    z = np.random.default_rng(seed).normal(size=(400, 6))
    return inverse_yeo_johnson(z, np.array([0.3, 1.0, 0.6, 1.6, 0.8, 1.4]))


def federated_powers(x: np.ndarray, location: np.ndarray, scale: np.ndarray, rounds: int) -> np.ndarray:
    parts = np.array_split(x, [90, 230])
    grid = coarse_grid(x.shape[1])
    total = add(yeo_johnson_sums(part, grid, location, scale) for part in parts)
    for _ in range(rounds - 1):
        grid = finer_grid(total, grid)
        total = add(yeo_johnson_sums(part, grid, location, scale) for part in parts)
    return choose(total, grid)


def test_yeo_johnson_is_that_of_scikit_learn() -> None:
    x = skewed()
    tool = PowerTransformer(standardize=False).fit(x)
    np.testing.assert_allclose(yeo_johnson(x, tool.lambdas_), tool.transform(x), rtol=1e-12, atol=1e-13)


def test_two_rounds_of_sums_find_the_power_that_scikit_learn_finds() -> None:
    x = skewed()
    tool = PowerTransformer(standardize=False).fit(x)
    assert ((tool.lambdas_ > 0) & (tool.lambdas_ < 2)).all()  # our grid's ends
    ones, zeros = np.ones(6), np.zeros(6)
    np.testing.assert_allclose(federated_powers(x, zeros, ones, rounds=2), tool.lambdas_, atol=0.005)
    np.testing.assert_allclose(federated_powers(x, zeros, ones, rounds=4), tool.lambdas_, atol=2e-5)


def test_the_likelihood_is_that_of_scipy() -> None:
    from scipy.stats import yeojohnson_llf

    x = skewed(1)
    grid = coarse_grid(6)
    likelihood = log_likelihood(yeo_johnson_sums(x, grid, np.zeros(6), np.ones(6)), grid)
    for k, power in enumerate(grid[:, 0]):
        np.testing.assert_allclose(likelihood[k], [yeojohnson_llf(power, x[:, j]) for j in range(6)], rtol=1e-10)


def test_a_constant_feature_and_missing_cells_leave_the_power_finite() -> None:
    x = skewed(2)
    x[:, 0] = 4.0
    x[5, 1] = np.nan
    x[:, 2] = np.nan
    powers = federated_powers(x, np.zeros(6), np.ones(6), 2)
    assert powers[0] == 1.0
    assert powers[2] == 1.0
    assert np.isfinite(powers).all()


@pytest.mark.parametrize("kind", ["none", "signed-log", "yeo-johnson"])
def test_there_and_back_on_every_scale(kind: str) -> None:
    scales = 10.0 ** np.array([-12, -3, 0, 2, 6, 10])
    x = skewed(3) * scales
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    transform = {
        "none": no_transform(6),
        "signed-log": signed_log(powers_of_ten(add(magnitude_sums(part) for part in np.array_split(x, 3)))),
        "yeo-johnson": power_transform(federated_powers(x, mean, deviation, 2), mean, deviation),
    }[kind]
    y = transform.forward(x)
    assert np.abs(transform.inverse(y) - x).max(axis=0) == pytest.approx(np.zeros(6), abs=1e-10 * scales.max())
    np.testing.assert_allclose(transform.inverse(y) / scales, x / scales, rtol=1e-10, atol=1e-12)
    x[0, 0] = np.inf
    assert np.isnan(transform.forward(x)[0, 0])


def test_scales_are_powers_of_ten_and_one_for_a_feature_of_zeros() -> None:
    x = np.array([[230.0, -0.004, 0.0], [250.0, 0.006, np.nan]])
    assert powers_of_ten(magnitude_sums(x)).tolist() == [100.0, 0.001, 1.0]


def test_every_number_has_an_inverse_and_beyond_reach_it_is_finite() -> None:
    y = np.linspace(-40, 40, 81)[:, None]
    inside = inverse_yeo_johnson(y, np.array([0.0, 0.5, 1.0, 1.7, 2.0]))
    np.testing.assert_allclose(yeo_johnson(inside, np.array([0.0, 0.5, 1.0, 1.7, 2.0])), np.tile(y, 5), atol=1e-9)
    assert np.isfinite(inverse_yeo_johnson(y, np.array([-1.0, 3.0]))).all()


def test_an_unknown_transform_or_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'log'"):
        Transform("log", np.zeros(1), np.ones(1), np.ones(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="found 0"):
        signed_log([0.0])
