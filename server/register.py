"""The consortium's register: who was invited, which node key and which certificates are whose, what was revoked.

One SQLite file in pki/. The commands write it, the gateway reads it at every request: what is revoked here is refused
from then on.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography import x509

from common.certificates import certificate_bytes, node_hash
from common.invitation import Invitation

SECONDS_TO_WAIT = 20
SUPERSEDED = "the hospital joined again"

_TABLES = """
CREATE TABLE IF NOT EXISTS invitations (
    number TEXT PRIMARY KEY, hospital TEXT NOT NULL, public_half BLOB NOT NULL, made REAL NOT NULL,
    expires REAL NOT NULL, request TEXT, answer TEXT, withdrawn REAL
);
CREATE TABLE IF NOT EXISTS nodes (
    node TEXT PRIMARY KEY, hospital TEXT NOT NULL, public_key BLOB NOT NULL, joined REAL NOT NULL,
    ended REAL, number TEXT
);
CREATE TABLE IF NOT EXISTS certificates (
    serial TEXT PRIMARY KEY, hospital TEXT NOT NULL, node TEXT NOT NULL REFERENCES nodes, certificate BLOB NOT NULL,
    issued REAL NOT NULL, expires REAL NOT NULL, revoked REAL, reason TEXT
);
"""


@dataclass(frozen=True)
class Invited:
    """An invitation as the coordinator keeps it."""

    number: str
    hospital: str
    public_half: bytes
    expires: float
    request: str | None
    answer: str | None
    withdrawn: float | None

    @property
    def is_open(self) -> bool:
        """Whether somebody may still join by it."""
        return self.request is None and self.withdrawn is None and time.time() <= self.expires


@dataclass(frozen=True)
class NodeKey:
    """A hospital's Flower node key; `number` is Flower's, once it was told."""

    node: str
    hospital: str
    public_key: bytes
    joined: float
    ended: float | None
    number: int | None


@dataclass(frozen=True)
class Standing:
    """Of one certificate."""

    hospital: str
    node: str
    expires: float
    revoked: float | None
    reason: str | None


class Register:
    """The register of one consortium, open."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def version(self) -> int:
        """Another number after another process wrote."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile; all of it counts, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def invite(self, invitation: Invitation) -> None:
        """Keep the public half of an invitation; earlier ones of this hospital that are open are withdrawn."""
        with self.alone():
            self._database.execute(
                "UPDATE invitations SET withdrawn = ? WHERE hospital = ? AND request IS NULL AND withdrawn IS NULL",
                (time.time(), invitation.hospital),
            )
            self._database.execute(
                "INSERT INTO invitations (number, hospital, public_half, made, expires) VALUES (?, ?, ?, ?, ?)",
                (
                    invitation.number,
                    invitation.hospital,
                    invitation.public_half,
                    time.time(),
                    invitation.expires,
                ),
            )

    def invited(self, number: str) -> Invited | None:
        """The invitation with this number."""
        found = self._database.execute(f"{_INVITED} WHERE number = ?", (number,)).fetchone()
        return Invited(*found) if found is not None else None

    def invitations(self) -> list[Invited]:
        """All invitations, by hospital, the latest last."""
        return [Invited(*row) for row in self._database.execute(f"{_INVITED} ORDER BY hospital, made")]

    def use(self, number: str, request: str, answer: str) -> None:
        """An invitation has been used, by this request, which got this answer."""
        self._database.execute(
            "UPDATE invitations SET request = ?, answer = ? WHERE number = ?", (request, answer, number)
        )

    def admit(self, hospital: str, node_key: bytes, certificate: x509.Certificate) -> None:
        """A hospital has joined: from now on this node key and this certificate are its own, and no others."""
        self.end(hospital, SUPERSEDED)
        self._database.execute(
            "INSERT INTO nodes (node, hospital, public_key, joined) VALUES (?, ?, ?, ?)",
            (node_hash(node_key), hospital, node_key, time.time()),
        )
        self.add_certificate(hospital, node_hash(node_key), certificate)

    def add_certificate(self, hospital: str, node: str, certificate: x509.Certificate) -> None:
        """One more certificate of a hospital that has joined."""
        self._database.execute(
            "INSERT INTO certificates (serial, hospital, node, certificate, issued, expires) VALUES (?, ?, ?, ?, ?, ?)",
            (
                serial_of(certificate),
                hospital,
                node,
                certificate_bytes(certificate),
                time.time(),
                certificate.not_valid_after_utc.timestamp(),
            ),
        )

    def end(self, hospital: str, reason: str) -> int:
        """Revoke all certificates of a hospital and end its node key; how many certificates that were."""
        now = time.time()
        self._database.execute("UPDATE nodes SET ended = ? WHERE hospital = ? AND ended IS NULL", (now, hospital))
        changed = self._database.execute(
            "UPDATE certificates SET revoked = ?, reason = ? WHERE hospital = ? AND revoked IS NULL",
            (now, reason, hospital),
        )
        return changed.rowcount

    def withdraw_invitations(self, hospital: str) -> int:
        """Nobody joins any more by the open invitations of this hospital."""
        changed = self._database.execute(
            "UPDATE invitations SET withdrawn = ? WHERE hospital = ? AND request IS NULL AND withdrawn IS NULL",
            (time.time(), hospital),
        )
        return changed.rowcount

    def standing(self, serial: str) -> Standing | None:
        """Of the certificate with this serial number; None: it is in no register."""
        found = self._database.execute(f"{_STANDING} WHERE serial = ?", (serial,)).fetchone()
        return Standing(*found) if found is not None else None

    def certificates(self) -> list[Standing]:
        """All certificates, by hospital, the latest last."""
        return [Standing(*row) for row in self._database.execute(f"{_STANDING} ORDER BY hospital, issued")]

    def node(self, node: str) -> NodeKey | None:
        """The node key with this hash."""
        found = self._database.execute(f"{_NODE} WHERE node = ?", (node,)).fetchone()
        return _node_key(found) if found is not None else None

    def nodes(self) -> list[NodeKey]:
        """All node keys, by hospital, the latest last."""
        return [_node_key(row) for row in self._database.execute(f"{_NODE} ORDER BY hospital, joined")]

    def note_number(self, node: str, number: int | None) -> None:
        """The number that Flower gave to a node key; None: Flower knows it no more."""
        written = None if number is None else str(number)  # 64 bits without a sign do not fit SQLite's integers
        self._database.execute("UPDATE nodes SET number = ? WHERE node = ?", (written, node))


def _node_key(row: tuple[Any, ...]) -> NodeKey:
    key = NodeKey(*row)
    return replace(key, number=None if key.number is None else int(key.number))


def serial_of(certificate: x509.Certificate) -> str:
    """A certificate's serial number, as the register writes it."""
    return f"{certificate.serial_number:x}"


_INVITED = "SELECT number, hospital, public_half, expires, request, answer, withdrawn FROM invitations"
_NODE = "SELECT node, hospital, public_key, joined, ended, number FROM nodes"
_STANDING = "SELECT hospital, node, expires, revoked, reason FROM certificates"
