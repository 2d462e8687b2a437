"""Pseudonyms: HMAC-SHA256 of a patient's number under a key that never leaves the hospital.

Without the key nobody can try all numbers of a hospital and see which pseudonym comes out; with it the hospital gives
the same patient the same pseudonym in every import (RFC 2104; ENISA, Pseudonymisation techniques, 2019).
"""

import base64
import csv
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from common.errors import Code, HospitalError
from common.whole_files import whole

_KEY_BYTES = 32
_LETTERS = 10  # 50 bits: among 100,000 patients the chance that two share a pseudonym is 1 in 200,000


class Pseudonyms:
    """The pseudonyms of one hospital."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"the key has {len(key)} bytes, not {_KEY_BYTES}")
        self._key = key

    def of(self, patient_id: str) -> str:
        """The pseudonym of a patient's number; spaces around it do not count."""
        return "P-" + self._code(f"patient\0{patient_id.strip()}", _LETTERS)

    def of_series(self, uid: str, part: int) -> str:
        """A short name of a series for lists."""
        return self._code(f"series\0{uid}\0{part}", 6)

    def _code(self, text: str, letters: int) -> str:
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:letters]


def open_key(path: Path) -> Pseudonyms:
    """The hospital's key; made on first use, readable by its owner alone.

    Raises
    ------
    HospitalError
        If others can read it, or it is damaged: another key would give every patient another pseudonym.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return open_key(path)
        with open(opened, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise HospitalError(
            Code.BAD_SITE_FILE,
            f"{path}: others can read the key of the pseudonyms (mode {mode:o}); run: chmod 600 {path}, "
            "and make new pseudonyms if anybody may have copied it",
        )
    try:
        return Pseudonyms(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except ValueError:
        raise HospitalError(
            Code.BAD_SITE_FILE,
            f"{path}: this is no key of {_KEY_BYTES} bytes in hexadecimal; restore it from the backup, since a new "
            "key gives every patient another pseudonym",
        ) from None


def write_identities(path: Path, identities: Mapping[str, str]) -> None:
    """Add to the list that tells the hospital who is who: patient_id, id; readable by its owner alone.

    Parameters
    ----------
    identities
        The hospital's own number → pseudonym.
    """
    known = dict(identities)
    if path.exists():
        with path.open(newline="", encoding="utf-8-sig") as file:
            known = {row["patient_id"]: row["id"] for row in csv.DictReader(file)} | known
    with whole(path, encoding="utf-8-sig") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["patient_id", "id"])
        table.writerows(sorted(known.items()))
