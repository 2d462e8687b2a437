"""Arrays as bytes: large ones of 32-bit floats take half, lose nothing, and have one form."""

import json

import numpy as np
import pytest

from common.packed_arrays import SINGLE_FROM, pack_arrays, refuse_other_form, shapes_of, unpack_arrays
from common.query import Query

SINGLE = np.random.default_rng(1).normal(size=(2, SINGLE_FROM // 2)).astype(np.float32).astype(np.float64)


def test_large_arrays_of_32_bit_floats_take_half_the_bytes_and_come_back_bit_by_bit() -> None:
    special = SINGLE.copy()
    special[0, :4] = (-0.0, np.inf, -np.inf, np.finfo(np.float32).tiny)
    packed = pack_arrays({"w": special})
    assert len(packed) < 4.001 * special.size
    back = unpack_arrays(packed)["w"]
    assert back.tobytes() == special.tobytes()
    assert back.dtype == np.float64
    assert back.flags.writeable
    assert shapes_of(packed) == {"w": special.shape}


@pytest.mark.parametrize("place", [0, SINGLE_FROM // 2, SINGLE_FROM - 1])
@pytest.mark.parametrize("value", [0.1, np.nan, 1e300])
def test_one_value_that_is_no_32_bit_float_keeps_all_digits_of_the_rest(place: int, value: float) -> None:
    values = SINGLE.ravel().copy()
    values[place] = value
    packed = pack_arrays({"w": values})
    assert len(packed) > 8 * values.size
    assert unpack_arrays(packed)["w"].tobytes() == values.tobytes()


def test_small_arrays_are_packed_as_they_always_were() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert pack_arrays({"a": values}) == b'[["a",[2,3]]]\n' + values.astype("<f8").tobytes()


def as_single(values: np.ndarray) -> bytes:
    header = json.dumps([["w", list(values.shape), "f4"]], separators=(",", ":")).encode()
    return header + b"\n" + values.astype("<f4").tobytes()


@pytest.mark.parametrize(
    "packed",
    [
        as_single(np.arange(3.0)),
        as_single(np.full(SINGLE_FROM, np.nan)),
        json.dumps([["w", [SINGLE_FROM]]], separators=(",", ":")).encode() + b"\n" + SINGLE.tobytes(),
        b'[["w", [1]]]\n' + np.ones(1).tobytes(),
        b'[["w",[1]],["a",[1]]]\n' + np.ones(2).tobytes(),
    ],
    ids=["small", "not a number", "large", "spaces", "order"],
)
def test_a_question_in_another_form_would_have_a_second_hash_and_is_refused(packed: bytes) -> None:
    asked = Query(name="q", study="s", roster=("a",))
    with pytest.raises(ValueError, match="packed"):
        Query.from_parts(asked.head(), asked.roster, packed)


def test_what_is_packed_is_in_its_own_form_and_names_the_same_question_on_both_sides() -> None:
    for values in (SINGLE, SINGLE + 0.1, np.arange(3.0)):
        asked = Query(name="q", study="s", roster=("a",), arrays={"w": values})
        refuse_other_form(asked.packed, asked.arrays)
        assert Query.from_parts(asked.head(), asked.roster, asked.packed).question == asked.question
