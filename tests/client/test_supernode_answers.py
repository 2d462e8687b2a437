"""No answer stays in a SuperNode until the next question comes: Flower's own loop, with a coordinator played."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import flwr.supernode.start_client_internal as loop
import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.nodestate.in_memory_nodestate import InMemoryNodeState

from client.supernode import leave_no_answer_behind

STOPPED_RUN, RUN = 8, 9
LOOKS = 200


class Ended(Exception):
    """The test has seen enough."""


def question(name: str) -> Message:
    asked = Message(RecordDict(), dst_node_id=5, message_type="query.ask")
    asked.metadata.__dict__["_message_id"] = name
    return asked


def hospital(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], InMemoryNodeState]:
    """The runs whose answers are sent; a SuperNode that has a late answer of a stopped run and gets one question."""
    state = InMemoryNodeState(ObjectStoreFactory().store())
    sent: list[int] = []
    looks = 0

    def answer(run: int) -> None:
        for number in ("task_id", "run_id", "node_id"):
            monkeypatch.setattr(TaskIdentity, f"_{number}", run)
        reply = Message(RecordDict(), reply_to=question(f"question of {run}"))
        reply.metadata.__dict__["_message_id"] = reply.object_id
        state.record_message_processing_start(f"question of {run}")
        state.object_store.preregister(run, get_object_tree(reply))
        state.store_message(reply)

    def pull(**_: Any) -> int | None:
        nonlocal looks
        looks += 1
        if looks == LOOKS or RUN in sent:
            raise Ended
        if looks == 1:
            threading.Timer(0.1, answer, [RUN]).start()
            return RUN
        return None

    def send(message: Message, *_: object) -> tuple[set[str], str]:
        sent.append(message.metadata.run_id)
        return set(), "session"

    @contextmanager
    def connection(**_: Any) -> Iterator[tuple[Any, ...]]:
        yield 5, None, send, None, None, None, lambda *_: None, None

    answer(STOPPED_RUN)
    monkeypatch.setattr(loop, "_pull_and_store_message", pull)
    monkeypatch.setattr(loop, "_init_connection", connection)
    monkeypatch.setattr(loop, "register_signal_handlers", lambda **_: None)
    monkeypatch.setattr(loop, "time", SimpleNamespace(sleep=lambda _: threading.Event().wait(0.005)))
    return sent, state


def run(state: InMemoryNodeState) -> None:
    factory = SimpleNamespace(
        state=lambda: state, objectstore_factory=SimpleNamespace(store=lambda: state.object_store)
    )
    with pytest.raises(Ended):
        loop.start_client_internal(
            state_factory=factory, server_address="127.0.0.1:1", node_config={}, isolation="process"
        )


def test_flowers_loop_alone_keeps_an_answer_back_behind_one_that_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, state = hospital(monkeypatch)
    run(state)
    assert sent == [STOPPED_RUN]


def test_an_answer_that_is_late_holds_up_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, state = hospital(monkeypatch)
    leave_no_answer_behind()
    run(state)
    assert sent == [STOPPED_RUN, RUN]
