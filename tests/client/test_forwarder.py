"""The forwarder: one connection out, through a proxy where there is one, with the hospital's certificate; no port to
the outside. Real processes, real certificates."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from client.connection import Connection
from client.joining import join, renew
from common.certificates import read_certificate
from common.errors import HepafedError
from common.flower_processes import LOOPBACK, free_port
from deploy.pki import invite, revoke
from tests.consortium import (
    START_SECONDS,
    RunningGateway,
    SuperLinkStandIn,
    new_consortium,
    running_forwarder,
    running_gateway,
    superlink_stand_in,
)
from tests.listening import listening
from tests.waiting import until

PULL = "/v1/fleet/pull-messages"


@pytest.fixture(scope="module")
def superlink() -> Iterator[SuperLinkStandIn]:
    with superlink_stand_in(free_port()) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, superlink: SuperLinkStandIn) -> Iterator[RunningGateway]:
    with running_gateway(new_consortium(tmp_path_factory.mktemp("liver") / "c", superlink.port)) as running:
        yield running


def node_key(connection: Connection) -> dict[str, str]:
    return {"flwr-public-key": base64.b64encode(connection.node_public_key.read_bytes()).decode()}


def events(log_file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log_file.read_text().splitlines() if line.startswith("{")]


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A corporate proxy that lets CONNECT through, and remembers whereto."""
    asked: list[str] = []
    listener = socket.create_server((LOOPBACK, 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += near.recv(4096)
            asked.append(head.split(b"\r\n")[0].decode())
            host, _, port = asked[-1].split(" ")[1].partition(":")
            far = socket.create_connection((host, int(port)))
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}", asked
    finally:
        listener.close()


def test_what_the_supernode_asks_reaches_the_superlink_and_nothing_else_does(
    gateway: RunningGateway, superlink: SuperLinkStandIn, tmp_path: Path
) -> None:
    aspen = gateway.joined("aspen", tmp_path / "aspen")
    with (
        running_forwarder(aspen.own_folder, tmp_path / "log") as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as supernode,
    ):
        answer = supernode.post(PULL, headers=node_key(aspen), content=b"question")
        assert (answer.status_code, answer.content, superlink.asked[-1]) == (200, b"question", (PULL, b"question"))
        large = bytes(range(256)) * 20_480
        assert supernode.post("/v1/fleet/push-object", headers=node_key(aspen), content=large).content == large
        for path in ("/v1/control/start-run", "/hepafed/renew", "/"):
            assert supernode.post(path, headers=node_key(aspen)).status_code == 404
        assert supernode.get(PULL).status_code == 404


def test_it_listens_on_the_loopback_address_alone(gateway: RunningGateway, tmp_path: Path) -> None:
    aspen = gateway.joined("birch", tmp_path / "birch")
    with running_forwarder(aspen.own_folder, tmp_path / "log") as port:
        assert listening(port) == {LOOPBACK}


@pytest.mark.parametrize("said", ["in connection.json", "in the environment"])
def test_a_corporate_proxy_is_used(gateway: RunningGateway, tmp_path: Path, said: str) -> None:
    with proxy() as (address, asked):
        cedar = Connection(tmp_path / "cedar")
        join(cedar, invite(gateway.folder, "cedar"), address if said == "in connection.json" else None)
        surroundings = {"HTTPS_PROXY": address, "NO_PROXY": "", "no_proxy": ""} if "environment" in said else {}
        asked.clear()
        with running_forwarder(cedar.own_folder, tmp_path / "log", **surroundings) as port:
            answer = httpx.post(f"http://{LOOPBACK}:{port}{PULL}", headers=node_key(cedar), trust_env=False)
        assert answer.status_code == 200
        assert asked == [f"CONNECT {LOOPBACK}:{gateway.port} HTTP/1.1"]


@pytest.mark.slow
def test_a_proxy_that_opens_tls_is_noticed(gateway: RunningGateway, tmp_path: Path) -> None:
    """Any other server in the gateway's place: its certificate is not from the authority that was pinned."""
    larch = gateway.joined("larch", tmp_path / "larch")
    with running_gateway(new_consortium(tmp_path / "foreign")) as foreign:
        file = larch.read().model_copy(update={"address": f"{LOOPBACK}:{foreign.port}"})
        larch.path.write_text(file.model_dump_json())
        with pytest.raises(HepafedError, match="shows a certificate that is not the gateway's"):
            larch.greet()
        until(lambda: bool(foreign.refusals()), START_SECONDS, "a refusal")
        assert "does not accept the gateway's certificate" in foreign.refusals()[-1]


@pytest.mark.slow
def test_a_gateway_that_is_away_is_tried_again_and_said_once(tmp_path: Path) -> None:
    folder = new_consortium(tmp_path / "c")
    with superlink_stand_in(folder.read().superlink_port):
        with running_gateway(folder) as gateway:
            oak = gateway.joined("oak", tmp_path / "oak")
        log = tmp_path / "log"
        with (
            running_forwarder(oak.own_folder, log) as port,
            httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as supernode,
        ):
            for _ in range(3):
                assert supernode.post(PULL, headers=node_key(oak)).status_code == 503
            assert [event["event"] for event in events(log)] == ["started", "unreachable"]
            with running_gateway(folder):
                assert supernode.post(PULL, headers=node_key(oak)).status_code == 200
            assert events(log)[-1]["event"] == "reached"
        assert "PRIVATE" not in log.read_text()


def test_a_renewed_certificate_is_taken_into_use_and_a_revoked_one_said(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    fir, log = gateway.joined("fir", tmp_path / "fir"), tmp_path / "log"
    with (
        running_forwarder(fir.own_folder, log) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as supernode,
    ):
        assert supernode.post(PULL, headers=node_key(fir)).status_code == 200
        before = read_certificate(fir.certificate)
        assert renew(fir).serial_number != before.serial_number
        assert supernode.post(PULL, headers=node_key(fir)).status_code == 200
        revoke(gateway.folder, "fir", "by hand")
        until(lambda: supernode.post(PULL, headers=node_key(fir)).status_code == 403, 5, "the refusal")
        assert "the gateway refused: this certificate was revoked" in str(events(log)[-1]["text"])


def test_a_hospital_that_has_not_joined_is_told_how(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"joined no consortium yet.*hepafed site join INVITATION"),
        running_forwarder(tmp_path, tmp_path / "log"),
    ):
        pass
