"""A Flower grid in one process: the real ServerApp talks to the real ClientApp, without a network.

Starts in well under a second. Every node gets records of its own, as a wire would give it.
"""

import copy
import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

RUN_ID = 1
FIRST_NODE = 1000


class OneProcessGrid(Grid):
    """Calls one ClientApp for as many hospitals as there are names."""

    def __init__(self, client_app: ClientApp, hospitals: Sequence[str], workers: int | None = None) -> None:
        self._app = client_app
        self._names = {FIRST_NODE + index: name for index, name in enumerate(hospitals)}
        self._contexts = {
            node: Context(
                run_id=RUN_ID,
                node_id=node,
                node_config={"partition-id": node - FIRST_NODE, "num-partitions": len(hospitals)},
                state=RecordDict(),
                run_config={},
            )
            for node in self._names
        }
        self._run = Run.create_empty(RUN_ID)
        self._workers = ThreadPoolExecutor(workers or os.cpu_count())
        self._numbers = itertools.count()
        self._pending: dict[str, Future[Message]] = {}
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = RUN_ID

    def close(self) -> None:
        """Stop the worker threads."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def set_run(self, run: Run) -> None:
        """Set the run that messages belong to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that messages belong to."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to one hospital."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """All hospitals."""
        return list(self._names)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """All hospitals, by the names they were registered under."""
        return [NodeInfo(node_id=node, status="online", name=name) for node, name in self._names.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Hand messages to the hospitals' worker threads."""
        pushed = []
        for message in messages:
            number = f"message {next(self._numbers)}"
            message.metadata.__dict__["_message_id"] = number
            self._pending[number] = self._workers.submit(self._deliver, message)
            pushed.append(number)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers that are ready."""
        ready = [m for m in message_ids if m in self._pending and self._pending[m].done()]
        return [self._pending.pop(m).result() for m in ready]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send and wait for every answer."""
        pushed = list(self.push_messages(messages))
        return [self._pending.pop(number).result(timeout) for number in pushed]

    def _deliver(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        try:
            reply = self._app(_as_if_sent(message), self._contexts[node])
        except Exception as error:  # a ClientApp that raises answers with Flower's error, as a SuperNode would
            reply = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__), reply_to=message)
        return reply


def _as_if_sent(message: Message) -> Message:
    """The message with records of its own."""
    records = {key: _own_record(record) for key, record in message.content.config_records.items()}
    return make_message(metadata=copy.copy(message.metadata), content=RecordDict(records))


def _own_record(record: ConfigRecord) -> ConfigRecord:
    return ConfigRecord({key: copy.copy(value) for key, value in record.items()})
