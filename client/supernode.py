"""The hospital's SuperNode: Flower's own loop, with the hospital's list of apps and short waits while it is busy.

A stock SuperNode runs whatever code the coordinator sends. This one runs an app only if its SHA-256 is that of the app
that is installed here (common/flower_app.py), or stands in `allowed_apps` of the hospital's own folder, which nobody
but the hospital writes.

It speaks plain HTTP to one port of the loopback address, where the forwarder listens (client/forwarder.py), and signs
every request with the hospital's node key, as Flower does.

    python -m client.supernode --own FOLDER --link 127.0.0.1:PORT --port PORT --secret FILE
"""

import argparse
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flwr.supernode.fleet_http_connection as connection
import flwr.supernode.start_client_internal as loop
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from flwr.common.constant import ISOLATION_MODE_PROCESS, SubStatus
from flwr.supercore import heartbeat
from flwr.supercore.auth import load_superexec_auth_secret
from flwr.supercore.constant import TaskType
from flwr.supercore.exit import add_exit_handler
from flwr.supercore.fab import Fab
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.routers.runtime.tracing import RuntimeTracingMiddleware
from flwr.supernode.cli.flower_supernode import SuperNodeLifespanConfig, _start_supernode_http_api
from flwr.supernode.nodestate import NodeStateFactory
from flwr.supernode.nodestate.in_memory_nodestate import CLIENT_APP_CRASHED_ERROR, InMemoryNodeState

from common.errors import HepafedError
from common.flower_app import app_hash
from common.flower_processes import LOOPBACK, shorten_first_wait
from common.skipped_middleware import never, pass_by
from common.warm_executor import ring

ALLOWED_APPS = "allowed_apps"
NODE_KEY = "node.key"
BELL = "bell"
"""Beside the executor's secret: a named pipe that wakes the executor (common/warm_executor.py)."""
CONTACT = "last_contact"
"""Touched whenever the coordinator has answered."""
CONTACT_SECONDS = 5.0

BUSY_SECONDS = 0.02
IDLE_SECONDS = 1.0
ANSWER_SECONDS = 0.02
BUSY_FOR_SECONDS = 20.0
HEARTBEAT_SECONDS = 10
"""Flower's shortest: a SuperNode that was killed is known to be gone after twice that, and may come back then."""


def allowed_apps(own_folder: Path) -> frozenset[str]:
    """SHA-256 of the apps that may run here: the installed one, and what the hospital has added."""
    path = own_folder / ALLOWED_APPS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    added = {line.partition("#")[0].strip().lower() for line in lines} - {""}
    wrong = sorted(line for line in added if len(line) != 64 or set(line) - set("0123456789abcdef"))
    if wrong:
        raise HepafedError(
            f"{path}: {wrong[0]!r} is no SHA-256; write 64 hexadecimal digits a line, # for comments"
        )
    return frozenset({app_hash(), *added})


def guard(allowed: frozenset[str], contact: Path) -> None:
    """Make Flower's loop refuse every app but these; it answers with Flower's error 7.

    Parameters
    ----------
    contact
        A file that is touched when the coordinator has answered, for `site status`.
    """
    connect = loop.http_request_response

    @contextmanager
    def connected(address: str, _: bool, *others: Any) -> Iterator[tuple[Any, ...]]:
        # Flower wants TLS where a key signs; here TLS begins at the forwarder, on this machine.
        with connect(address, True, *others) as calls:
            node, receive, *more = calls
            get_fab = calls[4]
            said = 0.0

            def heard() -> Any:
                nonlocal said
                received = receive()
                if time.monotonic() - said > CONTACT_SECONDS:
                    contact.touch(mode=0o600)
                    said = time.monotonic()
                return received

            def marked(wanted: str, run: int) -> Fab:
                fab = get_fab(wanted, run)
                return Fab(fab.hash_str, fab.content, {**fab.verifications, "valid_license": "allowed_apps"})

            yield (node, heard, *more[:2], marked, *more[3:])

    def verified(fab: Fab, _: object) -> bool:
        found = hashlib.sha256(fab.content).hexdigest()
        if found not in allowed:
            print(f"app {found} is not on this hospital's list: refused", flush=True)
        return found in allowed

    loop.http_request_response = connected
    loop._verify_fab = verified


