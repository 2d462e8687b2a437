"""Fixed point: totals to 1e-11 on any scale, no silent wrap, and nothing but powers of two in clear."""

import math
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.secure_sum.encoding import pack, pack_many, unpack, unpack_many
from common.secure_sum.fixed_point import (
    COARSEST,
    FINEST,
    STEP,
    ArrayExponents,
    Exponents,
    Grouping,
    decode,
    encode,
    magnitudes,
)
from common.secure_sum.refusals import SecureSumRefused

COLUMNS = {"x": Grouping(separate=(-1,))}
PRECISION = 1e-11


def summed(
    answers: list[np.ndarray], groupings: dict[str, Grouping], scales: Exponents | None = None
) -> np.ndarray:
    """The total of one array over hospitals, by way of the ring."""
    own = [magnitudes({"x": answer}, groupings) for answer in answers]
    scales = scales or magnitudes({"x": np.max(np.abs(answers), axis=0)}, groupings)
    vector = np.zeros(scales.values, dtype="<u8")
    for answer, said in zip(answers, own, strict=True):
        vector += encode({"x": answer}, said, scales, groupings, len(answers))
    return decode(vector, scales, len(answers))["x"]


def loss(answers: list[np.ndarray], groupings: dict[str, Grouping], scales: Exponents | None = None) -> np.ndarray:
    """The error of each column's total in shares of the column's largest Σ|x|."""
    found = summed(answers, groupings, scales)
    exact = np.array(
        [[math.fsum(a[i, j] for a in answers) for j in range(found.shape[1])] for i in range(len(found))]
    )
    largest = np.sum([np.abs(a) for a in answers], axis=0).max(axis=0)
    return np.abs(found - exact).max(axis=0) / np.where(largest > 0, largest, 1)


