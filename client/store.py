"""The hospital's one SQLite file, encrypted (client/sealing.py): what has been agreed, asked and answered.

Queries are pure, conversations are durable: studies and views are kept by hash, an answered question is kept
with the roster it was answered under, and the cohort of a study is frozen by the digest of its rows. Features are
kept by what they were computed from (client/extraction_run/kept.py). Large answers lie beside it, sealed
(client/large_answers.py).
"""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from client.large_answers import LARGE, seal, unseal
from client.sealing import OwnFolder, connect
from client.store_versions import bring_up_to_date
from common.errors import Code, HospitalError

SCHEMA = """
CREATE TABLE IF NOT EXISTS studies  (hash TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS views    (hash TEXT PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cohorts  (study TEXT PRIMARY KEY, digest TEXT NOT NULL, frozen_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answered (study TEXT NOT NULL, question TEXT NOT NULL, roster TEXT NOT NULL,
                                     answer BLOB NOT NULL, answered_at TEXT NOT NULL,
                                     PRIMARY KEY (question, roster));
CREATE TABLE IF NOT EXISTS in_clear (study TEXT NOT NULL, figure TEXT NOT NULL, question TEXT NOT NULL,
                                     PRIMARY KEY (study, figure));
CREATE TABLE IF NOT EXISTS secrets  (purpose TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS ledger         (number INTEGER PRIMARY KEY, entry TEXT NOT NULL, hash TEXT NOT NULL,
                                           signature BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ledger_answers (digest TEXT PRIMARY KEY, answer BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_repeated ON ledger (json_extract(entry, '$.digest'))
    WHERE json_extract(entry, '$.kind') = 'answer';
CREATE TRIGGER IF NOT EXISTS ledger_not_edited BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_not_removed BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_not_replaced BEFORE INSERT ON ledger
    WHEN EXISTS (SELECT 1 FROM ledger WHERE number >= NEW.number)
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_answers_not_edited BEFORE UPDATE ON ledger_answers
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_answers_not_removed BEFORE DELETE ON ledger_answers
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_answers_not_replaced BEFORE INSERT ON ledger_answers
    WHEN EXISTS (SELECT 1 FROM ledger_answers WHERE digest = NEW.digest)
    BEGIN SELECT RAISE(ABORT, 'the ledger takes new entries only'); END;

CREATE TABLE IF NOT EXISTS image_folders (patient TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS extractions   (key TEXT PRIMARY KEY, patient TEXT NOT NULL, reason TEXT,
                                          again INTEGER NOT NULL, records TEXT NOT NULL, seconds REAL NOT NULL,
                                          extracted_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS feature_names (hash TEXT PRIMARY KEY, names TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS feature_rows  (key TEXT NOT NULL, measurement TEXT NOT NULL, lesion INTEGER NOT NULL,
                                          names TEXT NOT NULL, features BLOB NOT NULL,
                                          PRIMARY KEY (key, measurement, lesion));
CREATE TABLE IF NOT EXISTS patches       (key TEXT PRIMARY KEY, patient TEXT NOT NULL, reason TEXT,
                                          again INTEGER NOT NULL, notes TEXT NOT NULL, voxels BLOB NOT NULL,
                                          seconds REAL NOT NULL, made_at TEXT NOT NULL);
"""

OTHER_ROSTER = "SELECT 1 FROM answered WHERE study = ? AND roster NOT IN (?, ?)"
IN_LEDGER = b"ledger "
"""How a large answer is kept that the ledger holds too: this and its digest there. An answer begins with a brace."""
BESIDE = b"beside "
"""What stands in the ledger for a large answer, which lies beside the store: this and the key of its file."""
NOBODY = "[]"
"""The roster of a roll call, which is asked before there is one."""


@dataclass(frozen=True)
class Answered:
    """What is kept of a question: the answer under this roster, and whether another roster got one."""

    answer: bytes | None
    under_another_roster: bool


