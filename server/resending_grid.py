"""Messages that are lost on the way are sent again.

The SuperLink hands a message out once. When the connection breaks just then, the message is gone, nobody knows, and a
hospital that is well seems to be silent. A question may be asked twice: the hospital answers it once, and sends the
same bytes again (client/app.py). So one that has no answer after a while goes out again, and again after twice that.
A hospital that only takes long answers one after the other, the later ones from its store.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

FIRST_PATIENCE_SECONDS = 15.0


@dataclass
class _Question:
    """A message, and the numbers of what was sent for it and has not come back."""

    content: RecordDict
    node: int
    kind: str
    due: float
    patience: float
    out: set[str] = field(default_factory=set)


class ResendingGrid(Grid):
    """A grid over another one, for the questions of a study."""

    def __init__(self, grid: Grid, patience: float = FIRST_PATIENCE_SECONDS) -> None:
        self._grid, self._patience = grid, patience
        self._questions: dict[str, _Question] = {}
        self.sent_again = 0

    def set_run(self, run: Run) -> None:
        """Set the run that messages belong to."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """The run that messages belong to."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one hospital."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """All hospitals that are connected."""
        return self._grid.get_node_ids()

    def get_nodes(self) -> Iterable[NodeInfo]:
        """All hospitals that are connected, by the names they were registered under."""
        return self._grid.get_nodes()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send, and remember what was sent."""
        sent = list(messages)
        numbers = list(self._grid.push_messages(sent))
        due = time.monotonic() + self._patience
        for number, message in zip(numbers, sent, strict=True):
            metadata = message.metadata
            question = _Question(message.content, metadata.dst_node_id, metadata.message_type, due, self._patience)
            question.out.add(number)
            self._questions[number] = question
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers that are ready, under the numbers that the questions had first."""
        asked = [number for number in message_ids if number in self._questions]
        first_of = {number: first for first in asked for number in self._questions[first].out}
        if not first_of:
            return []
        answers: dict[str, Message] = {}
        for reply in self._grid.pull_messages(list(first_of)):
            number = reply.metadata.reply_to_message_id
            first = first_of[number]
            self._questions[first].out.discard(number)
            # An error counts only where nothing else may still come; an answer counts before any error.
            if not reply.has_error() or (first not in answers and not self._questions[first].out):
                reply.metadata.__dict__["_reply_to_message_id"] = first
                answers[first] = reply
        for first in answers:
            del self._questions[first]
        self._send_again([self._questions[first] for first in asked if first not in answers])
        return list(answers.values())

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send and wait for every answer."""
        waiting, found = set(self.push_messages(messages)), []
        deadline = None if timeout is None else time.monotonic() + timeout
        while waiting and (deadline is None or time.monotonic() < deadline):
            for reply in self.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                found.append(reply)
            time.sleep(0.05)
        return found

    def _send_again(self, questions: list[_Question]) -> None:
        now = time.monotonic()
        overdue = [question for question in questions if now >= question.due]
        if not overdue:
            return
        again = [Message(question.content, question.node, question.kind) for question in overdue]
        for question, number in zip(overdue, self._grid.push_messages(again), strict=True):
            question.out.add(number)
            question.patience *= 2
            question.due = now + question.patience
            self.sent_again += 1
