"""The noise has the distribution it is said to have, and comes in steps that no arithmetic tells apart."""

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from client.noise import Release, discrete_gaussian
from common.privacy_plan import share_of_noise


@pytest.mark.parametrize("sigma", [1.0, 1.7, 6.5])
def test_small_noise_is_a_discrete_gaussian(sigma: float) -> None:
    drawn = discrete_gaussian(sigma, (40_000,))
    values = np.arange(-30, 31)
    expected = np.exp(-(values**2) / (2 * sigma**2))
    expected *= len(drawn) / expected.sum()
    often = expected >= 20
    found = np.array([(drawn == value).sum() for value in values])
    pooled = [*found[often], len(drawn) - found[often].sum()], [*expected[often], expected[~often].sum()]
    assert chisquare(*pooled).pvalue > 1e-6


def test_fine_noise_is_a_gaussian() -> None:
    sigma = 1.3 * 2.0**31
    assert kstest(discrete_gaussian(sigma, (40_000,)) / sigma, "norm").pvalue > 1e-6


@pytest.mark.parametrize("hospitals", [3, 4, 5, 20])
def test_a_total_has_the_noise_it_must_have_though_a_third_of_the_hospitals_withhold_theirs(
    hospitals: int,
) -> None:
    roster = [f"h{k}" for k in range(hospitals)]
    release = Release.of(7.0, share_of_noise(roster))
    honest = 2 * hospitals // 3 + 1
    parts = np.array([release.total(np.zeros((1, 20_000))) for _ in range(hospitals)])
    assert parts[:honest].sum(axis=0).std() == pytest.approx(7.0, rel=0.03)
    assert parts.sum(axis=0).std() == pytest.approx(7.0 * np.sqrt(hospitals / honest), rel=0.03)


def test_what_leaves_lies_on_the_grid_whatever_the_values_are() -> None:
    """The last bits of a float64 sum with float64 noise tell of both; steps of one grid tell of neither."""
    release = Release.of(3.0, 0.5)
    values = np.random.default_rng(1).normal(size=(50, 8)) / 3
    left = release.total(values) / release.grid
    assert (left == np.rint(left)).all()
    assert np.log2(release.grid) == np.rint(np.log2(release.grid))
    assert np.abs(left).max() < 2.0**53


def test_no_two_draws_are_alike() -> None:
    release = Release.of(3.0, 0.5)
    assert len({release.total(np.zeros((1, 1)))[0] for _ in range(50)}) == 50
