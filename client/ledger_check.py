"""Whether the ledger is as it was written: any entry that was edited, removed or moved is found.

What cannot be found from the ledger alone is that its last entries are gone, or that everything was written anew by
somebody who holds both of the hospital's keys. For that the hash of the last entry, the head, is exported from time
to time to where the hospital's administrators cannot change it; a head that was exported must still be in the chain.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from client.identity import verify
from client.ledger import PURPOSE, START, Entry, Kind, hash_of
from client.store import Store
from common.errors import HospitalError


@dataclass(frozen=True)
class Verdict:
    """What a check of the ledger found.

    Parameters
    ----------
    faults
        In words, each with the entry that it is about; none: the ledger is whole.
    """

    entries: int
    faults: tuple[str, ...]


def check_ledger(store: Store, public: bytes, exported: str | None = None) -> Verdict:
    """Hold every entry against its hash, its signature, its neighbours and the answer that is kept with it.

    Parameters
    ----------
    public
        The hospital's public key (`Identity.public_bytes`).
    exported
        A head that was exported earlier.
    """
    rows = [_Row(int(number), *map(bytes, kept)) for number, *kept in store.all(_ROWS)]
    faults = [*_chain(rows, public), *_answers(store, rows)]
    if exported is not None and exported != START and exported not in {hash_of(row.text) for row in rows}:
        faults.append(
            f"the head {exported} is not in this ledger: the entry that it was the hash of, and perhaps others, "
            "were removed or written anew since it was exported"
        )
    return Verdict(len(rows), tuple(faults))


_ROWS = (
    "SELECT number, CAST(entry AS BLOB), CAST(hash AS BLOB), CAST(signature AS BLOB) FROM ledger ORDER BY number"
)


@dataclass(frozen=True)
class _Row:
    """An entry as it lies in the store: bytes that anybody may have changed."""

    number: int
    text: bytes
    hash: bytes
    signature: bytes

    @property
    def entry(self) -> Entry | None:
        try:
            return Entry.from_text(self.text.decode())
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def _chain(rows: list[_Row], public: bytes) -> Iterator[str]:
    previous, expected = START, 1
    for row in rows:
        place = f"entry {row.number}"
        if row.number > expected:
            missing = (
                f"entry {expected}" if row.number == expected + 1 else f"entries {expected} to {row.number - 1}"
            )
            yield f"{place}: what stood before it is missing ({missing})"
        chained = hash_of(row.text)
        if chained.encode() != row.hash:
            yield f"{place}: it was edited; its hash is not that of its text"
        if not verify(public, bytes.fromhex(chained), row.signature, PURPOSE):
            yield f"{place}: its signature is not this hospital's for this text"
        entry = row.entry
        if entry is None:
            yield f"{place}: its text is no entry"
        elif entry.number != row.number:
            yield f"{place}: it was moved here; it was written as entry {entry.number}"
        elif entry.previous != previous:
            yield f"{place}: the entry before it is not the one that it was written after"
        previous, expected = chained, row.number + 1


def _answers(store: Store, rows: list[_Row]) -> Iterator[str]:
    for row in rows:
        entry = row.entry
        if entry is None or entry.kind is not Kind.ANSWER:
            continue
        try:
            kept = store.kept_by_digest(entry.unmasked)
        except HospitalError:  # its file does not open
            kept = b""
        if kept is None:
            yield f"entry {row.number}: the answer that was kept with it was removed"
        elif hashlib.sha256(kept).hexdigest() != entry.unmasked:
            yield f"entry {row.number}: the answer that was kept with it was edited"
