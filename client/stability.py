"""The repeated measurements of a hospital's patients in one study, as the extraction left them in its store."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from client.cohort.cohort import Cohort
from client.cohort.extracted_features import read_extracted
from client.site import Site
from client.store import extractions
from common.stability import OF_THE_STUDY, Repetition
from common.study import Study


@dataclass(frozen=True)
class Repeated:
    """By what they tell of (perturbations, readers): cohort's patients × measurements × cohort's features.

    Not a number where a patient has no such measurement.
    """

    measured: dict[Repetition, np.ndarray]

    @cached_property
    def digest(self) -> str:
        """What is frozen with the cohort: with it, a question asked twice is about the same measurements."""
        total = hashlib.sha256()
        for kind, values in self.measured.items():
            total.update(f"{kind} {values.shape}\n".encode())
            total.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
        return total.hexdigest()


def repeated(site: Site, study: Study, cohort: Cohort) -> Repeated | None:
    """All repetitions of the cohort's patients; None where the study asks for none."""
    if study.features is None or study.features.stability is None or not cohort.feature_names:
        return None
    key = (str(site.extracted), extractions(site.extracted_in), study.hash, cohort.digest)
    if key not in _READ:
        known: dict[str, np.ndarray] = {OF_THE_STUDY: cohort.features}
        for names in study.features.stability.measurements().values():
            for name in names:
                if name not in known:
                    known[name] = _measurement(site, study, cohort, name)
        _READ[key] = Repeated(
            {
                kind: np.stack([known[name] for name in names], axis=1)
                for kind, names in study.features.stability.measurements().items()
            }
        )
    return _READ[key]


_READ: dict[tuple[str, tuple[int, int], str, str], Repeated] = {}
"""What has not changed is read once a process."""


def _measurement(site: Site, study: Study, cohort: Cohort, name: str) -> np.ndarray:
    """One measurement of every patient of the cohort, NaN without one."""
    found = read_extracted(site, study, list(cohort.ids), name)
    values = np.full(cohort.features.shape, np.nan)
    row_of = {patient: row for row, patient in enumerate(cohort.ids)}
    column_of = {feature: column for column, feature in enumerate(cohort.feature_names)}
    columns = [(here, column_of[feature]) for here, feature in enumerate(found.names) if feature in column_of]
    for place, patient in enumerate(found.ids):
        for here, column in columns:
            values[row_of[patient], column] = found.matrix[place, here]
    return values
