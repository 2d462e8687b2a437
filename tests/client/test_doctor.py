"""`site doctor`: for everything that can be in a daemon's way, one finding that names it, and its cure."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client import doctor
from client.connection import Connection
from client.daemon import CONTACT, STATE
from client.doctor import Finding, examine
from client.site import Site, open_site
from client.store import Store
from common.certificates import certificate_bytes, read_key
from common.daemon_log import write_state
from common.flower_processes import LOOPBACK, free_port
from common.joining import Hello
from common.private_files import write_public
from deploy.pki import revoke
from server.authority import open_authority
from tests.consortium import A_MINUTE_AGO, RunningGateway, new_consortium, running_gateway

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(new_consortium(tmp_path_factory.mktemp("doctor") / "c")) as running:
        yield running


@pytest.fixture(autouse=True)
def _without_a_proxy(monkeypatch: Patch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HEPAFED_STORE_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def joined(gateway: RunningGateway, tmp_path: Path) -> Site:
    """A hospital that lacks nothing."""
    folder = tmp_path / f"aspen-{time.monotonic_ns()}"
    folder.mkdir()
    (folder / "patients.csv").write_text("id,mvi\nA,yes\n", encoding="utf-8")
    site = open_site(folder)
    gateway.joined(site.name, site.own_folder)
    Store(site.own).close()
    well = {"running": True, "ready": True, "pid": 1, "starts": 1}
    state = {"pid": os.getpid(), "began": time.time() - 90, "at": time.time(), "processes": {"supernode": well}}
    write_state(site.own_folder / STATE, state)
    (site.own_folder / CONTACT).touch()
    return site


def found(site: Site, what: str) -> Finding:
    (finding,) = [finding for finding in examine(site) if finding.what == what]
    return finding


def assert_finding(finding: Finding, level: str, *words: str) -> None:
    text = f"{finding.found} → {finding.cure}"
    assert finding.level == level, text
    assert all(word in text for word in words), text
    assert finding.cure, "what is not well has a cure"


def test_a_hospital_that_lacks_nothing_has_nothing_to_mend(joined: Site) -> None:
    findings = examine(joined)
    assert {finding.level for finding in findings} == {"well"}, findings
    assert [finding.what for finding in findings] == [
        *("versions", "data", "own folder", "disk", "consortium", "certificate", "name", "network", "gateway"),
        *("clock", "same version", "daemon"),
    ]


def test_another_flower_and_another_python(joined: Site, monkeypatch: Patch) -> None:
    monkeypatch.setattr(doctor, "FLOWER", "1.40.0")
    assert_finding(found(joined, "versions"), "broken", "Flower 1.41.0", "pip install flwr==1.40.0")
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "PYTHON", (3, 12))
    assert_finding(found(joined, "versions"), "broken", sys.version.split()[0], "under Python 3")


def test_patients_that_are_not_there_or_may_not_be_read(joined: Site, monkeypatch: Patch) -> None:
    patients = joined.folder / "patients.csv"
    monkeypatch.setattr(doctor.os, "access", lambda path, _: Path(path) != patients)
    assert_finding(found(joined, "data"), "broken", "may not be read", "let this user read")
    patients.unlink()
    assert_finding(found(joined, "data"), "broken", "patients.csv is not there", "site.yaml")


def test_an_own_folder_that_others_may_look_into_or_that_is_read_only(joined: Site, monkeypatch: Patch) -> None:
    joined.own_folder.chmod(0o755)
    assert_finding(found(joined, "own folder"), "mind", "others may look into", "chmod 700")
    joined.own_folder.chmod(0o700)
    monkeypatch.setattr(doctor.os, "access", lambda path, _: Path(path) != joined.own_folder)
    assert_finding(found(joined, "own folder"), "broken", "may not be written", "let this user write")


def test_a_full_disk(joined: Site, monkeypatch: Patch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1.4e9))
    assert_finding(found(joined, "disk"), "broken", "1.4 GB free", "make room")


def test_a_hospital_that_has_not_joined(joined: Site) -> None:
    Connection(joined.own_folder).path.unlink()
    assert_finding(found(joined, "consortium"), "broken", "joined no consortium", "hepafed site join")
    assert "gateway" not in {finding.what for finding in examine(joined)}


def test_a_key_that_others_may_read_and_one_that_is_gone(joined: Site) -> None:
    key = Connection(joined.own_folder).key
    key.chmod(0o644)
    assert_finding(found(joined, "consortium"), "broken", "tls.key", "may be read by others")
    key.chmod(0o600)
    for name in ("tls.key", "tls.crt", "node.key", "ca.crt"):
        (joined.own_folder / name).rename(joined.own_folder / "aside")
        assert_finding(found(joined, "consortium"), "broken", name, "hepafed site restore")
        (joined.own_folder / "aside").rename(joined.own_folder / name)


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (100, "well", ()),
        (20, "mind", ("good for 19 more days", "hepafed site renew")),
        (1, "mind", ("good for 0 more days", "hepafed site renew")),
        (A_MINUTE_AGO, "broken", ("has run out", "new invitation")),
    ],
)
def test_a_certificate_that_runs_out(
    joined: Site, gateway: RunningGateway, days: float, level: str, words: tuple[str, ...]
) -> None:
    connection = Connection(joined.own_folder)
    key: Any = read_key(connection.key).public_key()
    signed = open_authority(gateway.folder).for_hospital(joined.name, key, days)
    write_public(connection.certificate, certificate_bytes(signed))
    finding = found(joined, "certificate")
    assert finding.level == level, finding
    assert all(word in f"{finding.found} {finding.cure}" for word in words), finding
    assert bool(finding.cure) == (level != "well")


def reaching(site: Site, address: str, proxy: str | None = None) -> None:
    connection = Connection(site.own_folder)
    file = connection.read().model_copy(update={"address": address, "proxy": proxy})
    connection.path.write_text(file.model_dump_json(), encoding="utf-8")


def test_a_name_that_dns_does_not_know(joined: Site, monkeypatch: Patch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    reaching(joined, "federation.example:9443")
    assert_finding(found(joined, "name"), "broken", "the gateway's name 'federation.example'", "DNS")


def test_a_gateway_that_a_firewall_keeps_away(joined: Site) -> None:
    port = free_port()
    reaching(joined, f"{LOOPBACK}:{port}")
    assert_finding(found(joined, "network"), "broken", f"port {port}", "let this machine out", "HTTPS_PROXY")
    assert_finding(found(joined, "gateway"), "broken", "cannot be reached")


def test_a_proxy_is_looked_for_first_and_told_from_the_gateway(joined: Site, monkeypatch: Patch) -> None:
    port = free_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{LOOPBACK}:{port}/")
    finding = found(joined, "network")
    assert_finding(finding, "broken", f"the proxy at {LOOPBACK}:{port}")
    assert "secret" not in str(examine(joined)), "a proxy's password is not shown"
    monkeypatch.delenv("HTTPS_PROXY")
    reaching(joined, Connection(joined.own_folder).read().address, proxy=f"http://{LOOPBACK}:{port}")
    assert_finding(found(joined, "network"), "broken", "the proxy at")


def test_a_hospital_whose_certificate_was_revoked(joined: Site, gateway: RunningGateway) -> None:
    revoke(gateway.folder, joined.name, "test")
    assert_finding(
        found(joined, "gateway"), "broken", "this certificate was revoked", "join with a new invitation"
    )


def said_by_the_gateway(change: Callable[[Hello], Hello], monkeypatch: Patch) -> None:
    greet = Connection.greet
    monkeypatch.setattr(Connection, "greet", lambda self: change(greet(self)))


@pytest.mark.parametrize(("seconds", "word"), [(-300, "before"), (300, "behind")])
def test_a_clock_that_is_wrong(joined: Site, monkeypatch: Patch, seconds: float, word: str) -> None:
    said_by_the_gateway(lambda hello: hello.model_copy(update={"time": hello.time + seconds}), monkeypatch)
    assert_finding(found(joined, "clock"), "broken", f"300 s {word} the coordinator's", "timedatectl")


def test_another_version_than_the_coordinators(joined: Site, monkeypatch: Patch) -> None:
    said_by_the_gateway(lambda hello: hello.model_copy(update={"version": "9.9"}), monkeypatch)
    assert_finding(found(joined, "same version"), "broken", "9.9", "one version")


def test_a_daemon_that_does_not_run_or_has_lost_its_coordinator(joined: Site) -> None:
    os.utime(joined.own_folder / CONTACT, (time.time() - 600,) * 2)
    assert_finding(found(joined, "daemon"), "mind", "tried again for ever", "findings above")
    (joined.own_folder / STATE).unlink()
    assert_finding(found(joined, "daemon"), "mind", "does not run", "hepafed site start")


def test_a_site_file_that_names_another_table(joined: Site) -> None:
    site = replace(joined, file=joined.file.model_copy(update={"patients": "rows.csv"}))
    assert_finding(found(site, "data"), "broken", "rows.csv is not there")