def hasten(bell: Path) -> None:
    """Short waits while messages come, long ones when nothing has come for a while; deaths are answered at once."""
    last_message = 0.0

    def sleep(seconds: float) -> None:
        nonlocal last_message
        now = time.monotonic()
        if seconds < 1:  # the loop waits for the answer to a message
            last_message = now
            time.sleep(ANSWER_SECONDS)
        else:
            time.sleep(BUSY_SECONDS if now - last_message < BUSY_FOR_SECONDS else min(seconds, IDLE_SECONDS))

    if vars(loop)["time"] is not time:
        raise RuntimeError("this version of Flower waits in another way: install 1.41.0")
    loop.time = SimpleNamespace(sleep=sleep)
    connection.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_SECONDS
    heartbeat.HEARTBEAT_DEFAULT_INTERVAL = HEARTBEAT_SECONDS
    finish, answer = InMemoryNodeState.finish_task, InMemoryNodeState._store_error_replies

    def answer_whatever_was_read(self: Any, runs: set[int], error: Any) -> None:
        # Flower answers for messages that the app had fetched; one that died before would never be answered for.
        with self.lock_msg_store:
            for entry in self.msg_store.values():
                if entry.message.metadata.run_id in runs and not entry.message.metadata.reply_to_message_id:
                    entry.is_retrieved = True
        answer(self, runs, error)

    def finish_and_answer(self: Any, task_id: int, sub_status: str, details: str) -> bool:
        finished = finish(self, task_id, sub_status, details)
        tasks = self.get_tasks(task_ids=[task_id])
        if finished and sub_status == SubStatus.FAILED and tasks and tasks[0].type == TaskType.CLIENT_APP:
            # Flower answers for an app that went silent, but not for one that was reported dead: it would hang.
            self._store_error_replies({tasks[0].run_id}, CLIENT_APP_CRASHED_ERROR)
        return bool(finished)

    connect = loop.http_request_response

    @contextmanager
    def connected(*given: Any) -> Iterator[tuple[Any, ...]]:
        with connect(*given) as calls:
            *others, confirm = calls

            def confirm_and_ring(run: int, number: str) -> None:
                # The message is whole now; an app that came earlier would wait for it piece by piece.
                ring(bell)
                confirm(run, number)

            yield (*others, confirm_and_ring)

    InMemoryNodeState._store_error_replies = answer_whatever_was_read
    InMemoryNodeState.finish_task = finish_and_answer
    loop.http_request_response = connected
    pass_by(RuntimeTracingMiddleware, never)
    shorten_first_wait()


def leave_no_answer_behind() -> None:
    """Send every answer that is ready, also when no message has come.

    Flower's loop sends answers only after it has received a message, and then waits for one answer, whichever it is.
    An answer that is late (its run was stopped while it was made, say) is sent in place of the next one, and from then
    on every answer waits for the message after it.
    """
    receive = loop._pull_and_store_message

    def receive_or_send(*, state: Any, **given: Any) -> int | None:
        run = receive(state=state, **given)
        return run if run is not None else ready_answer(state)

    loop._pull_and_store_message = receive_or_send


def ready_answer(state: InMemoryNodeState) -> int | None:
    """The run of an answer that has not been sent; None where there is none."""
    with state.lock_msg_store:
        entries = list(state.msg_store.values())
    ready = [e.message.metadata for e in entries if e.message.metadata.reply_to_message_id and not e.is_retrieved]
    return int(ready[0].run_id) if ready else None


def read_node_key(path: Path) -> EllipticCurvePrivateKey:
    """The key that signs this hospital's requests to Flower."""
    content = path.read_bytes()
    load = load_ssh_private_key if b"OPENSSH" in content else load_pem_private_key
    key = load(content, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise HepafedError(f"{path} is no elliptic-curve key; join the consortium again: hepafed site join")
    return key


def serve(own_folder: Path, link: str, port: int, secret: Path, bell: Path) -> None:
    """Run the SuperNode until it is ended or loses the coordinator for good; whoever keeps it starts it again."""
    guard(allowed_apps(own_folder), own_folder / CONTACT)
    hasten(bell)
    leave_no_answer_behind()
    key = read_node_key(own_folder / NODE_KEY)
    states = NodeStateFactory(objectstore_factory=ObjectStoreFactory())
    config = SuperNodeLifespanConfig(
        server_address=link,
        root_certificates=None,
        insecure=False,
        authentication_keys=(key, key.public_key()),
        max_retries=None,
        max_wait_time=None,
        node_config={},
        isolation=ISOLATION_MODE_PROCESS,
        runtime_certificates=None,
        runtime_root_certificates_path=None,
        health_server_address=None,
        trusted_entities={"allowed_apps": ""},
        superexec_auth_secret=load_superexec_auth_secret(secret_file=str(secret)),
        runtime_dependency_install=False,
        host=LOOPBACK,
        port=port,
        runtime_ssl_certfile=None,
        runtime_ssl_keyfile=None,
    )
    server, thread = _start_supernode_http_api(config, states)

    def end_server() -> None:
        server.should_exit = True
        thread.join(timeout=5)

    add_exit_handler(end_server)
    loop.start_client_internal(
        state_factory=states,
        server_address=link,
        node_config={},
        insecure=False,
        authentication_keys=config.authentication_keys,
        isolation=ISOLATION_MODE_PROCESS,
        runtime_api_address=f"{LOOPBACK}:{port}",
        trusted_entities=config.trusted_entities,
        superexec_auth_secret=config.superexec_auth_secret,
        runtime_dependency_install=False,
    )


def main() -> None:
    """The SuperNode as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--own", type=Path, required=True)
    parser.add_argument("--link", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", type=Path, required=True)
    asked = parser.parse_args()
    serve(asked.own, asked.link, asked.port, asked.secret, asked.secret.with_name(BELL))


if __name__ == "__main__":
    main()
