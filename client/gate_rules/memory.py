"""What the gate remembers of a study between questions; it is in the hospital's store, whatever is killed."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, field

from client.store import Store
from common.counting import COUNTED_BY
from common.query import Arrays, Query, View, canonical_json, pack_arrays, unpack_arrays

TABLES = """
CREATE TABLE IF NOT EXISTS gate_rooms     (study TEXT, roster TEXT, seats TEXT NOT NULL, PRIMARY KEY (study, roster));
CREATE TABLE IF NOT EXISTS gate_views     (study TEXT, roster TEXT, hash TEXT, step TEXT NOT NULL, place TEXT NOT NULL,
                                           PRIMARY KEY (study, roster, hash));
CREATE TABLE IF NOT EXISTS gate_questions (study TEXT NOT NULL, roster TEXT, question TEXT, name TEXT NOT NULL,
                                           view TEXT, splits TEXT NOT NULL, parameters TEXT NOT NULL,
                                           arrays BLOB NOT NULL, PRIMARY KEY (question, roster));
CREATE TABLE IF NOT EXISTS gate_patients  (study TEXT, patient TEXT, values_digest TEXT NOT NULL,
                                           PRIMARY KEY (study, patient));
CREATE TABLE IF NOT EXISTS gate_again     (study TEXT, settings TEXT NOT NULL, kind TEXT, patient TEXT,
                                           digest TEXT NOT NULL, PRIMARY KEY (study, kind, patient));
