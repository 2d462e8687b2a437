"""The ledger: every answer that left this hospital, in the order in which it left.

An entry is written before its answer is sent, and a second one when it was handed over for sending: a crash between
the two leaves an answer that is listed as prepared, never an answer without an entry. Each entry names the hash of
the one before it and is signed with the hospital's long-term key; client/ledger_check.py finds what was changed
since. The answer as it was before masking is kept beside the entry, for the hospital's own officer. The store
refuses to change or delete entries, but whoever holds the store's key can do away with that: the chain is the proof.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from client.identity import Identity, verify
from client.store import Store
from common import wire
from common.errors import Code, HospitalError
from common.query import Answer, Disclosed, Query, canonical_json

START = "0" * 64
"""What the first entry names as the hash before it."""
PURPOSE = "an entry of the ledger"
LONGEST_NAME = 100
MOST_NAMES = 200
Threshold = int | float | str


class Kind(StrEnum):
    """What an entry is about."""

    ANSWER = "answer"
    REPETITION = "repetition"
    """The bytes of an earlier answer, asked for again."""
    REFUSAL = "refusal"
    SENT = "sent"
    """The answer of an earlier entry was handed over for sending."""
    UNMASKING = "unmasking"
    """Shares that open the total of a question over the whole roster."""


@dataclass(frozen=True)
class Leaving:
    """An answer that is about to leave.

    Parameters
    ----------
    query
        What was asked; None where a message was no query.
    packed
        The bytes that leave, masked where the study masks.
    answer
        The answer before it was masked, packed (common/wire.py).
    thresholds
        What the gate held the answer against, by name.
    digest
        SHA-256 of `answer`, where it is known already: of a large one it takes a while.
    """

    query: Query | None
    packed: bytes
    answer: bytes
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    digest: str | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Parameters
    ----------
    previous
        The hash of the entry before.
    question
        SHA-256 of what was asked, parameters included (`Query.question`).
    shapes, in_clear
        The arrays that were summed, and the names of the figures that left in clear.
    digest
        SHA-256 of the bytes that left.
    unmasked
        SHA-256 of the answer before masking, which is kept beside the ledger.
    code
        Why it was refused.
    of
        The earlier entry that this one is about; 0: none.
    """

    number: int
    kind: Kind
    at: str
    previous: str
    study: str = ""
    query: str = ""
    question: str = ""
    roster: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_clear: tuple[str, ...] = ()
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    digest: str = ""
    unmasked: str = ""
    code: str = ""
    of: int = 0

    def text(self) -> str:
        """The entry as it is kept and hashed; what is empty is left out."""
        return canonical_json({name: value for name, value in asdict(self).items() if value or name == "number"})

    @staticmethod
    def from_text(text: str) -> "Entry":
        """The entry that `text()` wrote; anything else raises ValueError or TypeError."""
        read = json.loads(text)
        for name in ("roster", "in_clear"):
            read[name] = tuple(read.get(name, ()))
        read["shapes"] = {name: tuple(shape) for name, shape in read.get("shapes", {}).items()}
        return Entry(**{**read, "kind": Kind(read["kind"])})


def hash_of(text: bytes) -> str:
    """What the next entry names."""
    return hashlib.sha256(b"hepafed ledger\n" + text).hexdigest()


