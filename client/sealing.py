"""The hospital's store is encrypted at rest; its key is kept by the hospital, and this is where it is looked for.

The whole file is encrypted page by page, its write-ahead log included, by SQLCipher (AES-256, each page
authenticated). The key is, in this order: the environment's HEPAFED_STORE_KEY; what site.yaml names as `store_key`
(a file, or `keyring` for the operating system's); store.key beside the store, made when it is first needed.
"""

import fcntl
import importlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlcipher3 import dbapi2

from common import private_files
from common.errors import Code, HepafedError, HospitalError
from common.private_files import private_folder, write_private

STORE = "store.sqlite"
"""The hospital's one SQLite file, in its own folder."""
LARGE_ANSWERS = f"{STORE}.answers"
"""The folder beside it (client/large_answers.py)."""
IDENTITY = "identity.key"
STORE_KEY = "store.key"
ENVIRONMENT = "HEPAFED_STORE_KEY"
KEYRING = "keyring"

_PLAIN_SQLITE = b"SQLite format 3\0"
_KEY_BYTES = 32
_SECONDS_TO_WAIT = 60


@dataclass(frozen=True)
class OwnFolder:
    """The folder in which a hospital keeps its store and identity, and what site.yaml says of their key.

    Parameters
    ----------
    named_key
        site.yaml's `store_key`: the path of a file, or `keyring`; None: store.key in the folder itself.
    """

    path: Path
    named_key: str | None = None

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.path / STORE

    @property
    def large_answers(self) -> Path:
        """The folder of the answers that are too large for the file."""
        return self.path / LARGE_ANSWERS

    @property
    def key_file(self) -> Path:
        """The file of the store's key, where it is kept in a file."""
        return Path(self.named_key) if self.named_key else self.path / STORE_KEY

    @property
    def identity(self) -> Path:
        """The file of the hospital's long-term key."""
        return self.path / IDENTITY


@dataclass(frozen=True)
class SealingKey:
    """The key of a store, and in words where it came from; the key is never printed."""

    secret: bytes = field(repr=False)
    origin: str

    def derived(self, purpose: str) -> bytes:
        """A key of its own for another purpose; from it the store's key cannot be learned."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"hepafed {purpose}".encode()).derive(self.secret)


def sealing_key(own: OwnFolder) -> SealingKey:
    """The key that this hospital's store and identity are sealed with; made where nothing is sealed yet."""
    environment = os.environ.get(ENVIRONMENT)
    if environment:
        origin = f"the environment ({ENVIRONMENT})"
        return SealingKey(_key_in(environment, origin), origin)
    if own.named_key == KEYRING:
        return _key_in_keyring(own)
    path = own.key_file
    if own.named_key is None:
        refuse_if_others_may_read(path)
    if not path.exists():
        with alone_in(own.path):
            if not path.exists():
                _refuse_to_make(own, str(path))
                _refuse_missing_folder(path)
                write_key(path)
    return key_in_file(path)


def key_in_file(path: Path) -> SealingKey:
    """The key that a file holds."""
    return SealingKey(_key_in(path.read_text(encoding="ascii", errors="replace"), str(path)), str(path))


def connect(own: OwnFolder, read_only: bool = False) -> sqlite3.Connection:
    """Open a store with its key; a key that does not fit and a file that is not encrypted are refused in words."""
    if not read_only:
        private_folder(own.path)
    key = sealing_key(own)
    if not read_only:
        # SQLite gives its log the mode of the file. An open file is never touched here: to close it would
        # release the locks that other threads hold on it.
        _create_private(own.store)
    return connect_with(own, key, read_only)


def connect_with(own: OwnFolder, key: SealingKey, read_only: bool = False) -> sqlite3.Connection:
    """Open a store with this key, or say in words that it does not fit."""
    where = f"{own.store.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}"
    database = dbapi2.connect(
        where, uri=True, timeout=_SECONDS_TO_WAIT, check_same_thread=False, isolation_level=None
    )
    try:
        database.execute("PRAGMA cipher_log_level = NONE")  # what went wrong is said below, once
        database.execute(f"PRAGMA key = \"x'{key.secret.hex()}'\"")
        database.execute("PRAGMA temp_store = MEMORY")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except dbapi2.DatabaseError as error:
        database.close()
        if error.sqlite_errorname != "SQLITE_NOTADB":
            raise
        raise _cannot_open(own, key) from None
    return database


