"""Large answers lie beside the store, each in a sealed file: a database would write them page by page, and twice.

Key and name of a file follow from a secret inside the store and from the answer's SHA-256. So a file opens only with
the store's key and only as the answer that it was written as, its name says nothing, and a new key of the store does
not touch it (client/resealing.py).
"""

import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import Code, HospitalError
from common.private_files import private_folder
from common.whole_files import whole_bytes

LARGE = 2**20
"""Bytes from which an answer lies beside the store."""
_ONCE = bytes(12)
"""The nonce: a key seals one answer, always the same."""


class LargeAnswers:
    """The sealed files of a store."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._folder, self._secret = folder, secret

    def keep(self, digest: str, answer: bytes) -> None:
        """Seal an answer in a file that is on disk when this returns."""
        private_folder(self._folder)
        with whole_bytes(self._path(digest), several_writers=True) as file:
            file.write(AESGCM(self._derived("key", digest)).encrypt(_ONCE, answer, None))
        opened = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(opened)  # its name, too, outlives a power cut
        finally:
            os.close(opened)

    def read(self, digest: str) -> bytes | None:
        """The answer; None where its file is gone."""
        try:
            sealed = self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return AESGCM(self._derived("key", digest)).decrypt(_ONCE, sealed, None)
        except InvalidTag:
            raise HospitalError(
                Code.STORE_SEALED,
                f"{self._path(digest)} is not what was written there: put back a backup of the store",
            ) from None

    def _path(self, digest: str) -> Path:
        return self._folder / self._derived("name", digest).hex()

    def _derived(self, purpose: str, digest: str) -> bytes:
        return hmac.digest(self._secret, f"{purpose} {digest}".encode(), "sha256")
