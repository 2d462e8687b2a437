"""A consortium on loopback for tests: real keys, the real gateway in its own process, a SuperLink's stand-in."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from client.connection import Connection
from client.joining import join
from common.flower_processes import LOOPBACK, accepts, free_port
from deploy.pki import file_of, found_consortium, invite
from server.coordinator_folder import CoordinatorFolder
from tests.waiting import until

START_SECONDS = 20.0
A_MINUTE_AGO = -1 / (24 * 60)
"""In days: when a certificate ran out."""


@dataclass
class SuperLinkStandIn:
    """Answers on the loopback address as an echo, and remembers what it was asked."""

    port: int
    asked: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def superlink_stand_in(port: int) -> Iterator[SuperLinkStandIn]:
    """A server in the SuperLink's place: what reaches it has passed the gateway."""
    stand_in = SuperLinkStandIn(port)

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                body = b""
                while length := int(self.rfile.readline(), 16):
                    body += self.rfile.read(length)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path.startswith("/v1/fleet/"):
                stand_in.asked.append((self.path, body))
            self.send_response(200 if self.path.startswith("/v1/fleet/") else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, port), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class RunningGateway:
    """A gateway's process and its log."""

    folder: CoordinatorFolder
    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """Every line so far."""
        whole, _, _ = self.log_file.read_text(encoding="utf-8").rpartition("\n")  # the last may be half written
        lines = whole.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def refusals(self) -> list[str]:
        """The reasons of what was refused so far."""
        return [str(line["reason"]) for line in self.log if line.get("event") == "refused"]

    def joined(self, hospital: str, own_folder: Path) -> Connection:
        """A hospital that has joined."""
        connection = Connection(own_folder)
        join(connection, invite(self.folder, hospital))
        return connection


def new_consortium(folder: Path, superlink_port: int | None = None) -> CoordinatorFolder:
    """A consortium whose gateway's port is free now."""
    address = f"{LOOPBACK}:{free_port()}"
    return found_consortium(folder, file_of("liver", address, None, [], superlink_port or free_port()))


@contextmanager
def running_gateway(folder: CoordinatorFolder) -> Iterator[RunningGateway]:
    """The gateway of a coordinator's folder, as a process."""
    port = int(folder.read().listen.rpartition(":")[2])
    log_file = folder.path / "logs" / f"gateway-{time.monotonic_ns()}.log"
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server.gateway", str(folder.path)], stdout=output, stderr=subprocess.STDOUT
        )
    running = RunningGateway(folder, port, process, log_file)
    try:
        until(lambda: accepts(port) or process.poll() is not None, START_SECONDS, "the gateway listens")
        assert process.poll() is None, log_file.read_text()
        yield running
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def running_forwarder(own_folder: Path, log_file: Path, **environment: str) -> Iterator[int]:
    """A hospital's forwarder, as a process; the port on which it listens."""
    port = free_port()
    surroundings = {**os.environ, **environment}
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "client.forwarder", str(own_folder), str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=surroundings,
        )
    try:
        until(lambda: accepts(port) or process.poll() is not None, START_SECONDS, "the forwarder listens")
        assert process.poll() is None, log_file.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(20)
