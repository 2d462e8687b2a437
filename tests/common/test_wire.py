"""Queries, views and answers come out of Flower's serialisation as they went in, to the last bit."""

import json
import string
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from common.errors import Code
from common.masking import Asking, Said, Step, read_asking
from common.packed_arrays import pack_arrays, unpack_arrays
from common.query import SCANNER_NAME, Answer, Disclosed, Query, View
from common.secure_sum.agreement import Agreement
from common.wire import (
    Reply,
    answer_from_bytes,
    answer_to_bytes,
    query_to_record,
    record_to_query,
    record_to_reply,
    reply_to_record,
)

SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
# Any 64 bits: also NaN with a payload, infinities, -0.0 and subnormal numbers.
ANY_FLOAT64 = SHAPES.flatmap(lambda shape: npst.arrays(np.uint64, shape).map(lambda bits: bits.view(np.float64)))
NAMES = st.text(max_size=8).filter(lambda name: name.isprintable() or "\n" in name)
ARRAYS = st.dictionaries(NAMES, ANY_FLOAT64, max_size=4)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PARAMETERS = st.dictionaries(NAMES, PLAIN, max_size=4)
HASHES = st.text(string.hexdigits, min_size=4, max_size=4)
QUERIES = st.builds(
    Query,
    name=st.from_regex(r"[a-z_]{1,40}", fullmatch=True),
    study=HASHES,
    roster=st.lists(NAMES, max_size=3).map(tuple),
    splits=st.lists(NAMES, max_size=3).map(tuple),
    rows=st.sampled_from(["training", "held_out"]),
    view=st.none() | HASHES,
    parameters=PARAMETERS,
    arrays=ARRAYS,
)
VIEWS = st.builds(
    View,
    step=NAMES,
    parent=st.none() | HASHES,
    splits=st.lists(NAMES, max_size=3).map(tuple),
    parameters=PARAMETERS,
    arrays=ARRAYS,
)
DISCLOSED = st.builds(
    Disclosed,
    hospital=st.none() | NAMES,
    patients=st.none() | st.integers(100, 10**6),
    events=st.none() | st.integers(5, 95),
    missing=st.dictionaries(NAMES, st.integers(5, 10**6), max_size=3),
    scanners=st.lists(st.from_regex(SCANNER_NAME, fullmatch=True), max_size=3).map(tuple),
    medians=st.dictionaries(NAMES, st.sampled_from([0.0, -0.012, 3.1, 1.2e9]), max_size=2),
    auc=st.dictionaries(NAMES, st.just((0.751, 0.021)), max_size=2),
    code=st.none() | st.sampled_from(list(Code)),
)


def through_flower(record: RecordDict) -> RecordDict:
    """A record as the other side gets it: Flower's own protobuf bytes, read back."""
    sent = recorddict_to_proto(record).SerializeToString()
    return recorddict_from_proto(ProtoRecordDict.FromString(sent))


def same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return {k: (a.shape, a.tobytes()) for k, a in one.items()} == {
        k: (a.shape, a.tobytes()) for k, a in other.items()
    }


@given(ARRAYS)
def test_arrays_keep_every_bit_and_shape(arrays: dict[str, np.ndarray]) -> None:
    back = unpack_arrays(pack_arrays(arrays))
    assert same_bits(arrays, back)
    assert all(array.dtype == np.float64 and array.flags.writeable for array in back.values())


def test_the_layout_of_an_array_in_memory_does_not_travel() -> None:
    table = np.arange(6.0).reshape(2, 3)
    views = {"x": np.asfortranarray(table), "y": table[:, ::2]}
    contiguous = {"x": table.copy(), "y": np.ascontiguousarray(table[:, ::2])}
    assert pack_arrays(views) == pack_arrays(contiguous)
    assert pack_arrays({"y": views["y"], "x": views["x"]}) == pack_arrays(views)


@given(QUERIES, st.dictionaries(HASHES, st.binary(max_size=20), max_size=3))
def test_a_query_comes_out_of_flower_as_it_went_in(query: Query, views: dict[str, bytes]) -> None:
    back, new_views = record_to_query(through_flower(query_to_record(query, views)))
    assert back.head() == query.head()
    assert (back.roster, back.splits, back.rows, back.view) == (query.roster, query.splits, query.rows, query.view)
    assert same_bits(dict(back.arrays), dict(query.arrays))
    assert back.question == query.question
    assert new_views == [views[name] for name in sorted(views)]


