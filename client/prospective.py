"""A locked model on patients who come later, inside the hospital: each is predicted once, by the registered lock.

The hospital's store keeps which lock it began with, when, and every patient's first prediction; neither is rewritten.
Patients of the cohort that trained the model are no new patients: they are left out by their ids, and a new id with the
values of one of them is refused. Others who were there at the first use of the lock are predicted and marked: somebody
may have known them when the model was fixed, so the locked analysis counts those who came later. Patients who trained,
or at a hospital that did not train those who were there at first use, are the ones from whom a harmonised model's shift
and scale are worked out, so that later patients change no earlier prediction. Nothing is sent.
"""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Cursor

import numpy as np

from client.cohort.cohort import Cohort
from client.cohort.faults import some
from client.gate_rules.memory import Memory
from client.own_files import write_csv
from client.scoring import Scored, read_patients, score_patients
from client.site import Site
from client.store import Store
from common.errors import HepafedError
from common.locked_study import LockedStudy

TABLES = """
CREATE TABLE IF NOT EXISTS prospective_locks    (study TEXT PRIMARY KEY, lock TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS prospective_present  (lock TEXT, patient TEXT, PRIMARY KEY (lock, patient));
CREATE TABLE IF NOT EXISTS prospective_patients (lock TEXT, patient TEXT, predicted TEXT NOT NULL, at TEXT NOT NULL,
                                                 PRIMARY KEY (lock, patient))
"""
FOLDER = "prospective"


@dataclass(frozen=True)
class Applied:
    """What was done: new patients predicted now and before, those of the training cohort left out, and since when.

    Parameters
    ----------
    present
        Of the predicted patients, those who were there already when the lock was first used.
    """

    now: int
    before: int
    present: int
    training: int
    since: str
    file: Path
    notes: tuple[str, ...]


def apply_locked(site: Site, locked: LockedStudy, registered: str | None = None) -> Applied:
    """Predict a hospital's new patients with a locked model, each once; the file is in the hospital's own folder.

    Parameters
    ----------
    registered
        The hash that was registered, where somebody gives it to be compared.

    Raises
    ------
    HepafedError
        Where the lock is not the registered one, or who is new cannot be told.
    """
    if registered is not None and registered != locked.hash:
        raise HepafedError(
            f"the lock's hash is {locked.hash}, registered was {registered}: model, threshold or plan were changed "
            "since; use the registered file"
        )
    cohort, notes = read_patients(site, locked.model)
    with closing(Store(site.own)) as store:
        for statement in TABLES.split(";"):
            store.run(statement)
        trained = frozenset(Memory(store).patients(locked.model.study.hash))
        _refuse_unknown_cohort(site, locked, trained)
        _refuse_copies(cohort, trained)
        with store.transaction() as execute:
            since = _begin(execute, locked)
            present = _present(execute, locked, cohort)
        teachers = trained or (present if locked.model.harmonises else frozenset())
        _refuse_absent(site, locked, cohort, teachers)
        scored = score_patients(site, locked.model, cohort, teachers, notes)
        with store.transaction() as execute:
            now = _keep(execute, locked, scored, trained)
            kept = execute(
                "SELECT patient, predicted, at FROM prospective_patients WHERE lock = ? ORDER BY at, patient",
                locked.hash,
            ).fetchall()
    file = site.own_folder / FOLDER / f"{locked.model.study.study}@{locked.hash[:12]}.csv"
    _write(file, locked, [(str(patient), json.loads(str(text)), str(at)) for patient, text, at in kept], present)
    return Applied(
        now=now,
        before=len(kept) - now,
        present=sum(str(patient) in present for patient, _, _ in kept),
        training=len(trained & set(cohort.ids)),
        since=since,
        file=file,
        notes=(*notes, *_changed(scored, kept)),
    )


def _refuse_unknown_cohort(site: Site, locked: LockedStudy, trained: frozenset[str]) -> None:
    if site.name in locked.model.hospitals and not trained:
        raise HepafedError(
            f"{site.name} trained this model, and its own folder {site.own_folder} does not know with which patients: "
            "who is new cannot be told. Put back the store of that study, or name its folder (own_folder)"
        )


