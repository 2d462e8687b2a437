"""The hospitals at the other end of a Flower grid: messages out, packed answers back, silence noticed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common import wire
from common.errors import Code
from common.query import Answer, Query
from server.progress import Progress

LONGEST_PAUSE_SECONDS = 0.1
RESEND_SECONDS = 2.0


@dataclass
class Transport:
    """What the network did; it differs from run to run, so results keep it apart."""

    seconds: float = 0.0
    messages: int = 0
    retries: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass
class Hospitals:
    """Names and node ids of the hospitals, and the conversation with them."""

    grid: Grid
    wait_seconds: float
    progress: Progress
    node_of: dict[str, int] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport)

    def ask_everyone(self, query: Query) -> dict[int, bytes]:
        """Ask all connected nodes, before their names are known."""
        return self._converse(list(self.grid.get_node_ids()), wire.query_to_record(query, {}), query.name)

    def ask_roster(self, query: Query, views: Mapping[str, bytes]) -> dict[str, bytes]:
        """Ask the hospitals of the query's roster; a silent one gets an answer that says so."""
        name_of = {self.node_of[name]: name for name in query.roster}
        answers = self._converse(list(name_of), wire.query_to_record(query, views), query.name)
        return {name_of[node]: answer for node, answer in answers.items()}

    def _converse(self, nodes: list[int], content: RecordDict, name: str) -> dict[int, bytes]:
        began = time.monotonic()
        self.progress.asked(name, len(nodes))
        name_of = {node: hospital for hospital, node in self.node_of.items()}
        answers: dict[int, bytes] = {}
        missing = list(nodes)
        while missing:
            for node, packed in self._one_trip(missing, content, began + self.wait_seconds).items():
                answers[node] = packed
                self.progress.answered(name_of.get(node, ""))
            missing = [node for node in nodes if node not in answers]
            if missing and time.monotonic() - began >= self.wait_seconds:
                break
            if missing:
                self.transport.retries += len(missing)
                time.sleep(min(RESEND_SECONDS, self.wait_seconds))
        self.transport.seconds += time.monotonic() - began
        silent = wire.answer_to_bytes(Answer.refusal(Code.SILENT))
        return {node: answers.get(node, silent) for node in nodes}

    def _one_trip(self, nodes: list[int], content: RecordDict, deadline: float) -> dict[int, bytes]:
        """Send to some nodes; the answers that came back by the deadline or until every message has ended."""
        messages = [Message(content, node, wire.MESSAGE_TYPE) for node in nodes]
        waiting = set(self.grid.push_messages(messages))
        self.transport.messages += len(messages)
        self.transport.bytes_down += len(messages) * _size(content)
        answers: dict[int, bytes] = {}
        pause = 0.0005
        while waiting and time.monotonic() < deadline:
            arrived = list(self.grid.pull_messages(waiting))
            for reply in arrived:
                waiting.discard(reply.metadata.reply_to_message_id)
                if not reply.has_error():
                    packed = wire.record_to_answer(reply.content)
                    answers[reply.metadata.src_node_id] = packed
                    self.transport.bytes_up += len(packed)
            if waiting and not arrived:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return answers


def _size(content: RecordDict) -> int:
    """Bytes of the texts and arrays of a query."""
    body = content.config_records["query"]
    views = body["views"]
    parts = [body["head"], body["arrays"], *(views if isinstance(views, list) else [])]
    return sum(len(part) for part in parts if isinstance(part, str | bytes))
