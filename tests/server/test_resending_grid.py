"""A message that was lost is sent again; whoever asks sees one question and one answer."""

import time
from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from deploy.simulation.grid import FIRST_NODE, OneProcessGrid
from server.resending_grid import ResendingGrid

PATIENCE = 0.05


class LossyGrid(OneProcessGrid):
    """Loses the messages with these places in the order of sending; the hospital never sees them."""

    def __init__(self, app: ClientApp, lost: set[int]) -> None:
        super().__init__(app, ["alder", "birch"])
        self.lost, self.sent = lost, 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        numbers = []
        for message in messages:
            if self.sent in self.lost:
                numbers.append(f"lost {self.sent}")
            else:
                numbers += super().push_messages([message])
            self.sent += 1
        return numbers


def hospitals(wait: float = 0.0, fail_first: bool = False) -> tuple[ClientApp, list[int]]:
    app, asked = ClientApp(), []

    @app.query("ask")
    def ask(message: Message, context: Context) -> Message:
        asked.append(context.node_id)
        time.sleep(wait)
        if fail_first and context.node_id == FIRST_NODE:
            raise RuntimeError("died")
        return Message(RecordDict({"answer": ConfigRecord({"node": context.node_id})}), reply_to=message)

    return app, asked


def converse(grid: ResendingGrid, seconds: float = 5) -> list[Message]:
    nodes = list(grid.get_node_ids())
    return list(grid.send_and_receive([Message(RecordDict(), n, "query.ask") for n in nodes], timeout=seconds))


@pytest.mark.parametrize("lost", [set(), {0}, {0, 1}, {1, 2, 3}])
def test_every_question_gets_its_one_answer_whatever_is_lost(lost: set[int]) -> None:
    app, _ = hospitals()
    inner = LossyGrid(app, lost)
    try:
        grid = ResendingGrid(inner, PATIENCE)
        found = converse(grid)
        assert sorted(reply.metadata.src_node_id for reply in found) == sorted(grid.get_node_ids())
        assert not any(reply.has_error() for reply in found)
        assert grid.sent_again == len(lost)
    finally:
        inner.close()


def test_a_hospital_that_takes_long_is_heard_once() -> None:
    app, asked = hospitals(wait=4 * PATIENCE)
    inner = LossyGrid(app, set())
    try:
        found = converse(ResendingGrid(inner, PATIENCE))
        assert len(found) == 2
        assert len(asked) > 2
    finally:
        inner.close()


def test_an_error_is_passed_on_at_once_when_nothing_else_is_on_its_way() -> None:
    app, _ = hospitals(fail_first=True)
    inner = LossyGrid(app, set())
    try:
        began = time.monotonic()
        found = converse(ResendingGrid(inner, 60))
        assert [reply.has_error() for reply in found].count(True) == 1
        assert time.monotonic() - began < 5
    finally:
        inner.close()


def test_an_answer_that_nobody_lost_is_not_asked_for_again() -> None:
    app, asked = hospitals()
    inner = LossyGrid(app, set())
    try:
        grid = ResendingGrid(inner, 60)
        converse(grid)
        assert (len(asked), grid.sent_again) == (2, 0)
    finally:
        inner.close()