def _refuse_copies(cohort: Cohort, trained: frozenset[str]) -> None:
    """A patient of the training cohort under another id."""
    table = np.column_stack([*cohort.columns.values(), cohort.features])
    rows = {
        patient: row.tobytes() for patient, row in zip(cohort.ids, table, strict=True) if not np.isnan(row).all()
    }
    known = {row for patient, row in rows.items() if patient in trained}
    copies = [patient for patient, row in rows.items() if patient not in trained and row in known]
    if copies and table.shape[1] > 1:
        raise HepafedError(
            f"{some(copies, 5)}: the same values as a patient who trained the model, under another id: take them out "
            "of patients.csv, or give them their old id; new patients only count"
        )


def _begin(execute: Callable[..., Cursor], locked: LockedStudy) -> str:
    """When this hospital first used the lock; another one of the same study is refused."""
    study = locked.model.study.study
    execute("INSERT OR IGNORE INTO prospective_locks VALUES (?, ?, ?)", study, locked.hash, _now())
    begun, since = execute("SELECT lock, at FROM prospective_locks WHERE study = ?", study).fetchone()
    if begun != locked.hash:
        raise HepafedError(
            f"this hospital began {study} at {since} with the lock {begun}; this one is {locked.hash}. A locked study "
            "keeps its model, threshold and plan: use the first file, or begin another study under another name"
        )
    return str(since)


def _present(execute: Callable[..., Cursor], locked: LockedStudy, cohort: Cohort) -> frozenset[str]:
    """The patients who were there at first use, whoever of them trained."""
    select = "SELECT patient FROM prospective_present WHERE lock = ?"
    if execute(select, locked.hash).fetchone() is None:
        for patient in cohort.ids:
            execute("INSERT INTO prospective_present VALUES (?, ?)", locked.hash, patient)
    return frozenset(str(row[0]) for row in execute(select, locked.hash).fetchall())


def _refuse_absent(site: Site, locked: LockedStudy, cohort: Cohort, teachers: frozenset[str]) -> None:
    absent = sorted(teachers - set(cohort.ids))
    if locked.model.harmonises and absent:
        raise HepafedError(
            f"{site.name}: its shift and scale rest on {len(teachers)} patients of whom {len(absent)} are no longer in "
            f"patients.csv ({some(absent, 5)}): put them back, or predictions of earlier patients would change"
        )


def _keep(execute: Callable[..., Cursor], locked: LockedStudy, scored: Scored, trained: frozenset[str]) -> int:
    """Keep the first prediction of every new patient; how many are first predicted now."""
    count, at = 0, _now()
    for row, patient in enumerate(scored.ids):
        if patient in trained:
            continue
        predicted = json.dumps({name: float(values[row]) for name, values in scored.columns.items()})
        count += execute(
            "INSERT OR IGNORE INTO prospective_patients VALUES (?, ?, ?, ?)", locked.hash, patient, predicted, at
        ).rowcount
    return count


def _changed(scored: Scored, kept: list[tuple[str, str, str]]) -> list[str]:
    """Patients whose values now give another prediction than the one that counts."""
    first = {str(patient): json.loads(str(text)) for patient, text, _ in kept}
    changed = [
        patient
        for row, patient in enumerate(scored.ids)
        if patient in first
        and any(abs(first[patient][name] - float(v[row])) > 1e-9 for name, v in scored.columns.items())
    ]
    if not changed:
        return []
    return [f"{some(changed, 5)}: values have changed since; the first prediction counts and stays"]


def _write(
    file: Path, locked: LockedStudy, kept: list[tuple[str, dict[str, float], str]], present: frozenset[str]
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    names = list(kept[0][1]) if kept else []
    classify = locked.threshold is not None and "probability" in names
    header = ["id", *names, *(["positive"] if classify else []), "came_later", "predicted_at", "lock"]
    lines = []
    for patient, predicted, at in kept:
        positive = [int(predicted["probability"] > (locked.threshold or 0.0))] if classify else []
        later = int(patient not in present)
        lines.append([patient, *(repr(predicted[name]) for name in names), *positive, later, at, locked.hash])
    write_csv(file, header, lines)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
