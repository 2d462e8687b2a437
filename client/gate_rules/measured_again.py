"""Two studies of the same patients, of whom a few more were measured again or have an image, could be subtracted.

Cohorts are compared by what is in their tables (cohorts.py); repeated measurements and images are not, and a total over
them would differ by those of one patient. So who has any is frozen with the cohort, with a digest of what it is.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from client.cohort.cohort import Cohort
from client.gate_rules.cohorts import columns_of
from client.gate_rules.memory import Memory
from client.retest import second_measurement
from client.site import Site
from client.stability import repeated
from common.errors import Code, HospitalError
from common.query import canonical_json
from common.study import Study

Kept = dict[str, dict[str, str]]
"""By what a patient has: patient → digest of it."""


def freeze_measured_again(site: Site, memory: Memory, study: Study, cohort: Cohort) -> None:
    """Keep who of a study's cohort has what; HospitalError where another study's differs by a few patients."""
    if memory.knows_cohort(study.hash):
        return
    own, settings = {kind: dict(found) for kind, found in _found(site, study, cohort)}, _settings(study, cohort)
    if not site.lower_profile:
        for other in memory.cohorts():
            theirs, their_settings = memory.measured_again(other.study)
            for kind in own.keys() & theirs.keys():
                _check(site, study, kind, other.name, own[kind], theirs[kind], their_settings == settings)
    memory.keep_measured_again(study.hash, settings, own)


def _check(
    site: Site, study: Study, kind: str, other: str, own: dict[str, str], theirs: dict[str, str], alike: bool
) -> None:
    changes = len(own.keys() ^ theirs.keys())
    if alike:
        changes += sum(theirs.get(patient, digest) != digest for patient, digest in own.items())
    if 0 < changes < (least := site.file.policy.minimum_changes):
        raise HospitalError(
            Code.NEARLY_SAME_COHORT,
            f"of {study.study}, {kind} of {changes} patients differ from those of {other}, which was frozen before: "
            f"totals of both could be subtracted. Put the files back as they were, or wait until {least} patients "
            "have changed (policy: minimum_changes)",
        )


def _found(site: Site, study: Study, cohort: Cohort) -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
    if study.harmonisation.method != "none":
        patients, second = second_measurement(site, study, cohort)
        if len(patients):
            yield "second measurements", ((cohort.ids[i], _digest(second[i])) for i in patients)
    again = repeated(site, study, cohort)
    for kind, measured in again.measured.items() if again else ():
        there = np.flatnonzero((~np.isnan(measured)).any(axis=(1, 2)))
        if len(there):
            yield kind, ((cohort.ids[i], _digest(measured[i])) for i in there)
    images = [(name, patch) for name, patch in zip(cohort.ids, cohort.patches, strict=False) if patch is not None]
    if images:
        yield "images", ((name, _digest(patch.intensities, patch.masks)) for name, patch in images)


def _digest(*arrays: np.ndarray) -> str:
    total = hashlib.sha256()
    for array in arrays:
        plain = np.where(np.isnan(array), np.nan, array) + 0.0 if array.dtype == np.float64 else array
        total.update(np.ascontiguousarray(plain).tobytes())
    return total.hexdigest()


def _settings(study: Study, cohort: Cohort) -> str:
    """Under what two measurements of one patient are the same: else who has any is compared alone."""
    stability = None if study.features is None else study.features.stability
    said = [
        columns_of(cohort),
        *(None if s is None else s.model_dump(mode="json") for s in (stability, study.patches)),
    ]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()