def test_a_query_without_new_views_survives_flower() -> None:
    query = Query(name="moments", study="s", roster=("a", "b", "c"))
    assert record_to_query(through_flower(query_to_record(query, {}))) == (query, [])


@given(VIEWS)
def test_a_view_keeps_its_hash(view: View) -> None:
    back = View.from_bytes(view.to_bytes())
    assert back.hash == view.hash
    assert (back.step, back.parent, back.splits) == (view.step, view.parent, view.splits)
    assert same_bits(dict(back.arrays), dict(view.arrays))


@given(ARRAYS, DISCLOSED)
def test_an_answer_comes_out_of_flower_as_it_went_in(sums: dict[str, np.ndarray], disclosed: Disclosed) -> None:
    packed = answer_to_bytes(Answer(sums=sums, disclosed=disclosed))
    reply = Reply(packed, Said.MASKED, b"masked")
    arrived = record_to_reply(through_flower(reply_to_record(reply)))
    assert arrived == reply
    answer = answer_from_bytes(arrived.packed)
    assert answer.disclosed == disclosed
    assert same_bits(answer.sums, sums)


def test_the_question_does_not_depend_on_who_is_in_the_room() -> None:
    few, many = (Query(name="q", study="s", roster=roster) for roster in [("a", "b", "c"), ("a", "b", "c", "d")])
    assert few.question == many.question


@pytest.mark.parametrize(
    "other",
    [
        {"name": "p"},
        {"study": "t"},
        {"splits": ("final",)},
        {"rows": "held_out"},
        {"view": "v"},
        {"parameters": {"strength": 2.0}},
        {"arrays": {"beta": np.array([-0.0])}},
    ],
)
def test_the_question_depends_on_everything_that_is_asked(other: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"name": "q", "study": "s", "roster": ("a",), "parameters": {"strength": 1.0}}
    asked["arrays"] = {"beta": np.array([0.0])}
    assert Query(**asked).question != Query(**(asked | other)).question


WELL_FORMED: dict[Callable[[bytes], object], bytes] = {
    unpack_arrays: pack_arrays({"a": np.arange(3.0), "b": np.zeros((2, 0))}),
    View.from_bytes: View(step="scale", splits=("final",), arrays={"centre": np.ones((1, 2))}).to_bytes(),
    answer_from_bytes: answer_to_bytes(
        Answer({"n": np.array(3.0)}, Disclosed(patients=40, medians={"age": 61.0}))
    ),
}
each_parser = pytest.mark.parametrize("parse", list(WELL_FORMED), ids=["arrays", "view", "answer"])


@each_parser
def test_a_truncated_message_raises_value_error(parse: Callable[[bytes], object]) -> None:
    whole = WELL_FORMED[parse]
    parse(whole)
    for end in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011
            parse(whole[:end])
    with pytest.raises(ValueError):  # noqa: PT011
        parse(whole + b"\0")


@each_parser
@given(data=st.data())
def test_a_damaged_message_raises_value_error_or_nothing(
    parse: Callable[[bytes], object], data: st.DataObject
) -> None:
    damaged = bytearray(WELL_FORMED[parse])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        parse(bytes(damaged))


HEADERS = PLAIN.map(lambda value: json.dumps(value).encode())


@each_parser
@given(st.binary(max_size=60) | st.tuples(HEADERS, HEADERS, st.binary(max_size=16)).map(b"\n".join))
@example(b"[" * 100_000)
@example(b'[["a",[true]]]\n12345678')
@example(b'[["a",[99999999999999999999]]]\n')
@example(b'[["a",[4294967296,4294967296]]]\n')
@example(b'[["a",[0,1099511627775,1099511627775]]]\n')
@example(b'[["a",[1.0]]]\n12345678')
@example(b'[["a",[-1]]]\n')
@example(b'[["a",[]],["a",[]]]\n1234567812345678')
@example(b'[["a",[' + b",".join([b"1"] * 70) + b"]]]\n12345678")
def test_arbitrary_bytes_raise_value_error_or_nothing(parse: Callable[[bytes], object], packed: bytes) -> None:
    with suppress(ValueError):
        parse(packed)


