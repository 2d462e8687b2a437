"""A backup of what a hospital cannot make again: its keys, its store with the ledger, its connection.

One file, encrypted with a passphrase (scrypt, then AES-256-GCM in pieces, each bound to its place, so that a piece
that is changed, missing or moved is found). The store is copied whole while answers wait for a moment; the daemon may
go on. What can be made again (logs, copies of results) is left out, and so are the patients' files.

A backup knows nothing of what was answered after it was made. A hospital that forgot what it has answered could be
asked for it in another way, and subtract itself; so after a restore every approval is revoked, until a person has
looked at what happened since.
"""

import os
import re
import secrets
import shutil
import struct
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from client.approval import approvals, revoke
from client.connection import Connection
from client.daemon import LOCK
from client.sealing import IDENTITY, LARGE_ANSWERS, STORE, STORE_KEY, connect
from client.site import Site
from client.store import Store
from common.daemon_log import only_one
from common.errors import HepafedError
from common.private_files import private_folder

MAGIC = b"hepafed backup 1\n"
PIECE_BYTES = 1 << 20
SALT_BYTES = 16
SHORTEST_PASSPHRASE = 12
ATTEMPTS = 20
ALLOWED_APPS = "allowed_apps"
LARGE_ANSWER = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class BackedUp:
    """What is in a backup, and what is not."""

    names: tuple[str, ...]
    without: tuple[str, ...]


def back_up(site: Site, target: Path, passphrase: str) -> BackedUp:
    """Write a backup of a hospital's own folder."""
    _refuse_weak(passphrase)
    files = _files(site)
    found = {name: path for name, path in files.items() if path.exists()}
    if STORE not in found:
        raise HepafedError(f"{site.own.store} is not there: there is nothing to back up yet")
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            open(opened, "wb") as out,
            _Sealing(out, passphrase) as sealed,
            _copied(site) as store,
            tarfile.open(mode="w|", fileobj=sealed) as archive,  # type: ignore[call-overload]
        ):
            for name, path in found.items():
                archive.add(store if name == STORE else path, arcname=name)
            for path in _large_answers(site):  # after the store: what it names is there
                archive.add(path, arcname=f"{LARGE_ANSWERS}/{path.name}")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return BackedUp(tuple(found), tuple(name for name in files if name not in found))


def restore(site: Site, source: Path, passphrase: str) -> list[str]:
    """Put a backup back into an own folder that has none of its files; the studies whose approval was revoked."""
    files = _files(site)
    with only_one(site.own_folder / LOCK, "this hospital's daemon"):
        there = [str(path) for path in (*files.values(), site.own.large_answers) if path.exists()]
        if there:
            raise HepafedError(
                f"{there[0]} is there: a restore replaces nothing. Move {site.own_folder} aside first, and keep it: "
                "its ledger may know more than the backup"
            )
        private_folder(site.own_folder)
        with tempfile.TemporaryDirectory(dir=site.own_folder) as room:
            _unpack(source, passphrase, Path(room), set(files))
            for name in files:
                if (unpacked := Path(room) / name).exists():
                    files[name].parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(unpacked, files[name])
                    files[name].chmod(0o600)
            if (unpacked := Path(room) / LARGE_ANSWERS).exists():
                shutil.move(unpacked, site.own.large_answers)
        with closing(Store(site.own)) as store:
            names = {approval.name for approval in approvals(store)}
            return sorted(name for name in names if revoke(store, name))


def _files(site: Site) -> dict[str, Path]:
    """What a backup holds, by its name in the backup; the store first."""
    connection = Connection(site.own_folder)
    named = {
        connection.path,
        connection.authority,
        connection.key,
        connection.certificate,
        connection.node_key,
        connection.node_public_key,
        site.own_folder / ALLOWED_APPS,
    }
    files = {STORE: site.own.store, IDENTITY: site.own.identity}
    if not os.environ.get("HEPAFED_STORE_KEY") and site.own.named_key != "keyring":
        files[STORE_KEY] = site.own.key_file
    return files | {path.name: path for path in sorted(named)}


def _large_answers(site: Site) -> list[Path]:
    folder = site.own.large_answers
    return (
        sorted(path for path in folder.iterdir() if LARGE_ANSWER.fullmatch(path.name)) if folder.is_dir() else []
    )