def write_key(path: Path) -> None:
    """A new key in a file."""
    write_private(path, secrets.token_hex(_KEY_BYTES).encode() + b"\n")


def refuse_if_others_may_read(path: Path) -> None:
    """A key beside the store is its owner's alone."""
    try:
        private_files.refuse_if_others_may_read(path)
    except HepafedError as error:
        raise HospitalError(Code.STORE_SEALED, str(error)) from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One process at a time makes the keys of a folder."""
    private_folder(folder)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def what_is_lost(own_folder: Path) -> str:
    """What a hospital loses with the key of its store, and what it does not."""
    return (
        "Put the right key back from where you keep its copy. Without it are lost: the ledger, the answers kept for "
        "running studies (they go on without this hospital), the hospital's secret that draws its folds, the "
        "features extracted from images (`hepafed site extract` computes them again) and the hospital's identity "
        "(the other hospitals compare a new fingerprint). Not lost: patients.csv, the images and everything else in "
        f"the hospital's folder. To start anew, move {STORE}*, {IDENTITY} and {STORE_KEY} out of {own_folder}"
    )


def _cannot_open(own: OwnFolder, key: SealingKey) -> HospitalError:
    with own.store.open("rb") as file:
        plain = file.read(len(_PLAIN_SQLITE)) == _PLAIN_SQLITE
    if plain:
        return HospitalError(
            Code.STORE_SEALED,
            f"{own.store} is not encrypted: an earlier version wrote it, or somebody put it there. It is not "
            f"mixed with an encrypted store: move {STORE}* out of {own.path}; a new one is made, and "
            "`hepafed site extract` computes features again",
        )
    return HospitalError(
        Code.STORE_SEALED,
        f"{own.store} does not open with the key from {key.origin}: it was sealed with another key, or the file "
        f"is damaged. {_interrupted(own)}{what_is_lost(own.path)}",
    )


def pending_key(own: OwnFolder) -> Path:
    """Where a new key lies while it is not yet the one (client/resealing.py)."""
    return own.key_file.with_name(own.key_file.name + ".new")


def _interrupted(own: OwnFolder) -> str:
    if not pending_key(own).exists():
        return ""
    return "A renewal of the key was interrupted: `hepafed site identity --new-store-key` finishes it. "


def _refuse_to_make(own: OwnFolder, missing: str) -> None:
    """A new key where something is sealed already would only hide that the old one is gone."""
    sealed = [name for name in (STORE, IDENTITY) if _holds_something(own.path / name)]
    if sealed:
        raise HospitalError(
            Code.STORE_SEALED,
            f"{missing} is not there, and {' and '.join(sealed)} in {own.path} cannot be opened without "
            f"it. {what_is_lost(own.path)}",
        )


def _refuse_missing_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise HospitalError(
            Code.STORE_SEALED,
            f"site.yaml names {path} as the store's key, and there is no folder {path.parent}: is a disk to be "
            "mounted first? Otherwise make the folder",
        )


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _create_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return


def _key_in(text: str, origin: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise HospitalError(
            Code.STORE_SEALED,
            f"{origin} holds no store key: {2 * _KEY_BYTES} hexadecimal digits are expected, as "
            f"`openssl rand -hex {_KEY_BYTES}` writes them, not {len(text.strip())} characters",
        )
    return key


def _key_in_keyring(own: OwnFolder) -> SealingKey:
    """The key in the operating system's keyring, under the place of the hospital's own folder."""
    try:
        keyring: Any = importlib.import_module("keyring")
    except ImportError:
        raise HospitalError(
            Code.STORE_SEALED,
            "site.yaml says store_key: keyring, and the Python package keyring is not installed: "
            "pip install keyring, or name a file",
        ) from None
    service, entry = "hepafed", str(own.path.resolve())
    origin = f"the keyring (service {service}, entry {entry})"
    try:
        found = keyring.get_password(service, entry)
        if found is None:
            with alone_in(own.path):
                if keyring.get_password(service, entry) is None:
                    _refuse_to_make(own, origin)
                    keyring.set_password(service, entry, secrets.token_hex(_KEY_BYTES))
            found = keyring.get_password(service, entry) or ""
    except keyring.errors.KeyringError as error:
        raise HospitalError(
            Code.STORE_SEALED,
            f"{origin} cannot be read: {error}; unlock it, or set {ENVIRONMENT}, or name a file in site.yaml",
        ) from None
    return SealingKey(_key_in(found, origin), origin)
