"""The coordinator's checkpoint: every total, kept by the question it answers.

A study run is straight-line code that asks questions. After a crash it is run again from its first line; what
has been answered is read from here, so the run goes on where it stopped, to the same bits. Large totals (networks')
lie beside the file, each in one of its own: a database would write them page by page, and twice.
"""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from common.errors import Code, StudyStopped
from common.packed_arrays import Arrays, pack_arrays, parts_of, unpack_arrays
from common.private_files import private_folder
from common.query import Disclosed, Total, canonical_json
from common.study import Study
from common.whole_files import whole_bytes

SCHEMA = """
CREATE TABLE IF NOT EXISTS studies   (hash TEXT PRIMARY KEY, content TEXT NOT NULL, begun TEXT);
CREATE TABLE IF NOT EXISTS exchanges (question TEXT NOT NULL, roster TEXT NOT NULL, sums BLOB NOT NULL,
                                      disclosed TEXT NOT NULL, bytes_up TEXT NOT NULL,
                                      PRIMARY KEY (question, roster));
CREATE TABLE IF NOT EXISTS opened    (question TEXT NOT NULL, roster TEXT NOT NULL, content BLOB NOT NULL,
                                      PRIMARY KEY (question, roster));
CREATE TABLE IF NOT EXISTS lost      (position INTEGER PRIMARY KEY AUTOINCREMENT, hospital TEXT NOT NULL UNIQUE,
                                      code TEXT NOT NULL, query TEXT NOT NULL);
"""
LARGE = 2**20
"""Bytes from which a total lies beside the checkpoint."""
BESIDE = b"beside"
"""What stands in its place; a packed total begins with a bracket."""
_DISCLOSED = TypeAdapter(dict[str, Disclosed])
_BYTES = TypeAdapter(dict[str, int])


@dataclass(frozen=True)
class Exchange:
    """One question that was answered: the total, and how many bytes each answer took.

    Parameters
    ----------
    opened
        Of counts: with what the hospitals add them up themselves (common/secure_sum/opened.py).
    """

    total: Total
    bytes_up: dict[str, int]
    opened: bytes = b""


@dataclass(frozen=True)
class Begun:
    """Who passed the roll call of a run, and who could not take part.

    Parameters
    ----------
    said
        What each hospital of the roster answered at the roll call, as it came.
    lost
        Hospitals of the roster that were lost since: they need not be there when the run goes on.
    """

    roster: tuple[str, ...]
    left_out: Mapping[str, Code]
    said: Mapping[str, bytes] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Loss:
    """A hospital that was lost after its sums had been used."""

    hospital: str
    code: Code
    query: str


class Checkpoint:
    """One study's checkpoint file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._beside = path.with_name(f"{path.name}.totals")
        path.chmod(0o600)  # totals are for the coordinator alone; SQLite gives its other files the same mode
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA page_size=65536")  # a network's totals are tens of megabytes
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin(self, study: Study) -> None:
        """Tie the checkpoint to a study; StudyStopped if it belongs to another."""
        row = self._database.execute("SELECT hash FROM studies").fetchone()
        if row is not None and row[0] != study.hash:
            raise StudyStopped(
                "study.yaml has changed since this run began: put it back as it was to resume, or start a new run"
            )
        self._database.execute("INSERT OR IGNORE INTO studies VALUES (?, ?, NULL)", (study.hash, study.to_json()))

    def begin_with(self, begun: "Begun") -> None:
        """Keep who passed the roll call and who did not; a resumed run keeps to it."""
        said = {name: packed.hex() for name, packed in begun.said.items()}
        content = canonical_json({"roster": list(begun.roster), "left_out": dict(begun.left_out), "said": said})
        self._database.execute("UPDATE studies SET begun = ? WHERE begun IS NULL", (content,))

    def begun(self) -> "Begun | None":
        """Who the run began with; None before the roll call."""
        row = self._database.execute("SELECT begun FROM studies").fetchone()
        if row is None or row[0] is None:
            return None
        content = json.loads(row[0])
        left_out = {name: Code(code) for name, code in content["left_out"].items()}
        said = {name: bytes.fromhex(packed) for name, packed in content.get("said", {}).items()}
        return Begun(tuple(content["roster"]), left_out, said, frozenset(loss.hospital for loss in self.losses()))

    def find(self, question: str, roster: tuple[str, ...]) -> Exchange | None:
        """The exchange in which this roster answered this question, if it has."""
        row = self._database.execute(
            "SELECT sums, disclosed, bytes_up, content FROM exchanges LEFT JOIN opened USING (question, roster) "
            "WHERE question = ? AND roster = ?",
            (question, canonical_json(sorted(roster))),
        ).fetchone()
        packed = None if row is None else self._sums(row[0], question, roster)
        if row is None or packed is None:
            return None
        total = Total(sums=unpack_arrays(packed), disclosed=_DISCLOSED.validate_json(row[1]))
        return Exchange(total=total, bytes_up=_BYTES.validate_json(row[2]), opened=row[3] or b"")

    def keep(self, question: str, roster: tuple[str, ...], exchange: Exchange) -> None:
        """Keep an exchange."""
        self._database.execute(
            "INSERT OR REPLACE INTO exchanges VALUES (?, ?, ?, ?, ?)",
            (
                question,
                canonical_json(sorted(roster)),
                self._kept(exchange.total.sums, question, roster),
                _DISCLOSED.dump_json(exchange.total.disclosed, exclude_defaults=True).decode(),
                canonical_json(exchange.bytes_up),
            ),
        )
        if exchange.opened:
            self._database.execute(
                "INSERT OR REPLACE INTO opened VALUES (?, ?, ?)",
                (question, canonical_json(sorted(roster)), exchange.opened),
            )

    def _kept(self, sums: Arrays, question: str, roster: tuple[str, ...]) -> bytes:
        """What the checkpoint holds of a total: all of it, or that it lies beside."""
        if sum(array.nbytes for array in sums.values()) < LARGE:
            return pack_arrays(sums)
        private_folder(self._beside)
        with whole_bytes(self._place(question, roster)) as file:
            file.writelines(parts_of(sums))
        return BESIDE

    def _sums(self, kept: bytes, question: str, roster: tuple[str, ...]) -> bytes | None:
        """A packed total; None where its file is gone: the hospitals send the same answers again."""
        if kept != BESIDE:
            return kept
        try:
            return self._place(question, roster).read_bytes()
        except FileNotFoundError:
            return None

    def _place(self, question: str, roster: tuple[str, ...]) -> Path:
        return self._beside / hashlib.sha256(f"{question} {canonical_json(sorted(roster))}".encode()).hexdigest()

    def keep_loss(self, loss: Loss) -> None:
        """Keep that a hospital was lost: a resumed run goes on without it, as the first one did."""
        self._database.execute(
            "INSERT OR IGNORE INTO lost (hospital, code, query) VALUES (?, ?, ?)",
            (loss.hospital, loss.code.value, loss.query),
        )

    def losses(self) -> list[Loss]:
        """The hospitals that were lost, in that order."""
        rows = self._database.execute("SELECT hospital, code, query FROM lost ORDER BY position").fetchall()
        return [Loss(hospital=row[0], code=Code(row[1]), query=row[2]) for row in rows]