class Store:
    """One hospital's store; safe for the threads of one process and for several processes."""

    def __init__(self, own: OwnFolder) -> None:
        self.path = own.store
        self._beside = own.large_answers
        self._lock = threading.RLock()  # the gate scores patients, by a network's own state, inside a transaction
        self._database = connect(own)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")  # an entry of the ledger outlives a power cut, too
        try:
            bring_up_to_date(self._database, self.path)
        except BaseException:
            self._database.close()
            raise
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; whatever was answered is on disk."""
        with self._lock:
            self._database.close()

    def keep_study(self, study_hash: str, content: str) -> None:
        """Keep the text of a study by its hash."""
        self.run("INSERT OR IGNORE INTO studies VALUES (?, ?)", study_hash, content)

    def study(self, study_hash: str) -> str | None:
        """The text of a study, if this hospital was ever sent it."""
        row = self.first("SELECT content FROM studies WHERE hash = ?", study_hash)
        return None if row is None else str(row[0])

    def keep_view(self, view_hash: str, content: bytes) -> None:
        """Keep a view by its hash."""
        self.run("INSERT OR IGNORE INTO views VALUES (?, ?)", view_hash, content)

    def view(self, view_hash: str) -> bytes:
        """A view that was sent before; the coordinator is asked to send it again if it is not here."""
        row = self.first("SELECT content FROM views WHERE hash = ?", view_hash)
        if row is None:
            raise HospitalError(Code.UNKNOWN_VIEW, f"the view {view_hash} is not in this hospital's store")
        return bytes(row[0])

    def freeze_cohort(self, study_hash: str, digest: str) -> None:
        """Freeze the cohort of a study, or refuse one that differs from the frozen one."""
        now = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"
        self.run(f"INSERT OR IGNORE INTO cohorts VALUES (?, ?, {now})", study_hash, digest)  # noqa: S608
        row = self.first("SELECT digest, frozen_at FROM cohorts WHERE study = ?", study_hash)
        if row is not None and row[0] != digest:
            raise HospitalError(
                Code.COHORT_CHANGED,
                f"the cohort of this study was frozen on {row[1]} and the hospital's files have changed since: "
                "put the files back as they were, or ask the coordinator for a new version of the study",
            )

    def answered(self, study_hash: str, question: str, roster: str) -> Answered:
        """What this hospital has said to a question, and whether another roster got any answer in the study."""
        row = self.first("SELECT answer FROM answered WHERE question = ? AND roster = ?", question, roster)
        return Answered(
            answer=None if row is None else self._in_full(bytes(row[0])),
            under_another_roster=self.first(OTHER_ROSTER, study_hash, roster, NOBODY) is not None,
        )

    def questions_answered(self, study_hash: str) -> int:
        """How many different questions of a study this hospital has answered, its roll call included."""
        found = self.first("SELECT count(DISTINCT question) FROM answered WHERE study = ?", study_hash)
        return 0 if found is None else int(found[0])

    def keep_answer(
        self, study_hash: str, question: str, roster: str, answer: bytes, digest: str, other_rosters: bool
    ) -> bytes:
        """Keep an answer before it leaves, unless one is kept; what is kept, and sent whenever it is asked again.

        Where other rosters are not allowed, an answer that was given under one in the meantime is an error.

        Parameters
        ----------
        digest
            The answer's SHA-256.
        """
        with self.transaction() as execute:
            other = execute(OTHER_ROSTER, study_hash, roster, NOBODY).fetchone()
            if other is not None and roster != NOBODY and not other_rosters:
                raise HospitalError(Code.SINGLE_HOSPITAL, "another roster got an answer in this study meanwhile")
            same = "SELECT answer FROM answered WHERE question = ? AND roster = ?"
            kept = execute(same, question, roster).fetchone()
            if kept is None:
                execute(
                    "INSERT INTO answered VALUES (?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                    study_hash,
                    question,
                    roster,
                    answer if len(answer) < LARGE else self._kept_in_ledger(execute, digest, answer),
                )
        return answer if kept is None else self._in_full(bytes(kept[0]))

    def _in_full(self, kept: bytes) -> bytes:
        """An answer that was kept; a large one from the ledger (client/ledger.py)."""
        if not kept.startswith(IN_LEDGER):
            return kept
        digest = kept.removeprefix(IN_LEDGER).decode()
        answer = self.kept_by_digest(digest)
        if answer is None:
            raise HospitalError(
                Code.STORE_SEALED,
                f"the answer {digest} that was sent before is no longer in the ledger: put back a backup of the store",
            )
        return answer

    def keep_by_digest(self, execute: Callable[..., sqlite3.Cursor], digest: str, answer: bytes) -> None:
        """Keep an answer for the ledger by its SHA-256, unless it is there, inside a transaction."""
        if execute("SELECT 1 FROM ledger_answers WHERE digest = ?", digest).fetchone():
            return
        if len(answer) >= LARGE:
            answer = BESIDE + seal(self._beside, digest, answer)
        execute("INSERT INTO ledger_answers VALUES (?, ?)", digest, answer)

    def kept_by_digest(self, digest: str) -> bytes | None:
        """An answer that was kept for the ledger; None where it is gone, HospitalError where its file was changed."""
        row = self.first("SELECT answer FROM ledger_answers WHERE digest = ?", digest)
        if row is None:
            return None
        kept = row[0] if isinstance(row[0], bytes) else b""  # what somebody wrote there
        return unseal(self._beside, digest, kept.removeprefix(BESIDE)) if kept.startswith(BESIDE) else kept

    def _kept_in_ledger(self, execute: Callable[..., sqlite3.Cursor], digest: str, answer: bytes) -> bytes:
        """What stands instead of a large answer, which the ledger keeps alone."""
        self.keep_by_digest(execute, digest, answer)
        return IN_LEDGER + digest.encode()

    def may_say_in_clear(self, study_hash: str, figure: str, question: str) -> bool:
        """Whether a figure in clear may leave: once a study, with the first question that asks for it."""
        self.run("INSERT OR IGNORE INTO in_clear VALUES (?, ?, ?)", study_hash, figure, question)
        row = self.first("SELECT question FROM in_clear WHERE study = ? AND figure = ?", study_hash, figure)
        return row is not None and row[0] == question

    def secret(self, purpose: str) -> str:
        """A secret of this hospital's, made when it is first needed."""
        self.run("INSERT OR IGNORE INTO secrets VALUES (?, ?)", purpose, secrets.token_hex(32))
        row = self.first("SELECT value FROM secrets WHERE purpose = ?", purpose)
        return str(row[0]) if row is not None else ""

    def run(self, statement: str, *values: object) -> None:
        """Run one statement, on its own."""
        with self._lock:
            self._database.execute(statement, values)

    def first(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row that a statement finds."""
        with self._lock:
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Every row that a statement finds."""
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """Statements that count together or not at all, run by what is yielded."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield lambda statement, *values: self._database.execute(statement, values)


def extractions(own: OwnFolder) -> tuple[int, int]:
    """How many extractions a store holds, and the number of the last one: equal as long as nothing was extracted."""
    if not own.store.is_file():
        return 0, 0
    with closing(connect(own, read_only=True)) as database:
        found = database.execute("SELECT count(*), coalesce(max(rowid), 0) FROM extractions").fetchone()
    return int(found[0]), int(found[1])


def patches_made(own: OwnFolder) -> tuple[int, int]:
    """The same of the patches that a store holds."""
    if not own.store.is_file():
        return 0, 0
    with closing(connect(own, read_only=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'patches'").fetchone():
            return 0, 0
        found = database.execute("SELECT count(*), coalesce(max(rowid), 0) FROM patches").fetchone()
    return int(found[0]), int(found[1])
