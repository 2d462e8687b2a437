"""Two cohorts that differ by a few patients could be subtracted: one is answered about, the other has to wait."""

import hashlib
from collections.abc import Mapping

import numpy as np

from client.cohort.cohort import Cohort
from client.gate_rules.memory import Memory
from client.site import Site
from client.withdrawal import withdrawn
from common.errors import Code, HospitalError
from common.query import canonical_json
from common.study import Study

COMPETING = 2.0
"""In place of 0 and 1; patients without a competing event keep the digest that they have in studies without any."""


def check_withdrawals(site: Site, memory: Memory, study: Study) -> None:
    """Suspend a study whose frozen cohort held a patient who has withdrawn since."""
    left = withdrawn(site.extracted_in)
    if left and (gone := left & set(memory.patients(study.hash))):
        raise HospitalError(
            Code.SUSPENDED,
            f"{study.study}: {len(gone)} patients of its cohort have withdrawn ({', '.join(sorted(gone))}). It is not "
            "answered without them, since two totals would show them; ask for a new version of the study once "
            f"{site.file.policy.minimum_changes} patients of the cohort have changed",
        )


def check_cohort(site: Site, memory: Memory, study: Study, cohort: Cohort) -> None:
    """Refuse a new study whose cohort differs by a few patients from one that was frozen before."""
    if memory.knows_cohort(study.hash):
        return
    least = site.file.policy.minimum_changes
    own, columns = patients_of(cohort), columns_of(cohort)
    for other in memory.cohorts():
        changes = changes_between(own, columns, memory.patients(other.study), other.columns)
        if 0 < changes < least:
            raise HospitalError(
                Code.NEARLY_SAME_COHORT,
                f"the cohort of {study.study} differs by {changes} patients from that of {other.name} "
                f"({other.study[:12]}…), which was frozen before: totals of both could be subtracted. Wait until "
                f"{least} patients have changed (policy: minimum_changes)",
            )


def changes_between(own: Mapping[str, str], columns: str, theirs: Mapping[str, str], their_columns: str) -> int:
    """By how many patients two cohorts differ; over the same columns, one whose values changed is another patient."""
    changes = len(own.keys() ^ theirs.keys())
    if columns == their_columns:
        changes += sum(theirs.get(patient, digest) != digest for patient, digest in own.items())
    return changes


def keep_cohort(memory: Memory, study: Study, cohort: Cohort) -> None:
    """Remember who was in a study's cohort when it was frozen."""
    if memory.knows_cohort(study.hash):
        return
    memory.keep_cohort(study.hash, study.study, columns_of(cohort), patients_of(cohort))


def patients_of(cohort: Cohort) -> dict[str, str]:
    """Every patient, with a digest of what the study looks at; a competing event is another end than being lost."""
    outcome = np.array(cohort.outcome if cohort.outcome.ndim == 2 else cohort.outcome[:, None])
    outcome[cohort.competing, -1] = COMPETING
    table = np.column_stack([*cohort.columns.values(), cohort.features, outcome])
    table = np.where(np.isnan(table), np.nan, table) + 0.0
    return {p: hashlib.sha256(row.tobytes()).hexdigest() for p, row in zip(cohort.ids, table, strict=True)}


def columns_of(cohort: Cohort) -> str:
    """What those digests are over."""
    names = canonical_json([list(cohort.columns), list(cohort.feature_names), list(cohort.outcome.shape[1:])])
    return hashlib.sha256(names.encode()).hexdigest()