CREATE TABLE IF NOT EXISTS gate_cohorts   (study TEXT PRIMARY KEY, name TEXT NOT NULL, columns TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS gate_unlocked  (study TEXT PRIMARY KEY, name TEXT NOT NULL, outcome TEXT NOT NULL,
                                           model TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS gate_spent     (study TEXT, roster TEXT, question TEXT, squared REAL NOT NULL,
                                           PRIMARY KEY (study, roster, question));
CREATE TABLE IF NOT EXISTS gate_counts    (roster TEXT, question TEXT, counts BLOB NOT NULL,
                                           PRIMARY KEY (question, roster))
"""


@dataclass(frozen=True)
class Earlier:
    """A question that was let through before.

    Parameters
    ----------
    counts
        What all hospitals answered to a question that counts patients, where this hospital added it up; else empty.
    """

    name: str
    view: str | None
    splits: tuple[str, ...]
    parameters: dict[str, object]
    arrays: Arrays
    counts: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """A frozen cohort: the study's hash and name, and a digest of the columns that its patients' digests are over."""

    study: str
    name: str
    columns: str


@dataclass(frozen=True)
class Unlocked:
    """Sealed patients' outcomes, first used: by which study, for which outcome, to judge which model, and when."""

    study: str
    name: str
    outcome: str
    model: str
    at: str


class Memory:
    """What was let through, by study and roster; what is judged and what is noted count together or not at all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        for statement in TABLES.split(";"):
            store.run(statement)

    def room(self, study: str, roster: str) -> str | None:
        """The room of a study's roster, as it was first handed round."""
        row = self._store.first("SELECT seats FROM gate_rooms WHERE study = ? AND roster = ?", study, roster)
        return None if row is None else str(row[0])

    def rooms(self, study: str) -> list[str]:
        """The rooms of all of a study's rosters."""
        return [str(row[0]) for row in self._store.all("SELECT seats FROM gate_rooms WHERE study = ?", study)]

    def keep_room(self, study: str, roster: str, seats: str) -> str:
        """Keep a room unless there is one; the one that counts from now on."""
        self._store.run("INSERT OR IGNORE INTO gate_rooms VALUES (?, ?, ?)", study, roster, seats)
        return self.room(study, roster) or seats

    def let_views_through(
        self,
        study: str,
        roster: str,
        views: Sequence[View],
        judge: Callable[[View, str, list[tuple[str, str]]], None],
    ) -> None:
        """Note views, each judged beside the steps and places of those that are known already."""
        with self._store.transaction() as execute:
            for view in views:
                where = (study, roster)
                known = execute("SELECT hash, step, place FROM gate_views WHERE study = ? AND roster = ?", *where)
                rows = [tuple(map(str, row)) for row in known.fetchall()]
                if view.hash in {row[0] for row in rows}:
                    continue
                place = canonical_json([view.step, view.parent, list(view.splits)])
                judge(view, place, [(row[1], row[2]) for row in rows])
                execute("INSERT INTO gate_views VALUES (?, ?, ?, ?, ?)", *where, view.hash, view.step, place)

    def let_question_through(
        self, query: Query, roster: str, judge: Callable[[list[Earlier], int], None], *, with_arrays: bool = True
    ) -> None:
        """Note a question, judged beside the earlier ones of its name and the number of all; a known one passes.

        Parameters
        ----------
        with_arrays
            Whether later questions are held against this one's arrays.
        """
        with self._store.transaction() as execute:
            same = "SELECT 1 FROM gate_questions WHERE question = ? AND roster = ?"
            if execute(same, query.question, roster).fetchone():
                return
            found = execute(
                EARLIER, query.study, roster, canonical_json([query.name, *JUDGED_BESIDE.get(query.name, ())])
            ).fetchall()
            total = execute("SELECT count(*) FROM gate_questions WHERE study = ?", query.study).fetchone()[0]
            judge([_earlier(row) for row in found], int(total))
            execute(
                "INSERT INTO gate_questions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                query.study,
                roster,
                query.question,
                query.name,
                query.view,
                canonical_json(list(query.splits)),
                canonical_json(dict(query.parameters)),
                pack_arrays(query.arrays if with_arrays else {}),
            )

    def was_asked(self, study: str, roster: str, question: str, names: Iterable[str]) -> bool:
        """Whether a question of one of these names was let through."""
        row = self._store.first(WAS_ASKED, study, roster, question, canonical_json(sorted(names)))
        return row is not None

    def has_counts(self, roster: str, question: str) -> bool:
        """Whether all hospitals' counts of a question are known."""
        known = "SELECT 1 FROM gate_counts WHERE question = ? AND roster = ?"
        return self._store.first(known, question, roster) is not None

    def keep_counts(self, roster: str, question: str, counts: Arrays) -> None:
        """Keep what all hospitals counted, once it was added up here."""
        self._store.run(
            "INSERT OR IGNORE INTO gate_counts VALUES (?, ?, ?)", roster, question, pack_arrays(counts)
        )

    def unlocked(self) -> list[Unlocked]:
        """Every study that has looked at sealed outcomes."""
        rows = self._store.all("SELECT study, name, outcome, model, at FROM gate_unlocked")
        return [Unlocked(*map(str, row)) for row in rows]

    def unlock(self, asked: Unlocked) -> Unlocked:
        """Note that a study looks at sealed outcomes, unless it did before; the note that counts."""
        self._store.run("INSERT OR IGNORE INTO gate_unlocked VALUES (?, ?, ?, ?, ?)", *astuple(asked))
        return next(note for note in self.unlocked() if note.study == asked.study)

    def spend(
        self,
        query: Query,
        roster: str,
        squared: float,
        patients: Sequence[str],
        judge: Callable[[float, float], None],
    ) -> float:
        """Note once what a question spends of the privacy budget, judged beside the rest; what the study has spent.

        Parameters
        ----------
        judge
            Is given what this study has spent, and the most that all studies together have spent on any one of these
            patients, this question included.
        """
        with self._store.transaction() as execute:
            same = "SELECT 1 FROM gate_spent WHERE study = ? AND roster = ? AND question = ?"
            own = execute("SELECT sum(squared) FROM gate_spent WHERE study = ?", query.study).fetchone()[0] or 0.0
            if execute(same, query.study, roster, query.question).fetchone():
                return float(own)
            others = execute(SPENT_ON_A_PATIENT, query.study, canonical_json(list(patients))).fetchone()
            judge(float(own) + squared, float(own) + squared + float(others[0] if others else 0.0))
            execute("INSERT INTO gate_spent VALUES (?, ?, ?, ?)", query.study, roster, query.question, squared)
            return float(own) + squared

    def spent_elsewhere(self, study: str, patients: Sequence[str]) -> float:
        """What other studies have spent on the one of these patients on whom they have spent most."""
        row = self._store.first(SPENT_ON_A_PATIENT, study, canonical_json(list(patients)))
        return 0.0 if row is None else float(row[0])

    def knows_cohort(self, study: str) -> bool:
        """Whether a study's cohort was frozen."""
        return self._store.first("SELECT 1 FROM gate_cohorts WHERE study = ?", study) is not None

    def cohorts(self) -> list["Kept"]:
        """Every frozen cohort."""
        return [Kept(*map(str, row)) for row in self._store.all("SELECT study, name, columns FROM gate_cohorts")]

    def patients(self, study: str) -> dict[str, str]:
        """Who was in the frozen cohort of a study, each with a digest of values; nobody where none was frozen."""
        rows = self._store.all("SELECT patient, values_digest FROM gate_patients WHERE study = ?", study)
        return {str(patient): str(digest) for patient, digest in rows}

    def keep_cohort(self, study: str, name: str, columns: str, patients: dict[str, str]) -> None:
        """Keep who was in a study's cohort when it was frozen."""
        with self._store.transaction() as execute:
            if execute("SELECT 1 FROM gate_cohorts WHERE study = ?", study).fetchone():
                return
            execute("INSERT INTO gate_cohorts VALUES (?, ?, ?)", study, name, columns)
            for patient, digest in patients.items():
                execute("INSERT INTO gate_patients VALUES (?, ?, ?)", study, patient, digest)

    def measured_again(self, study: str) -> tuple[dict[str, dict[str, str]], str]:
        """Who of a frozen cohort had what, patient → digest by kind, and under which settings."""
        found: dict[str, dict[str, str]] = {}
        settings = ""
        for kept, kind, patient, digest in self._store.all(
            "SELECT settings, kind, patient, digest FROM gate_again WHERE study = ?", study
        ):
            settings = str(kept)
            found.setdefault(str(kind), {})[str(patient)] = str(digest)
        return found, settings

    def keep_measured_again(self, study: str, settings: str, found: dict[str, dict[str, str]]) -> None:
        """Keep who of a study's cohort had what when it was frozen."""
        with self._store.transaction() as execute:
            execute("DELETE FROM gate_again WHERE study = ?", study)
            for kind, digests in found.items():
                for patient, digest in digests.items():
                    execute(
                        "INSERT INTO gate_again VALUES (?, ?, ?, ?, ?)",
                        study,
                        settings,
                        kind,
                        patient,
                        digest,
                    )


SPENT_ON_A_PATIENT = """SELECT sum(squared) AS spent FROM gate_spent JOIN gate_patients USING (study)
    WHERE study != ? AND patient IN (SELECT value FROM json_each(?))
    GROUP BY patient ORDER BY spent DESC LIMIT 1"""
"""What other studies than one have spent on the one of some patients on whom they have spent most."""

WAS_ASKED = """SELECT 1 FROM gate_questions
    WHERE study = ? AND roster = ? AND question = ? AND name IN (SELECT value FROM json_each(?))"""
EARLIER = """SELECT name, view, splits, parameters, arrays, counts
    FROM gate_questions LEFT JOIN gate_counts USING (question, roster)
    WHERE study = ? AND roster = ? AND name IN (SELECT value FROM json_each(?))"""

JUDGED_BESIDE = {name: (*counting, *COUNTED_BY) for name, counting in COUNTED_BY.items()} | {
    "training_counts": ("score_counts",)
}
"""By question the others that it is judged beside: counts without the outcome, and what looked at it in their cells."""


def _earlier(row: tuple[object, ...]) -> Earlier:
    name, view, splits, parameters, arrays, counts = row
    return Earlier(
        str(name),
        None if view is None else str(view),
        tuple(json.loads(str(splits))),
        json.loads(str(parameters)),
        unpack_arrays(bytes(arrays)) if isinstance(arrays, bytes) else {},
        unpack_arrays(counts) if isinstance(counts, bytes) else {},
    )
