"""The hospital's one SQLite file: what has been agreed, asked and answered.

Queries are pure, conversations are durable: studies and views are kept by hash, an answered question is kept
with the roster it was answered under, and the cohort of a study is frozen by the digest of its rows.
"""

import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
"""

OTHER_ROSTER = "SELECT 1 FROM answered WHERE study = ? AND roster NOT IN (?, ?)"
NOBODY = "[]"
"""The roster of a roll call, which is asked before there is one."""


@dataclass(frozen=True)
class Answered:
    """What is kept of a question: the answer under this roster, and whether another roster got one."""

    answer: bytes | None
    under_another_roster: bool


class Store:
    """One hospital's store; safe for the threads of one process and for several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file; whatever was answered is on disk."""
        with self._lock:
            self._database.close()

    def keep_study(self, study_hash: str, content: str) -> None:
        """Keep the text of a study by its hash."""
        self._run("INSERT OR IGNORE INTO studies VALUES (?, ?)", study_hash, content)

    def study(self, study_hash: str) -> str | None:
        """The text of a study, if this hospital was ever sent it."""
        row = self._first("SELECT content FROM studies WHERE hash = ?", study_hash)
        return None if row is None else str(row[0])

    def keep_view(self, view_hash: str, content: bytes) -> None:
        """Keep a view by its hash."""
        self._run("INSERT OR IGNORE INTO views VALUES (?, ?)", view_hash, content)

    def view(self, view_hash: str) -> bytes:
        """A view that was sent before; the coordinator is asked to send it again if it is not here."""
        row = self._first("SELECT content FROM views WHERE hash = ?", view_hash)
        if row is None:
            raise HospitalError(Code.UNKNOWN_VIEW, f"the view {view_hash} is not in this hospital's store")
        return bytes(row[0])

    def freeze_cohort(self, study_hash: str, digest: str) -> None:
        """Freeze the cohort of a study, or refuse one that differs from the frozen one."""
        now = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"
        self._run(f"INSERT OR IGNORE INTO cohorts VALUES (?, ?, {now})", study_hash, digest)  # noqa: S608
        row = self._first("SELECT digest, frozen_at FROM cohorts WHERE study = ?", study_hash)
        if row is not None and row[0] != digest:
            raise HospitalError(
                Code.COHORT_CHANGED,
                f"the cohort of this study was frozen on {row[1]} and the hospital's files have changed since: "
                "put the files back as they were, or ask the coordinator for a new version of the study",
            )

    def answered(self, study_hash: str, question: str, roster: str) -> Answered:
        """What this hospital has said to a question, and whether another roster got any answer in the study."""
        row = self._first("SELECT answer FROM answered WHERE question = ? AND roster = ?", question, roster)
        return Answered(
            answer=None if row is None else bytes(row[0]),
            under_another_roster=self._first(OTHER_ROSTER, study_hash, roster, NOBODY) is not None,
        )

    def keep_answer(self, study_hash: str, question: str, roster: str, answer: bytes, other_rosters: bool) -> None:
        """Keep an answer before it leaves; asked again, the same bytes are sent.

        Where other rosters are not allowed, an answer that was given under one in the meantime is an error.
        """
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            other = self._database.execute(OTHER_ROSTER, (study_hash, roster, NOBODY)).fetchone()
            if other is not None and roster != NOBODY and not other_rosters:
                raise HospitalError(Code.SINGLE_HOSPITAL, "another roster got an answer in this study meanwhile")
            self._database.execute(
                "INSERT OR IGNORE INTO answered VALUES (?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                (study_hash, question, roster, answer),
            )

    def may_say_in_clear(self, study_hash: str, figure: str, question: str) -> bool:
        """Whether a figure in clear may leave: once a study, with the first question that asks for it."""
        self._run("INSERT OR IGNORE INTO in_clear VALUES (?, ?, ?)", study_hash, figure, question)
        row = self._first("SELECT question FROM in_clear WHERE study = ? AND figure = ?", study_hash, figure)
        return row is not None and row[0] == question

    def secret(self, purpose: str) -> str:
        """A secret of this hospital's, made when it is first needed."""
        self._run("INSERT OR IGNORE INTO secrets VALUES (?, ?)", purpose, secrets.token_hex(32))
        row = self._first("SELECT value FROM secrets WHERE purpose = ?", purpose)
        return str(row[0]) if row is not None else ""

    def _run(self, statement: str, *values: object) -> None:
        with self._lock:
            self._database.execute(statement, values)

    def _first(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        return row
