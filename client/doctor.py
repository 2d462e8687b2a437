"""What is in the way of a hospital's daemon: one look at everything, and for each finding its cure.

Nothing is changed, and nothing of any patient is read: whether files can be opened, not what they say.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from client.connection import Connection, ConnectionFile
from client.daemon import health
from client.identity import refuse_if_lost
from client.sealing import sealing_key
from client.site import Site
from common.certificates import WARN_DAYS, days_left, read_certificate
from common.errors import HepafedError
from common.joining import Hello
from common.private_files import refuse_if_others_may_read

GIGABYTE = 1e9
LEAST_FREE_BYTES = 2 * GIGABYTE
MOST_SKEW_SECONDS = 60.0
PYTHON = (3, 11)
FLOWER = "1.41.0"
CONNECT_SECONDS = 10.0

Level = Literal["well", "mind", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; a cure where it is not well."""

    what: str
    level: Level
    found: str
    cure: str = ""


def examine(site: Site) -> list[Finding]:
    """Look at everything, in the order in which a connection is made."""
    connection = Connection(site.own_folder)
    findings = [_versions(), _folder(site), _own_folder(site), _disk(site)]
    file = _joined(connection, findings)
    if file is not None:
        findings.append(_certificate(connection))
        findings += _way(file)
        findings += _gateway(connection)
    findings.append(_daemon(site.own_folder))
    return findings


def _versions() -> Finding:
    found = f"Hepafed {version('hepafed')}, Flower {version('flwr')}, Python {sys.version.split()[0]}"
    if version("flwr") != FLOWER:
        return Finding("versions", "broken", found, f"install Flower {FLOWER}: pip install flwr=={FLOWER}")
    if sys.version_info[:2] != PYTHON:
        return Finding("versions", "broken", found, "run Hepafed under Python 3.11")
    return Finding("versions", "well", found)


def _folder(site: Site) -> Finding:
    patients = site.folder / site.file.patients
    if not patients.exists():
        return Finding(
            "data", "broken", f"{patients} is not there", "name it in site.yaml under patients, or put it there"
        )
    if not os.access(patients, os.R_OK):
        return Finding("data", "broken", f"{patients} may not be read by this user", "let this user read it")
    return Finding("data", "well", f"{patients} can be read; hepafed site check looks into it")


def _own_folder(site: Site) -> Finding:
    own = site.own_folder
    parent = own if own.exists() else own.parent
    if not os.access(parent, os.W_OK):
        return Finding(
            "own folder", "broken", f"{own} may not be written", "let this user write it, and nobody else"
        )
    if not own.exists():
        return Finding("own folder", "mind", f"{own} is not there yet", "it is made when this hospital joins")
    if own.stat().st_mode & 0o077:
        return Finding("own folder", "mind", f"others may look into {own}", f"chmod 700 {own}")
    try:
        if site.own.store.exists():
            sealing_key(site.own)
            refuse_if_lost(site.own)
    except HepafedError as error:
        return Finding("own folder", "broken", str(error), "put the key back, see hepafed site restore")
    return Finding("own folder", "well", f"{own} is this user's alone")


def _disk(site: Site) -> Finding:
    parent = site.own_folder if site.own_folder.exists() else site.own_folder.parent
    free = shutil.disk_usage(parent).free
    found = f"{free / GIGABYTE:.1f} GB free where {site.own_folder} is"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "broken", found, "make room: 2 GB at least, for the store, the ledger and logs")
    return Finding("disk", "well", found)


def _joined(connection: Connection, findings: list[Finding]) -> ConnectionFile | None:
    try:
        if connection.path.exists():
            needed = (connection.authority, connection.key, connection.certificate, connection.node_key)
            for path in needed:
                path.stat()
        file = connection.read()
        for key in (connection.key, connection.node_key):
            refuse_if_others_may_read(key)
    except HepafedError as error:
        findings.append(Finding("consortium", "broken", str(error), "hepafed site join INVITATION"))
        return None
    except OSError as error:
        found = f"{error.filename}: {error.strerror}"
        findings.append(
            Finding("consortium", "broken", found, "put it back with hepafed site restore, or join again")
        )
        return None
    findings.append(Finding("consortium", "well", f"{file.hospital} in {file.consortium}, gateway {file.address}"))
    return file


def _certificate(connection: Connection) -> Finding:
    left = days_left(read_certificate(connection.certificate))
    found = f"this hospital's certificate is good for {left:.0f} more days"
    if left < 0:
        return Finding(
            "certificate",
            "broken",
            "this hospital's certificate has run out",
            "hepafed site join, with a new invitation",
        )
    if left < WARN_DAYS:
        return Finding("certificate", "mind", found, "hepafed site renew")
    return Finding("certificate", "well", found)


def _way(file: ConnectionFile) -> Iterator[Finding]:
    """The name of whatever is connected to first: the proxy where there is one, else the gateway."""
    proxy = file.proxy or os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    target = (
        (proxy or file.address).rpartition("@")[2].removeprefix("http://").removeprefix("https://").rstrip("/")
    )
    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    what = "the proxy" if proxy else "the gateway"
    try:
        addresses = sorted(
            {str(found[4][0]) for found in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)}
        )
    except (OSError, ValueError) as error:
        yield Finding(
            "name",
            "broken",
            f"{what}'s name {host!r} is not known here ({error})",
            "ask the network's operator about DNS",
        )
        return
    yield Finding("name", "well", f"{what} {host} is {', '.join(addresses)}")
    began = time.monotonic()
    try:
        with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
            took = time.monotonic() - began
    except OSError as error:
        cure = f"ask the network's operator to let this machine out to {host} port {port} (TCP)"
        if not proxy:
            cure += ", or name the hospital's proxy: HTTPS_PROXY=http://HOST:PORT"
        yield Finding("network", "broken", f"{what} at {target} does not answer ({error})", cure)
        return
    yield Finding("network", "well", f"{what} at {target} answers in {1000 * took:.0f} ms")


def _gateway(connection: Connection) -> list[Finding]:
    try:
        before = time.time()
        hello = connection.greet()
        after = time.time()
    except HepafedError as error:
        cure = "what the gateway or the way to it says is above; the coordinator's gateway log has its side"
        return [Finding("gateway", "broken", str(error), cure)]
    return [
        Finding("gateway", "well", f"it knows {hello.hospital}"),
        _clock(hello, before, after),
        _same_version(hello),
    ]


def _clock(hello: Hello, before: float, after: float) -> Finding:
    skew = (before + after) / 2 - hello.time
    found = f"this machine's clock is {abs(skew):.0f} s {'before' if skew > 0 else 'behind'} the coordinator's"
    if abs(skew) > MOST_SKEW_SECONDS:
        return Finding(
            "clock", "broken", found, "set it by NTP (timedatectl set-ntp true), or ask the coordinator to"
        )
    return Finding("clock", "well", found)


def _same_version(hello: Hello) -> Finding:
    if hello.version != version("hepafed"):
        found = f"the coordinator runs Hepafed {hello.version}, this hospital {version('hepafed')}"
        return Finding(
            "same version", "broken", found, "bring both to one version; a study does not begin otherwise"
        )
    return Finding("same version", "well", f"the coordinator runs Hepafed {hello.version}, too")


def _daemon(own_folder: Path) -> Finding:
    state = health(own_folder)
    if state.code == 2:
        return Finding("daemon", "mind", "it does not run", "hepafed site start")
    level: Level = "well" if state.code == 0 else "mind"
    return Finding("daemon", level, "; ".join(state.lines), "" if level == "well" else "see the findings above")
