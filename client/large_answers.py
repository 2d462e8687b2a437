"""Large answers lie beside the store, each in a sealed file: a database would write them page by page, and twice.

Every file has a random key, which the store keeps in its place. So a file opens only with the store and only as the
answer that it was written as, its name says nothing, and a new key of the store protects what is written after it
(client/resealing.py). A file that no store names, after a crash, is noise.
"""

import os
import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import Code, HospitalError
from common.private_files import private_folder
from common.whole_files import whole_bytes

LARGE = 2**20
"""Bytes from which an answer lies beside the store."""
_KEY_BYTES = 32
_ONCE = bytes(12)
"""The nonce: a key seals one answer."""


def seal(folder: Path, digest: str, answer: bytes) -> bytes:
    """Seal an answer of this SHA-256 in a file that is on disk when this returns; its key."""
    key = secrets.token_bytes(_KEY_BYTES)
    private_folder(folder)
    with whole_bytes(_path(folder, key)) as file:
        file.write(AESGCM(key).encrypt(_ONCE, answer, digest.encode()))
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)  # its name, too, outlives a power cut
    finally:
        os.close(opened)
    return key


def unseal(folder: Path, digest: str, key: bytes) -> bytes | None:
    """The answer; None where its file is gone."""
    path = _path(folder, key)
    try:
        return AESGCM(key).decrypt(_ONCE, path.read_bytes(), digest.encode())
    except FileNotFoundError:
        return None
    except (InvalidTag, ValueError, IsADirectoryError):  # another file, a key of another length, or no file
        raise HospitalError(
            Code.STORE_SEALED, f"{path} is not what was written there: put back a backup of the store"
        ) from None


def _path(folder: Path, key: bytes) -> Path:
    return folder / sha256(b"name" + key).hexdigest()
