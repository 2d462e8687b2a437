"""The whole way between real processes: SuperNode, forwarder, gateway, SuperLink; and everything that is shut."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from client.connection import Connection
from common.flower_processes import LOOPBACK, accepts, environment, free_port, write_secret
from common.supervision import die_with_the_parent
from deploy.pki import members, revoke
from server.control import Control, Node
from server.gateway_requests import FLEET
from tests.consortium import RunningGateway, new_consortium, running_forwarder, running_gateway
from tests.listening import listening
from tests.waiting import until

pytestmark = pytest.mark.slow

SECONDS = 120.0


@dataclass
class Coordinator:
    """A SuperLink and the gateway before it."""

    gateway: RunningGateway
    superlink_port: int
    superlink: subprocess.Popen[bytes]

    def node(self, hospital: str) -> Node | None:
        """The hospital's node as the SuperLink knows it."""
        with Control(self.superlink_port) as control:
            return next((n for n in control.nodes() if n.name == hospital and n.status != "unregistered"), None)

    def is_online(self, hospital: str) -> bool:
        return (node := self.node(hospital)) is not None and node.online


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    port = free_port()
    folder = new_consortium(tmp_path_factory.mktemp("real") / "c", port)
    with running_gateway(folder) as gateway:
        superlink = start_superlink(folder.path, port)
        try:
            until(lambda: accepts(port), SECONDS, "the SuperLink listens")
            yield Coordinator(gateway, port, superlink)
        finally:
            superlink.terminate()
            superlink.wait(30)


def start_superlink(folder: Path, port: int) -> subprocess.Popen[bytes]:
    secret = write_secret(folder / "superlink" / "executor.secret")
    database = folder / "superlink" / "state.sqlite"
    with (folder / "logs" / "superlink.log").open("ab") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "server.superlink", "--port", str(port)),
                *("--database", str(database), "--secret", str(secret)),
            ],
            env=environment(folder / "superlink" / "flower"),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_the_parent,  # one that a test has started anew is nobody else's to end
        )


def start_supernode(own_folder: Path, link: int, log_file: Path) -> subprocess.Popen[bytes]:
    secret = write_secret(own_folder / "run" / "executor.secret")
    with log_file.open("ab") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "client.supernode", "--own", str(own_folder)),
                *("--link", f"{LOOPBACK}:{link}", "--port", str(free_port()), "--secret", str(secret)),
            ],
            env=environment(own_folder / "run" / "flower"),
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_the_parent,  # one that a test has started anew is nobody else's to end
        )


def node_key(connection: Connection) -> dict[str, str]:
    return {"flwr-public-key": base64.b64encode(connection.node_public_key.read_bytes()).decode()}


def test_joining_registers_the_node_and_a_real_supernode_comes_online_until_it_is_revoked(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    aspen = coordinator.gateway.joined("aspen", tmp_path / "aspen")
    until(lambda: coordinator.node("aspen") is not None, SECONDS, "aspen is registered")
    listed = next(member for member in members(coordinator.gateway.folder) if member.hospital == "aspen")
    assert (listed.state, listed.node) == ("joined", "registered")
    with running_forwarder(aspen.own_folder, tmp_path / "forwarder.log") as link:
        supernode = start_supernode(aspen.own_folder, link, tmp_path / "supernode.log")
        try:
            until(lambda: coordinator.is_online("aspen"), SECONDS, "aspen is online")
            revoke(coordinator.gateway.folder, "aspen", "test")
            until(lambda: coordinator.node("aspen") is None, SECONDS, "aspen is gone")
            until(lambda: "certificate revoked (test)" in coordinator.gateway.refusals(), SECONDS, "the refusal")
        finally:
            supernode.terminate()
            supernode.wait(30)


def test_a_supernode_with_another_hospitals_key_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    birch = coordinator.gateway.joined("birch", tmp_path / "birch")
    cedar = coordinator.gateway.joined("cedar", tmp_path / "cedar")
    until(lambda: coordinator.node("cedar") is not None, SECONDS, "cedar is registered")
    birch.node_key.write_bytes(cedar.node_key.read_bytes())
    with running_forwarder(birch.own_folder, tmp_path / "forwarder.log") as link:
        supernode = start_supernode(birch.own_folder, link, tmp_path / "supernode.log")
        try:
            reason = "node key of cedar shown with the certificate of birch"
            until(lambda: reason in coordinator.gateway.refusals(), SECONDS, reason)
            assert not coordinator.is_online("cedar")
        finally:
            supernode.terminate()
            supernode.wait(30)


def test_every_path_of_the_superlink_but_fleet_is_shut_to_a_hospital(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    oak = coordinator.gateway.joined("oak", tmp_path / "oak")
    described = httpx.get(f"http://{LOOPBACK}:{coordinator.superlink_port}/openapi.json", trust_env=False).json()
    paths = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    shut = {(method, path) for method, path in paths if path not in FLEET}
    assert {("POST", "/v1/control/start-run"), ("POST", "/v1/fleet/register-node")} <= shut
    assert ("POST", "/v1/runtime/acquire-task") in shut
    assert {path for _, path in paths} >= FLEET
    address = f"https://{LOOPBACK}:{coordinator.gateway.port}"
    with httpx.Client(base_url=address, verify=oak.context(), trust_env=False) as asking:
        for method, path in sorted({*shut, ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/health")}):
            assert asking.request(method, path, headers=node_key(oak)).status_code in (403, 404), path
    with Control(coordinator.superlink_port) as control:  # the same from this machine is served
        assert control.nodes()
        assert control.status(5) == "finished", "a run that the SuperLink does not know is no reason to wait"


def test_the_superlink_listens_on_the_loopback_address_alone(coordinator: Coordinator) -> None:
    assert listening(coordinator.superlink_port) == {LOOPBACK}
    assert listening(coordinator.gateway.port) == {LOOPBACK}


def test_a_superlink_with_an_empty_database_is_told_its_nodes_again(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    coordinator.gateway.joined("fir", tmp_path / "fir")
    until(lambda: coordinator.node("fir") is not None, SECONDS, "fir is registered")
    coordinator.superlink.kill()
    coordinator.superlink.wait()
    for path in (coordinator.gateway.folder.path / "superlink").glob("state.sqlite*"):
        path.unlink()
    coordinator.superlink = start_superlink(coordinator.gateway.folder.path, coordinator.superlink_port)
    until(lambda: accepts(coordinator.superlink_port), SECONDS, "the SuperLink listens")
    until(lambda: coordinator.node("fir") is not None, SECONDS, "fir is registered")