@given(
    st.integers(3, 200),
    st.lists(st.integers(-80, 80), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3, 3.0]),
)
@settings(max_examples=60, deadline=None)
def test_columns_of_any_scale_come_out_within_their_own_precision(
    hospitals: int, exponents: list[int], seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    scale = 2.0 ** np.array(exponents)
    answers = [rng.normal(size=(3, len(scale))) * scale * 10 ** rng.normal(0, spread) for _ in range(hospitals)]
    assert loss(answers, COLUMNS).max() < PRECISION


def test_the_least_favourable_total_of_two_hundred_hospitals_is_still_precise() -> None:
    # Just above a step: the exponent overshoots by almost eight bits, and every value rounds the same way.
    value = np.array([[1.0 + 2.0**-40], [2.0**-46 * 0.499]])
    assert loss([value] * 200, {}).max() < PRECISION


def test_features_from_1e_minus_12_to_1e12_sum_side_by_side() -> None:
    rng = np.random.default_rng(3)
    scale = 10.0 ** np.linspace(-12, 12, 97)
    products = [rng.normal(size=(4, 97)) * scale**2 for _ in range(6)]
    assert loss(products, COLUMNS).max() < 1e-13
    # The same in one group: the largest column alone is precise, which is why groups exist.
    assert loss(products, {})[0] > 0.1


def test_a_cross_product_may_have_a_scale_for_every_element() -> None:
    rng = np.random.default_rng(4)
    scale = 10.0 ** np.linspace(-12, 12, 9)
    answers = [rng.normal(size=(2, 9, 9)) * np.outer(scale, scale) for _ in range(5)]
    found = summed(answers, {"x": Grouping(separate=(-2, -1))})
    exact, size = sum(answers), np.sum(np.abs(answers), axis=0).max(axis=0)
    assert (np.abs(found - exact) / size).max() < 1e-14


def test_a_newton_step_from_totals_is_that_of_pooled_sums() -> None:
    rng = np.random.default_rng(5)
    rows = [np.column_stack([np.ones(60), rng.normal(size=(60, 4)) * [1e-6, 1, 1e3, 1e6]]) for _ in range(4)]
    hessians = [x.T @ (x * 0.2) for x in rows]
    gradients = [x.T @ rng.normal(size=60) for x in rows]
    grouped = {"x": Grouping(separate=(0, 1))}
    step = np.linalg.solve(summed(hessians, grouped), summed(gradients, {"x": Grouping(separate=(0,))}))
    pooled = np.linalg.solve(np.sum(hessians, axis=0), np.sum(gradients, axis=0))
    np.testing.assert_allclose(step, pooled, rtol=1e-11)


@pytest.mark.parametrize("size", [200_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_network_weights_come_out_to_the_precision_of_doubles(size: int) -> None:
    rng = np.random.default_rng(6)
    answers = [rng.normal(0, 0.05, size) for _ in range(4)]
    found = summed(answers, {})
    assert np.abs(found - np.sum(answers, axis=0)).max() < 1e-14


def test_values_that_outgrow_the_scales_are_refused_and_fit_into_larger_ones() -> None:
    small, large = np.array([[0.5, 3.0]]), np.array([[0.5, 3e9]])
    own = magnitudes({"x": large}, COLUMNS)
    with pytest.raises(SecureSumRefused, match="'x': values of this hospital do not fit the scales"):
        encode({"x": large}, own, magnitudes({"x": small}, COLUMNS), COLUMNS, 3)
    assert np.array_equal(summed([small, small, large], COLUMNS, own), small + small + large)


@given(st.integers(3, 200), st.integers(FINEST // STEP, COARSEST // STEP), st.sampled_from([-1.0, 1.0]))
@settings(deadline=None)
def test_the_largest_values_of_all_hospitals_together_do_not_wrap(many: int, steps: int, sign: float) -> None:
    value = np.array([[sign * np.nextafter(2.0 ** (STEP * steps), 0)]])
    assert summed([value] * many, {}) == pytest.approx(many * value, rel=1e-12)


def test_a_total_beyond_its_bounds_is_refused() -> None:
    scales = magnitudes({"x": np.ones((1, 2))}, {})
    for outside in (2**62 + 1, 2**63, 2**64 - 2**62 - 1):
        with pytest.raises(SecureSumRefused, match="outside the ring's bounds"):
            decode(np.array([0, outside], dtype="<u8"), scales, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(value: float) -> None:
    values = np.ones((2, 3))
    values[1, 2] = value
    with pytest.raises(SecureSumRefused, match=r"'syy' of shape \(2, 3\): 1 of its values .* first at \(1, 2\)"):
        magnitudes({"syy": values}, {})


def test_a_value_beyond_all_scales_is_refused() -> None:
    with pytest.raises(SecureSumRefused, match=r"above 2\^1008"):
        magnitudes({"x": np.array([1e305])}, {})


@given(st.floats(1e-70, 1e300), st.floats(1 / 256, 1.0, exclude_min=True))
def test_magnitudes_tell_a_value_to_a_factor_of_256_and_no_closer(largest: float, share: float) -> None:
    (exponent,) = magnitudes({"x": np.array([largest])}, {}).arrays["x"].exponents
    assert exponent % STEP == 0
    assert 2.0 ** (exponent - STEP) <= largest < 2.0**exponent
    assert magnitudes({"x": np.array([-largest, largest * share])}, {}) == magnitudes(
        {"x": np.array([largest] * 2)}, {}
    )


def test_under_its_floor_an_empty_cell_looks_like_a_full_one() -> None:
    counts = {"x": Grouping(separate=(0,), floor=16)}
    empty, full = np.array([0.0, 3.0, 0.0]), np.array([65535.0, 0.0, 17.0])
    assert magnitudes({"x": empty}, counts) == magnitudes({"x": full}, counts)
    assert summed([empty, full, full], counts).tolist() == [131070.0, 3.0, 34.0]


def test_a_coordinator_learns_no_finer_magnitudes_than_the_query_has() -> None:
    arrays = {"x": np.array([1.0, 200.0])}
    own = magnitudes(arrays, {"x": Grouping(floor=16)})
    element_by_element = Exponents({"x": ArrayExponents((2,), np.array([8, 16]))})
    with pytest.raises(SecureSumRefused, match="asks for finer magnitudes"):
        encode(arrays, own, element_by_element, {}, 3)
    below = Exponents({"x": ArrayExponents((2,), np.array([8]))})
    with pytest.raises(SecureSumRefused, match="below the query's floor"):
        encode(arrays, own, below, {"x": Grouping(floor=16)}, 3)


def test_scales_for_other_arrays_are_refused() -> None:
    one, other = (magnitudes({"x": np.ones(size)}, {}) for size in (2, 3))
    with pytest.raises(SecureSumRefused, match="the scales are for arrays of other names, shapes or groups"):
        encode({"x": np.ones(2)}, one, other, {}, 3)


def test_axes_that_an_array_does_not_have_are_refused() -> None:
    with pytest.raises(SecureSumRefused, match="'x' has 1 axes"):
        magnitudes({"x": np.ones(3)}, {"x": Grouping(separate=(1,))})


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.dictionaries(st.text(max_size=5), SHAPES, max_size=3), st.integers(0, 2**32))
def test_exponents_travel_unchanged(shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = {name: np.asarray(rng.normal(size=shape) * 1e9) for name, shape in shapes.items()}
    groupings = {name: Grouping(separate=tuple(range(len(shape)))[-1:]) for name, shape in shapes.items()}
    said = magnitudes(arrays, groupings)
    back = Exponents.from_bytes(said.packed)
    assert back == said
    assert back.same_groups(said)
    assert all(np.array_equal(back.arrays[n].exponents, said.arrays[n].exponents) for n in arrays)


WELL_FORMED = magnitudes({"a": np.ones((2, 3)), "b": np.zeros(())}, {"a": Grouping(separate=(1,))}).packed


@given(st.data())
def test_damaged_exponents_raise_value_error_or_are_exponents(data: st.DataObject) -> None:
    damaged = bytearray(WELL_FORMED)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Exponents.from_bytes(bytes(damaged))
    except ValueError:
        return
    assert read.packed == damaged


@given(st.binary(max_size=80))
@example(WELL_FORMED[:-1])
@example(WELL_FORMED + b"\0")
@example(pack("exponents", b"\xff" * 8))
def test_arbitrary_bytes_are_no_exponents(packed: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Exponents.from_bytes(packed)


def test_exponents_have_one_form_only() -> None:
    listed = unpack_many(unpack(WELL_FORMED, "exponents", 999)[0], 9, 999)
    assert Exponents.from_bytes(pack("exponents", pack_many(listed))).packed == WELL_FORMED
    for other in (listed[::-1], [*listed, listed[1]]):
        with pytest.raises(ValueError, match="not in their canonical form"):
            Exponents.from_bytes(pack("exponents", pack_many(other)))


def test_shapes_too_large_to_hold_are_refused() -> None:
    huge = ArrayExponents((2**27, 2**27, 0, 2**27), np.zeros((1, 1, 0, 1), dtype=np.int64))
    assert Exponents.from_bytes(Exponents({"x": huge}).packed).values == 0
    for shape in ((2**27, 2), (2**28,), (2**27, 2**27)):
        with pytest.raises(ValueError, match=r"values|summed"):
            Exponents.from_bytes(
                Exponents({"x": ArrayExponents(shape, np.zeros([1] * len(shape), dtype=np.int64))}).packed
            )


def test_the_total_does_not_depend_on_who_is_added_first() -> None:
    rng = np.random.default_rng(8)
    answers = [rng.normal(size=(1, 50)) for _ in range(9)]
    shuffled = random.Random(1).sample(answers, 9)
    assert np.array_equal(summed(answers, {}), summed(shuffled, {}))
