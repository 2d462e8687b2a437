"""Arrays under a public bound are summed in eight bytes a value, as exactly as digits are for what training needs."""

import numpy as np
import pytest

from common.networks.bounds import bounds, exponent
from common.networks.settings import Network
from common.query import Query
from common.secure_sum.bounded import bounds_of, from_summed, to_summed
from common.secure_sum.fixed_point import decode, encode, magnitudes
from common.secure_sum.refusals import SecureSumRefused


def total_of(arrays: list[dict[str, np.ndarray]], bounded: dict[str, int]) -> dict[str, np.ndarray]:
    """What `secure_sums` opens: encoded by every hospital, added as integers, decoded."""
    vectors = []
    for number, own in enumerate(arrays):
        summed, scales, groupings = to_summed(own, bounded, f"hospital {number}", "question")
        vectors.append(encode(summed, magnitudes(summed, groupings), scales, groupings, len(arrays)))
    with np.errstate(over="ignore"):
        vector = np.sum(vectors, axis=0, dtype="<u8")
    return from_summed(decode(vector, scales, len(arrays)), bounded)


@pytest.mark.parametrize("hospitals", [4, 200])
def test_a_total_of_updates_is_within_1e_11_of_the_largest_sum(hospitals: int) -> None:
    rng = np.random.default_rng(2)
    settings, patients = Network(), 500
    updates = []
    for _ in range(hospitals):
        change = rng.normal(size=(2, 1000))
        change *= rng.uniform(0.2, 1.0) * settings.clip / np.sqrt((change**2).sum(axis=1, keepdims=True)) / 10
        updates.append({"update": patients * change, "weight": np.array([500.0, 499.0])})
    found = total_of(updates, bounds(settings, 1, patients))
    exact = np.sum([u["update"] for u in updates], axis=0, dtype=np.longdouble)
    largest = np.sum([np.abs(u["update"]) for u in updates], axis=0).max()
    assert np.abs(found["update"] - exact).max() <= 1e-11 * largest
    np.testing.assert_array_equal(found["weight"], [500.0 * hospitals, 499.0 * hospitals])


def test_a_bound_is_eight_bytes_and_others_stay_digits() -> None:
    bounded = {"update": exponent(5000.0)}
    _, scales, _ = to_summed({"update": np.ones(1000), "loss": np.ones(3)}, bounded, "s", "q")
    assert scales.values == 1000 + 10 * 3


def test_nothing_is_said_of_how_large_an_update_is() -> None:
    bounded = {"update": exponent(5000.0)}
    said = set()
    for value in (0.0, 1e-200, 1.0, 4999.0):
        summed, scales, groupings = to_summed({"update": np.full(3, value)}, bounded, "s", "q")
        said.add((magnitudes(summed, groupings).packed, scales.packed))
    assert len(said) == 1


def test_a_value_beyond_the_bound_is_refused() -> None:
    with pytest.raises(SecureSumRefused):
        total_of([{"update": np.array([70000.0])}] * 4, {"update": exponent(5000.0)})


def test_only_a_query_that_is_declared_may_name_bounds() -> None:
    asked = {"bounds": {"gradient": 8}}
    assert bounds_of(Query("logistic", "s", ("a",), parameters=asked)) == {}
    assert bounds_of(Query("train_network", "s", ("a",), parameters=asked)) == {"gradient": 8}


def test_bounds_follow_from_the_study_and_the_roll_call() -> None:
    assert bounds(Network(clip=10.0), 1, 300) == {"update": 16}
    assert set(bounds(Network(strategy="scaffold"), 1, 300)) == {"update", "control"}
    assert 2.0 ** bounds(Network(clip=9999.0), 1, 2**20)["update"] >= 9999.0 * 2**20
