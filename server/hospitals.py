"""The hospitals at the other end of a Flower grid: messages out, packed answers back, silence noticed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from common import wire
from common.errors import Code, HospitalLost
from common.masking import Asking
from common.query import Answer, Disclosed, Query
from common.refusals import in_words
from common.room import Room, seat_of
from common.wire import Reply
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
    """Names and node ids of the hospitals, what they said at the roll call, and the conversation with them."""

    grid: Grid
    wait_seconds: float
    progress: Progress
    node_of: dict[str, int] = field(default_factory=dict)
    said: dict[str, Disclosed] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport)

    def ask_everyone(self, query: Query) -> dict[int, bytes]:
        """Ask all connected nodes, before their names are known."""
        content = wire.query_to_record(query, {})
        replies = self._converse(dict.fromkeys(self.grid.get_node_ids(), content), query.name)
        return {node: reply.packed for node, reply in replies.items()}

    def fingerprint_of(self, hospital: str) -> str:
        """Of the long-term key that a hospital named at the roll call."""
        return seat_of(hospital, self.said[hospital]).fingerprint

    def take_step(self, askings: Mapping[str, Asking], name: str) -> dict[str, Reply]:
        """Ask hospitals for a step of a secure sum."""
        contents = {self.node_of[h]: wire.step_to_record(asking) for h, asking in askings.items()}
        replies = self._converse(contents, name)
        return {hospital: replies[self.node_of[hospital]] for hospital in askings}

    def ask_roster(
        self,
        query: Query,
        views: Mapping[str, bytes],
        *,
        with_room: bool = False,
        askings: Mapping[str, Asking] | None = None,
        counts: Sequence[bytes] = (),
    ) -> dict[str, Reply]:
        """Ask the hospitals of the query's roster; a silent one gets an answer that says so.

        Parameters
        ----------
        with_room
            Hand round what each of them said at the roll call: how many patients it has, signed.
        askings
            How each hospital is to mask its answer; None: not at all.
        counts
            Opened counts that the question's cells are held against.
        """
        room = Room.of({name: self.said[name] for name in query.roster}).to_json() if with_room else ""
        contents = {
            self.node_of[name]: wire.query_to_record(query, views, room, (askings or {}).get(name), counts)
            for name in query.roster
        }
        replies = self._converse(contents, query.name)
        return {name: replies[self.node_of[name]] for name in query.roster}

    def _converse(self, contents: Mapping[int, RecordDict], name: str) -> dict[int, Reply]:
        nodes = list(contents)
        began = time.monotonic()
        self.progress.asked(name, len(nodes))
        name_of = {node: hospital for hospital, node in self.node_of.items()}
        answers: dict[int, Reply] = {}
        missing = list(nodes)
        while missing:
            asked = {node: contents[node] for node in missing}
            for node, reply in self._one_trip(asked, began + self.wait_seconds).items():
                answers[node] = reply
                self.progress.answered(name_of.get(node, ""))
            missing = [node for node in nodes if node not in answers]
            if missing and time.monotonic() - began >= self.wait_seconds:
                break
            if missing:
                self.transport.retries += len(missing)
                time.sleep(min(RESEND_SECONDS, self.wait_seconds))
        self.transport.seconds += time.monotonic() - began
        silent = Reply(wire.answer_to_bytes(Answer.refusal(Code.SILENT)))
        return {node: answers.get(node, silent) for node in nodes}

    def _one_trip(self, contents: Mapping[int, RecordDict], deadline: float) -> dict[int, Reply]:
        """Send to some nodes; the answers that came back by the deadline or until every message has ended."""
        messages = [Message(content, node, wire.MESSAGE_TYPE) for node, content in contents.items()]
        waiting = set(self.grid.push_messages(messages))
        self.transport.messages += len(messages)
        self.transport.bytes_down += sum(map(_size, contents.values()))
        answers: dict[int, Reply] = {}
        pause = 0.0005
        while waiting and time.monotonic() < deadline:
            arrived = list(self.grid.pull_messages(waiting))
            for reply in arrived:
                waiting.discard(reply.metadata.reply_to_message_id)
                if not reply.has_error():
                    answered = wire.record_to_reply(reply.content)
                    answers[reply.metadata.src_node_id] = answered
                    self.transport.bytes_up += answered.size
            if waiting and not arrived:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return answers


def raise_if_lost(answers: Mapping[str, Answer], query: str) -> None:
    """HospitalLost for the first hospital, by name, whose answer is a refusal or an error."""
    for name in sorted(answers):
        disclosed = answers[name].disclosed
        if disclosed.code is not None:
            raise HospitalLost(name, disclosed.code, query, in_words(disclosed.code, disclosed.split))


def _size(content: RecordDict) -> int:
    """Bytes of the texts and arrays of a message."""
    size = 0
    for record in content.config_records.values():
        for part in record.values():
            pieces = part if isinstance(part, list) else [part]
            size += sum(len(piece) for piece in pieces if isinstance(piece, str | bytes))
    return size