@contextmanager
def _copied(site: Site) -> Iterator[Path]:
    """A copy of the store as it is at one moment; it stays encrypted."""
    with tempfile.TemporaryDirectory(dir=site.own_folder) as room, closing(connect(site.own)) as database:
        log = site.own.store.with_name(site.own.store.name + "-wal")
        for _ in range(ATTEMPTS):
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            database.execute("BEGIN IMMEDIATE")
            try:
                if not log.exists() or log.stat().st_size == 0:
                    copy = Path(room) / STORE
                    shutil.copyfile(site.own.store, copy)
                    copy.chmod(0o600)
                    break
            finally:
                database.execute("ROLLBACK")
            time.sleep(0.2)
        else:
            raise HepafedError("the store is busy: try again in a minute, or stop the daemon for the backup")
        yield copy


def _refuse_weak(passphrase: str) -> None:
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise HepafedError(
            f"the passphrase has {len(passphrase)} characters, {SHORTEST_PASSPHRASE} are needed: the backup holds keys"
        )


def _key(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase.encode()))


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">QI", number, int(last))


@dataclass
class _Sealing:
    """Encrypts what is written, a piece at a time; the last piece says that it is the last."""

    out: IO[bytes]
    passphrase: str
    _held: bytearray = field(default_factory=bytearray)
    _number: int = 0

    def __enter__(self) -> "_Sealing":
        salt = secrets.token_bytes(SALT_BYTES)
        self._cipher = _key(self.passphrase, salt)
        self.out.write(MAGIC + salt)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._seal(bytes(self._held), last=True)

    def write(self, content: bytes) -> int:
        """Take more."""
        self._held += content
        while len(self._held) > PIECE_BYTES:
            self._seal(bytes(self._held[:PIECE_BYTES]), last=False)
            del self._held[:PIECE_BYTES]
        return len(content)

    def _seal(self, piece: bytes, last: bool) -> None:
        sealed = self._cipher.encrypt(_nonce(self._number, last), piece, MAGIC)
        self.out.write(struct.pack(">I?", len(sealed), last) + sealed)
        self._number += 1


class _Opening(BufferedIOBase):
    """Decrypts a backup while it is read."""

    def __init__(self, source: IO[bytes], passphrase: str) -> None:
        if source.read(len(MAGIC)) != MAGIC:
            raise HepafedError("this file is no backup of Hepafed's")
        self._source, self._cipher = source, _key(passphrase, source.read(SALT_BYTES))
        self._held, self._number, self.ended = b"", 0, False

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer at the end."""
        wanted = -1 if size is None else size
        while (wanted < 0 or len(self._held) < wanted) and not self.ended:
            self._held += self._piece()
        cut = len(self._held) if wanted < 0 else wanted
        found, self._held = self._held[:cut], self._held[cut:]
        return found

    def _piece(self) -> bytes:
        head = self._source.read(5)
        if len(head) < 5:
            raise HepafedError("the backup ends too early: it is not whole, take another copy")
        length, last = struct.unpack(">I?", head)
        if length > PIECE_BYTES + 64:
            raise HepafedError("the backup is damaged: take another copy")
        try:
            piece = self._cipher.decrypt(_nonce(self._number, last), self._source.read(length), MAGIC)
        except InvalidTag:
            why = (
                "the passphrase is another one, or the file is damaged"
                if self._number == 0
                else "the file is damaged"
            )
            raise HepafedError(f"the backup does not open: {why}") from None
        self._number += 1
        self.ended = last
        return piece


def _names_large_answer(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder == LARGE_ANSWERS and LARGE_ANSWER.fullmatch(file) is not None


def _unpack(source: Path, passphrase: str, room: Path, names: set[str]) -> None:
    with source.open("rb") as file:
        sealed = _Opening(file, passphrase)
        with tarfile.open(mode="r|", fileobj=sealed) as archive:
            for member in archive:
                if not (member.name in names or _names_large_answer(member.name)) or not member.isfile():
                    raise HepafedError(f"the backup holds {member.name!r}, which no backup of this version holds")
                content = archive.extractfile(member)
                assert content is not None
                private_folder((room / member.name).parent)
                with open(os.open(room / member.name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
                    shutil.copyfileobj(content, out)
        while not sealed.ended:  # the pieces after the archive's end are checked as well
            sealed.read(PIECE_BYTES)
