"""Whether a study that is about to be approved would be refused later, because its cohort nearly is another one's.

The gate freezes a cohort at a study's first question and refuses a second one that differs from it by a few patients
(client/gate_rules/cohorts.py). At approval that can be known before: of cohorts that are frozen, and of those of
approved studies that have asked nothing yet, which are read as they are today.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from client.approval import Approval, approvals
from client.cohort.cohort import read_cohort
from client.gate_rules.cohorts import changes_between, columns_of, patients_of
from client.gate_rules.memory import Memory
from client.site import Site
from client.store import Store
from common.errors import HospitalError, StudyError
from common.study import Study

TABLE = "CREATE TABLE IF NOT EXISTS approved_studies (study TEXT PRIMARY KEY, content TEXT NOT NULL)"


def keep_approved(store: Store, study: Study) -> None:
    """Keep what an approved study says, so that the next one can be held against it before it asks anything."""
    store.run(TABLE)
    store.run("INSERT OR IGNORE INTO approved_studies VALUES (?, ?)", study.hash, study.to_json())


def near_cohorts(site: Site, store: Store, study: Study) -> list[str]:
    """What the gate would refuse a study for, in words; empty where its cohort is far from all others, or the same."""
    memory = Memory(store)
    if memory.knows_cohort(study.hash):
        return []
    others = _others(site, store, memory, study)
    try:
        first = next(others, None)
        if first is None:
            return []
        cohort = read_cohort(site, study)
    except HospitalError as error:
        line = str(error).splitlines()[0]
        return [
            f"Its cohort cannot be read yet, and was not held against those of other studies here ({line}). Mend that "
            "(hepafed site check --study), and look again with --dry-run"
        ]
    own, columns, least = patients_of(cohort), columns_of(cohort), site.file.policy.minimum_changes
    found = []
    for name, frozen, theirs, their_columns in (first, *others):
        changes = changes_between(own, columns, theirs, their_columns)
        if 0 < changes < least:
            found.append(_in_words(study, name, changes, least, frozen=frozen))
    return found


def _others(
    site: Site, store: Store, memory: Memory, study: Study
) -> Iterator[tuple[str, bool, dict[str, str], str]]:
    """Every other study: its name, whether its cohort is frozen, who is in it, and over which columns."""
    frozen = memory.cohorts()
    for kept in frozen:
        yield f"{kept.name} ({kept.study[:12]}…)", True, memory.patients(kept.study), kept.columns
    store.run(TABLE)
    for approval in _standing(store):
        if approval.study in {study.hash, *(kept.study for kept in frozen)}:
            continue
        row = store.first("SELECT content FROM approved_studies WHERE study = ?", approval.study)
        if row is None:  # approved before these were kept
            continue
        try:
            cohort = read_cohort(site, Study.from_content(json.loads(row[0]), approval.name))
        except (HospitalError, StudyError):  # a study that cannot begin freezes nothing
            continue
        yield f"{approval.name} ({approval.study[:12]}…)", False, patients_of(cohort), columns_of(cohort)


def _standing(store: Store) -> list[Approval]:
    """The approvals that hold today, one a study."""
    today = datetime.now(UTC).date()
    last = {given.study: given for given in approvals(store)}
    return [a for a in last.values() if a.revoked_at is None and (a.expires is None or today <= a.expires)]


def _in_words(study: Study, other: str, changes: int, least: int, *, frozen: bool) -> str:
    differs = f"{changes} patient{'s'[: changes > 1]}"
    said = f"The cohort of {study.study} differs here by {differs} from that of {other}"
    same = f"have both studies take the same patients, or patients who differ by {least} and more"
    if frozen:
        return (
            f"{said}, which has been answered: this hospital's gate will refuse {study.study}, since totals of both "
            f"could be subtracted. Before you approve, {same}; or wait until {least} patients have changed (policy: "
            "minimum_changes)"
        )
    return (
        f"{said}, which is approved and has asked nothing yet: whichever asks first is answered, and this hospital's "
        f"gate will refuse the other, since totals of both could be subtracted. Before you approve, {same}; or revoke "
        "the one that is not to run (hepafed site revoke)"
    )
