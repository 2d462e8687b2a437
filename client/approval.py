"""What this hospital has approved: a study by its hash, with a roster of names and key fingerprints, until a day.

Outside simulations nothing is answered without an approval. It is looked up for every query, so that revoking one
stops a running study at its next question.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from client.store import Store
from common.errors import Code, HepafedError, HospitalError, StudyError
from common.query import FEWEST_HOSPITALS, canonical_json
from common.room import fewest_of, roster_hash
from common.strict_yaml import read_yaml
from common.study import HOSPITAL_NAME, Study

TABLE = """CREATE TABLE IF NOT EXISTS approvals (study TEXT NOT NULL, name TEXT NOT NULL, roster TEXT NOT NULL,
    roster_hash TEXT NOT NULL, approved_by TEXT NOT NULL, approved_at TEXT NOT NULL, ethics TEXT NOT NULL,
    expires TEXT, maximum_queries INTEGER NOT NULL, revoked_at TEXT)"""
COLUMNS = "study, name, roster, approved_by, approved_at, ethics, expires, maximum_queries, revoked_at"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Approval:
    """One approved study.

    Parameters
    ----------
    study
        The study's hash.
    roster
        Name → fingerprint of the hospital's long-term key, as compared out of band.
    expires
        The last day of the ethics vote; None: no such day.
    maximum_queries
        How many questions the study may ask at most.
    """

    study: str
    name: str
    roster: Mapping[str, str]
    approved_by: str
    approved_at: str
    ethics: str
    expires: date | None
    maximum_queries: int
    revoked_at: str | None = None

    def check(self, today: date) -> None:
        """HospitalError where the approval no longer holds."""
        if self.revoked_at is not None:
            raise HospitalError(
                Code.REVOKED,
                f"the approval of {self.name} was revoked at {self.revoked_at}; to go on: hepafed site approve",
            )
        if self.expires is not None and today > self.expires:
            raise HospitalError(
                Code.EXPIRED,
                f"the approval of {self.name} (ethics {self.ethics or 'without a number'}) ended on {self.expires}; "
                "approve again with the new date: hepafed site approve --ethics-until",
            )

    def check_roster(self, names: tuple[str, ...]) -> None:
        """HospitalError where these are not the approved hospitals, or fewer than two thirds and one more."""
        strangers = sorted(set(names) - set(self.roster))
        least = fewest_of(self.roster)
        if strangers or len(set(names)) < least:
            raise HospitalError(
                Code.OTHER_ROSTER,
                f"the question is asked of {', '.join(names)}; approved were {', '.join(sorted(self.roster))}, of "
                f"which {least} must be there"
                + (f": nobody here approved {', '.join(strangers)}" if strangers else "")
                + "; approve again with the roster as it is, after comparing fingerprints",
            )


def approve(store: Store, approval: Approval) -> None:
    """Record an approval; of one study the last one counts, the others stay as a record."""
    store.run(TABLE)
    store.run(
        "INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        approval.study,
        approval.name,
        canonical_json(dict(approval.roster)),
        roster_hash(approval.roster),
        approval.approved_by,
        approval.approved_at,
        approval.ethics,
        None if approval.expires is None else approval.expires.isoformat(),
        approval.maximum_queries,
        approval.revoked_at,
    )


def revoke(store: Store, study: str) -> list[str]:
    """Revoke the approvals of a study, by its name or hash; the hashes that were revoked now."""
    store.run(TABLE)
    unrevoked = "SELECT DISTINCT study FROM approvals WHERE (study = ? OR name = ?) AND revoked_at IS NULL"
    found = [str(row[0]) for row in store.all(unrevoked, study, study)]
    for study_hash in found:
        store.run("UPDATE approvals SET revoked_at = ? WHERE study = ? AND revoked_at IS NULL", _now(), study_hash)
    return found


def approvals(store: Store) -> list[Approval]:
    """Every approval, the latest last."""
    store.run(TABLE)
    return [_read(row) for row in store.all(f"SELECT {COLUMNS} FROM approvals ORDER BY rowid")]  # noqa: S608


def approval_of(store: Store, study: Study) -> Approval:
    """The approval of exactly this study; HospitalError where there is none."""
    store.run(TABLE)
    last = f"SELECT {COLUMNS} FROM approvals WHERE study = ? ORDER BY rowid DESC LIMIT 1"  # noqa: S608
    row = store.first(last, study.hash)
    if row is not None:
        return _read(row)
    other = store.first("SELECT study FROM approvals WHERE name = ? ORDER BY rowid DESC", study.study)
    if other is not None:
        raise HospitalError(
            Code.ALTERED,
            f"approved was the study {study.study} with the hash {other[0]}; the coordinator asks for one with the "
            f"hash {study.hash}. Whoever changed it must say what changed; then: hepafed site approve",
        )
    raise HospitalError(
        Code.NOT_APPROVED,
        f"nobody here approved the study {study.study} ({study.hash}): hepafed site approve study.yaml --roster …",
    )


def approved_now(study: Study, roster: Mapping[str, str], by: str, maximum_queries: int, **more: Any) -> Approval:
    """An approval given at this moment; `more`: ethics, expires."""
    given = {"ethics": "", "expires": None} | more
    return Approval(study.hash, study.study, roster, by, _now(), maximum_queries=maximum_queries, **given)


def read_roster(path: Path) -> dict[str, str]:
    """The roster in a YAML file of lines `name: fingerprint`; HepafedError says what is wrong with it."""
    content, lines = read_yaml(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}: write one line a hospital, name: fingerprint of its key")
    roster: dict[str, str] = {}
    for name, fingerprint in content.items():
        where = f"{path}, line {lines.get((str(name),), 1)}"
        read = re.sub(r"[\s:]", "", str(fingerprint)).lower()
        if not HOSPITAL_NAME.fullmatch(str(name)):
            raise StudyError(f"{where}: {name!r} is no name of a hospital (letters, digits, - _ .)")
        if not _FINGERPRINT.fullmatch(read):
            raise StudyError(
                f"{where}: {name}: a fingerprint has 64 hexadecimal digits, as `hepafed site identity` prints it "
                f"there; found {len(read)} characters (digits alone need quotes)"
            )
        roster[str(name)] = read
    if len(roster) < FEWEST_HOSPITALS:
        raise StudyError(f"{path}: {len(roster)} hospitals; a study needs {FEWEST_HOSPITALS}")
    if len(set(roster.values())) < len(roster):
        raise StudyError(f"{path}: two hospitals have one key; every hospital brings its own")
    return roster


def check_own_seat(roster: Mapping[str, str], hospital: str, fingerprint: str) -> None:
    """HepafedError where this hospital is not in the roster under its own key."""
    if hospital not in roster:
        raise HepafedError(
            f"this hospital is called {hospital}, and the roster names {', '.join(sorted(roster))}: "
            "mend the name in site.yaml, or have the roster mended"
        )
    if roster[hospital] != fingerprint:
        raise HepafedError(
            f"the roster has the fingerprint {roster[hospital]} for {hospital}, and the key here has {fingerprint}: "
            "somebody else would speak for this hospital. Have the roster mended before approving"
        )


def _read(row: tuple[Any, ...]) -> Approval:
    study, name, roster, by, at, ethics, expires, maximum, revoked = row
    until = None if expires is None else date.fromisoformat(expires)
    return Approval(study, name, json.loads(roster), by, at, ethics, until, maximum, revoked)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