class Ledger:
    """The ledger in a hospital's store; several threads and processes may write to it."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity

    def prepare(self, leaving: Leaving) -> int:
        """Write down an answer before it is sent; the number of its entry."""
        disclosed, shapes = wire.shapes_in_bytes(leaving.answer)
        what = _about(leaving, disclosed, shapes)
        with self._store.transaction() as execute:
            if disclosed.code is not None:
                return self._append(execute, Kind.REFUSAL, code=disclosed.code.value, **what)
            earlier = _earlier(execute, what)
            if earlier:
                return self._append(execute, Kind.REPETITION, of=earlier, **what)
            self._store.keep_by_digest(execute, what["unmasked"], leaving.answer)
            return self._append(execute, Kind.ANSWER, **what)

    def unmasking(self, study: str, question: str, roster: tuple[str, ...], shares: bytes) -> None:
        """Write down that shares are about to leave which open the total of a question."""
        digest = hashlib.sha256(shares).hexdigest()
        with self._store.transaction() as execute:
            self._append(
                execute, Kind.UNMASKING, study=study, question=_printable(question), roster=roster, digest=digest
            )

    def sent(self, number: int) -> None:
        """Write down that the answer of an entry was handed over for sending."""
        with self._store.transaction() as execute:
            self._append(execute, Kind.SENT, of=number)

    def _append(self, execute: Callable[..., Any], kind: Kind, **what: Any) -> int:
        """One more entry at the end of the chain, inside a transaction: nobody else can take the same place."""
        end = execute("SELECT number, hash, signature FROM ledger ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (1, START) if end is None else (int(end[0]) + 1, str(end[1]))
        if end is not None and not verify(self._identity.public_bytes, bytes.fromhex(previous), end[2], PURPOSE):
            raise HospitalError(
                Code.STORE_SEALED,
                f"the last entry of the ledger, {end[0]}, is not signed with this hospital's key: put back the "
                "identity.key that belongs to the store; if it is there, `hepafed site ledger --verify` says more",
            )
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = Entry(number=number, kind=kind, at=at, previous=previous, **what).text()
        chained = hash_of(text.encode())
        signature = self._identity.sign(bytes.fromhex(chained), PURPOSE)
        execute("INSERT INTO ledger VALUES (?, ?, ?, ?)", number, text, chained, signature)
        return number


def head(store: Store) -> tuple[int, str]:
    """The last entry's number and hash; an empty ledger's are 0 and `START`."""
    end = store.first("SELECT number, hash FROM ledger ORDER BY number DESC LIMIT 1")
    return (0, START) if end is None else (int(end[0]), str(end[1]))


def entries(store: Store) -> list[Entry]:
    """Every entry, in order; ValueError or TypeError where one is not what was written."""
    return [Entry.from_text(text) for (text,) in store.all("SELECT entry FROM ledger ORDER BY number")]


def kept_answer(store: Store, entry: Entry) -> Answer | None:
    """The answer of an entry before it was masked; None for an entry that has none."""
    kept = store.kept_by_digest(entry.unmasked)
    return None if kept is None else wire.answer_from_bytes(kept)


def _about(leaving: Leaving, disclosed: Disclosed, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    query, unmasked = leaving.query, leaving.digest or hashlib.sha256(leaving.answer).hexdigest()
    masked = leaving.answer is not leaving.packed
    asked = (
        {}
        if query is None
        else {
            "study": _printable(query.study),
            "query": query.name,
            "question": query.question,
            "roster": tuple(sorted(_printable(name) for name in query.roster[:MOST_NAMES])),
        }
    )
    return asked | {
        "shapes": dict(sorted(shapes.items())),
        "in_clear": tuple(sorted(disclosed.model_dump(exclude_defaults=True))),
        "thresholds": dict(leaving.thresholds),
        "digest": hashlib.sha256(leaving.packed).hexdigest() if masked else unmasked,
        "unmasked": unmasked,
    }


def _printable(text: str) -> str:
    """What a message called something, fit for a terminal and a line: a stranger may have written it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:LONGEST_NAME])


def _earlier(execute: Callable[..., Any], what: Mapping[str, Any]) -> int:
    """The entry under which the same bytes left as the answer to the same question and roster; 0: none."""
    found = execute(
        "SELECT entry FROM ledger WHERE json_extract(entry, '$.kind') = 'answer' "
        "AND json_extract(entry, '$.digest') = ? ORDER BY number",
        what["digest"],
    )
    for (text,) in found.fetchall():
        entry = Entry.from_text(text)
        if (entry.question, entry.roster) == (what.get("question", ""), what.get("roster", ())):
            return entry.number
    return 0