GOOD = dict(query_to_record(Query(name="q", study="s", roster=("a",)), {"v": b"x"})["query"])


@pytest.mark.parametrize(
    "damage",
    [
        {"head": "{}"},
        {"head": b"{}"},
        {"head": "null"},
        {"head": "[" * 100_000},
        {"head": GOOD["head"].replace('"training"', '"all"')},
        {"head": GOOD["head"].replace('"s"', "7")},
        {"head": GOOD["head"].replace("{}", '{"x":NaN}')},
        {"head": GOOD["head"].replace(",", ", ")},
        {"head": GOOD["head"].replace('"name":"q"', '"name":"p","name":"q"')},
        {"head": GOOD["head"].replace('"name"', '"code":"import os","name"')},
        {"roster": "{}"},
        {"roster": "[1]"},
        {"roster": 3},
        {"arrays": "[]"},
        {"arrays": b"{}\n"},
        {"views": b"x"},
        {"views": ["x"]},
        {"views": [1.0]},
    ],
    ids=range(18),
)
def test_a_malformed_query_raises_value_error(damage: dict[str, Any]) -> None:
    record_to_query(RecordDict({"query": ConfigRecord(dict(GOOD))}))
    with pytest.raises(ValueError):  # noqa: PT011
        record_to_query(RecordDict({"query": ConfigRecord(GOOD | damage)}))


@pytest.mark.parametrize("part", ["head", "roster", "arrays", "views"])
def test_a_query_without_one_of_its_parts_raises_value_error(part: str) -> None:
    rest = {key: value for key, value in GOOD.items() if key != part}
    with pytest.raises(ValueError, match=f"without query.{part}"):
        record_to_query(RecordDict({"query": ConfigRecord(rest)}))


def test_a_message_of_another_kind_raises_value_error() -> None:
    with pytest.raises(ValueError, match=r"without query\.head"):
        record_to_query(RecordDict())
    with pytest.raises(ValueError, match=r"without answer\.packed"):
        record_to_reply(RecordDict({"answer": ConfigRecord({"other": b""})}))
    with pytest.raises(ValueError, match="expected bytes"):
        record_to_reply(RecordDict({"answer": ConfigRecord({"packed": "text", "said": "masked", "content": b""})}))
    with pytest.raises(ValueError, match="whispered"):
        record_to_reply(RecordDict({"answer": ConfigRecord({"packed": b"", "said": "whispered", "content": b""})}))


def test_an_answer_with_a_figure_too_fine_is_refused_on_arrival() -> None:
    packed = b'{"medians":{"age":61.5}}\n' + pack_arrays({})
    with pytest.raises(ValueError, match="two significant"):
        answer_from_bytes(packed)


ASKING = Asking(
    Agreement("study", "run-1", {name: f"{number:064x}" for number, name in enumerate(("a", "b", "c"))}, 4),
    Step.REVEAL,
    3,
    "question",
    b"scales",
    {"a": b"1", "b": b"2"},
    ("a", "b", "c"),
)


def test_what_is_asked_about_masks_comes_out_of_flower_as_it_went_in() -> None:
    record = through_flower(query_to_record(Query(name="q", study="study", roster=("a",)), {}, "", ASKING))
    assert read_asking(record) == ASKING
    assert record_to_query(record)[0].name == "q"
    assert read_asking(through_flower(query_to_record(Query(name="q", study="study", roster=("a",)), {}))) is None


@pytest.mark.parametrize(
    ("part", "spoilt"),
    [
        ("agreement", "{}"),
        ("step", "guess"),
        ("round", "1"),
        ("scales", "text"),
        ("from", '["a"]'),
        ("parts", ["text", "text"]),
        ("survivors", "{}"),
    ],
)
def test_a_spoilt_message_about_masks_raises_value_error(part: str, spoilt: Any) -> None:
    body = {**ASKING.to_record(), part: spoilt}
    with pytest.raises(ValueError):  # noqa: PT011
        read_asking(RecordDict({"sums": ConfigRecord(body)}))
