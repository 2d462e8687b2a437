"""A message travels as one object, and those in pieces are still read."""

from collections.abc import Iterator

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, validate_object_content
from flwr.supercore.task_identity import TaskIdentity

from common.whole_messages import send_whole

CHANGED = ("children", "deflate", "inflate")


@pytest.fixture(autouse=True)
def _in_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("task_id", "run_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{number}", 9)


@pytest.fixture
def whole() -> Iterator[None]:
    before = {name: vars(Message)[name] for name in CHANGED}
    send_whole()
    yield
    for name, value in before.items():
        setattr(Message, name, value)


def a_message() -> Message:
    body = ConfigRecord({"head": "{}", "arrays": b"\0\1" * 5000, "views": [b"a", b"", b"c"], "n": 3})
    records = {"query": body, "room": ConfigRecord({}), "weights": ArrayRecord([np.arange(6.0).reshape(2, 3)])}
    return Message(RecordDict(records), 7, "query.ask")


def pieces_of(message: Message) -> dict[str, bytes]:
    return {number: found.deflate() for number, found in get_all_nested_objects(message).items()}


def read(pieces: dict[str, bytes], number: str) -> Message:
    found = inflate_object_from_contents(number, dict(pieces))
    assert isinstance(found, Message)
    return found


def same(found: Message, sent: Message) -> bool:
    array = found.content.array_records["weights"].to_numpy_ndarrays()[0]
    return bool(
        found.content.config_records == sent.content.config_records
        and np.array_equal(array, sent.content.array_records["weights"].to_numpy_ndarrays()[0])
        and (found.metadata.dst_node_id, found.metadata.message_type) == (7, "query.ask")
    )


@pytest.mark.usefixtures("whole")
def test_a_message_is_one_object_and_comes_back_as_it_was() -> None:
    sent = a_message()
    pieces = pieces_of(sent)
    assert len(pieces) == 1
    assert [tree.object_id for tree in iterate_object_tree(get_object_tree(sent))] == list(pieces)
    ((number, content),) = pieces.items()
    validate_object_content(content)  # as the SuperLink does before it keeps an object
    assert number == sent.object_id == get_object_id(content)
    assert same(read(pieces, number), sent)


@pytest.mark.usefixtures("whole")
def test_an_error_travels_as_flower_sends_it() -> None:
    sent = Message(Error(7, "refused"), reply_to=a_message())
    found = read(pieces_of(sent), sent.object_id)
    assert found.has_error()
    assert found.error.code == 7


def test_a_message_in_pieces_is_still_read() -> None:
    sent = a_message()
    pieces, number = pieces_of(sent), sent.object_id
    assert len(pieces) > 4
    before = {name: vars(Message)[name] for name in CHANGED}
    send_whole()
    try:
        assert same(read(pieces, number), sent)
    finally:
        for name, value in before.items():
            setattr(Message, name, value)
