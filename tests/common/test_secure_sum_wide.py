"""Digits: exact totals over fifty orders of magnitude, and nothing said of a hospital's own size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.secure_sum.fixed_point import magnitudes
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.wide import EXPONENT, GROUPING, from_digits, scales_of, to_digits

USUAL = st.floats(-1e30, 1e30, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-30 else x)


@given(arrays(np.float64, st.tuples(st.integers(3, 6), st.integers(0, 5)), elements=USUAL))
@settings(deadline=None)
def test_the_total_of_digits_is_the_total_of_values(table: np.ndarray) -> None:
    digits = [to_digits({"x": row}, f"hospital {n}", "question")["x"] for n, row in enumerate(table)]
    total = from_digits({"x": np.sum(digits, axis=0)})["x"]
    np.testing.assert_allclose(
        total, table.sum(axis=0), rtol=0, atol=1e-15 * np.abs(table).sum(axis=0).max(initial=0)
    )


def test_values_of_all_sizes_share_an_array_and_stay_exact() -> None:
    values = np.array([1e-12, -3.7e-24, 1e12, 2.5e24, 0.0, 17.0, -1.0])
    digits = to_digits({"x": values}, "s", "q")
    np.testing.assert_array_equal(from_digits(digits)["x"], values)


def test_two_hundred_hospitals_add_up() -> None:
    table = np.random.default_rng(3).normal(0, 1, (200, 50)) * 10.0 ** np.arange(-25, 25)
    digits = sum(to_digits({"x": row}, str(n), "q")["x"] for n, row in enumerate(table))
    assert np.abs(digits).max() < 2.0**53
    np.testing.assert_allclose(from_digits({"x": digits})["x"], table.sum(axis=0), rtol=1e-12)


def test_a_hospital_says_the_same_magnitudes_whatever_its_values() -> None:
    said = {
        magnitudes(to_digits({"x": np.full(3, value)}, "s", "q"), {"x": GROUPING}).packed
        for value in (0.0, 1e-20, 3.0, 255.0, 257.0, -1e25)
    }
    assert said == {scales_of(to_digits({"x": np.zeros(3)}, "s", "q")).packed}


def test_no_digit_of_a_total_tells_who_crossed_a_threshold() -> None:
    """Without moving, the second digit of the total would count the hospitals above half a unit of it."""
    unit = 2.0**-10  # near the weight of a digit
    below = np.array([to_digits({"x": np.array([0.4 * unit])}, f"b{n}", "q")["x"][:-1] for n in range(400)])
    above = np.array([to_digits({"x": np.array([0.6 * unit])}, f"a{n}", "q")["x"][:-1] for n in range(400)])
    for k in range(1, below.shape[1]):
        spread = np.hypot(below[:, k].std(), above[:, k].std()) / np.sqrt(400)
        assert spread > 2.0**14
        assert abs(below[:, k].mean() - above[:, k].mean()) < 5 * spread


def test_the_same_question_gets_the_same_digits_and_another_one_others() -> None:
    values = {"x": np.arange(5.0)}
    first, again, other = (to_digits(values, "s", question)["x"] for question in ("q", "q", "r"))
    assert (first == again).all()
    assert (first != other).any(axis=0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e33])
def test_what_is_no_usual_number_is_refused_in_words(value: float) -> None:
    with pytest.raises(SecureSumRefused, match="unit that went wrong"):
        to_digits({"x": np.array([1.0, value])}, "s", "q")


def test_digits_stay_below_the_scale() -> None:
    digits = to_digits({"x": np.random.default_rng(1).normal(0, 1e29, 1000)}, "s", "q")["x"]
    assert np.abs(digits).max() < 2.0**EXPONENT
