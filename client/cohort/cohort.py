"""A hospital's patients for one study: read, checked against the data dictionary, and chosen by the criteria."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from client.cohort import criteria, ranges
from client.cohort.extracted_features import read_extracted
from client.cohort.faults import SHOWN_TEXTS, Faults, counted, some
from client.cohort.features_file import Features, read_features
from client.cohort.patients_file import PatientsFile, open_patients_file
from client.cohort.presence import SCANNER, check_presence, variables_as_read
from client.cohort.samples import read_samples
from client.cohort.survival_times import in_days_since_landmark
from client.site import Site
from client.withdrawal import withdrawn
from common.errors import Code, HospitalError
from common.networks.installed import lacks_pytorch
from common.outcomes import TimedOutcome
from common.query import canonical_json
from common.study import Study

if TYPE_CHECKING:
    from client.patches.patch import Patch


@dataclass(frozen=True, eq=False)
class Cohort:
    """The patients with whom a hospital takes part in a study; compare two by their `digest`.

    Parameters
    ----------
    ids
        Sorted, so that the order of the hospital's file does not matter.
    columns
        Clinical columns in the study's units, not transformed; float64, NaN where missing. Categories and binary
        columns as the index of their level.
    absent
        Predictors that this hospital does not have at all; in `columns` they are missing for everybody.
    feature_names, features
        The feature columns that the study asks for, in the order of features.csv; patients × features.
    outcome
        Binary: 0 and 1. Multiclass: the index of the level. With times: two columns, days since the landmark (time zero
        where there is none) and event. NaN, one column, where it was not needed.
    competing
        With times: who had another event first, after which that one cannot happen; censored then in `outcome`.
    scanner
        The scanner model, empty where it is not known.
    flow
        How many patients remain after each step, from `read` to `in_cohort`.
    notes
        For the hospital's own log: who was left out and why.
    digest
        SHA-256 over everything but `flow` and `notes`.
    patches
        What a network on images sees, a patient each; None for who has no usable image; empty where no study asks.
    """

    ids: tuple[str, ...]
    columns: dict[str, np.ndarray]
    absent: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: np.ndarray
    outcome: np.ndarray
    competing: np.ndarray
    scanner: tuple[str, ...]
    flow: dict[str, int]
    notes: tuple[str, ...]
    digest: str
    patches: "tuple[Patch | None, ...]" = ()


def read_cohort(site: Site, study: Study, *, outcome_needed: bool = True) -> Cohort:
    """Read a hospital's folder for one study.

    Parameters
    ----------
    outcome_needed
        False: the outcome is not looked at, nor a criterion about it; for patients whose outcome is yet to come.

    Raises
    ------
    HospitalError
        With every fault of the first file that has any, each with its place and cure.
    """
    if outcome_needed and (lacking := lacks_pytorch(study)):  # without outcomes it may only be harmonised
        raise HospitalError(Code.WRONG_STUDY, lacking)
    return _Reading(site, study, study.outcome_columns() if outcome_needed else []).cohort()


class _Reading:
    """One reading of a folder: the files, and who is still in."""

    def __init__(self, site: Site, study: Study, outcome: list[str]) -> None:
        self.site = site
        self.study = study
        self.path = site.folder / site.file.patients
        self.outcome = outcome
        self.variables = variables_as_read(study, outcome)
        self.notes: list[str] = []
        self.brief: dict[str, str] = {}  # a note that names many patients, as an error says it
        self.file = self._open()
        self.ids = np.array(self.file.table.ids, dtype=object)
        left = withdrawn(site.extracted_in)
        self.stay = np.array([patient not in left for patient in self.ids], dtype=bool)

    def cohort(self) -> Cohort:
        """Everything, in the order of the flow."""
        study = self.study
        faults = Faults()
        self.notes += check_presence(study, self.file, self.outcome, faults)
        values = self._values(faults)
        faults.stop_if_any()
        rows = len(self.ids)
        scanner = self.file.texts(SCANNER)

        chosen = self._meet_criteria(values)
        judged = chosen if chosen.any() else np.ones(rows, dtype=bool)
        self._check_units({column: known[judged] for column, known in values.items()})
        flow = {"read": int(self.stay.sum()), "met_criteria": int(chosen.sum())}
        self._stop_if_nobody(chosen, flow)
        if self.outcome:
            known = ~np.any([np.isnan(values[column]) for column in self.outcome], axis=0)
            chosen = self._leave_out(chosen, known, f"{' or '.join(self.outcome)} is not known")
            flow["outcome_known"] = int(chosen.sum())
        chosen = self._within_ranges(chosen, values)
        flow["in_range"] = int(chosen.sum())
        if self.outcome and isinstance(study.outcome, TimedOutcome):
            values, competing = in_days_since_landmark(study, study.outcome, values)
            if study.outcome.landmark_days:
                followed = values[study.outcome.time] > 0
                days = f"{study.outcome.landmark_days:g} days"
                chosen = self._leave_out(chosen, followed, f"had the event or was last seen within {days}")
                flow["at_landmark"] = int(chosen.sum())
        else:
            competing = np.zeros(rows, dtype=bool)
        also = None if study.network is None or not self.outcome else study.network.also
        if also is not None and isinstance(also.outcome, TimedOutcome):
            values, _ = in_days_since_landmark(study, also.outcome, values)
        features, row_of = self._features(chosen)
        if features is not None:
            measured = np.array([patient in row_of for patient in self.ids], dtype=bool)
            chosen = self._leave_out(chosen, measured, f"no features in {self._source()}")
        flow["with_features"] = flow["in_cohort"] = int(chosen.sum())
        self._stop_if_nobody(chosen, flow)

        order = sorted(np.flatnonzero(chosen).tolist(), key=lambda row: self.ids[row])
        ids = tuple(str(self.ids[row]) for row in order)
        matrix = np.empty((len(ids), 0))
        if features is not None:
            matrix = features.matrix[[row_of[patient] for patient in ids]]
        outcome = [values[column][order] for column in self.outcome] or [np.full(len(ids), np.nan)]
        clinical = [column for column in self.variables if column not in self.outcome]
        cohort = Cohort(
            ids=ids,
            columns={column: _frozen(values[column][order]) for column in clinical},
            absent=tuple(column for column in study.predictors.clinical if not self.file.has(column)),
            feature_names=features.names if features is not None else (),
            features=_frozen(matrix),
            outcome=_frozen(outcome[0] if len(outcome) == 1 else np.column_stack(outcome)),
            competing=competing[order],
            scanner=tuple(scanner[row] for row in order),
            flow=flow,
            notes=tuple(self.notes),
            digest="",
        )
        return self._with_patches(replace(cohort, digest=_digest(cohort)))

    def _with_patches(self, cohort: Cohort) -> Cohort:
        """The cohort with what a network on images sees; whoever has no patch stays in."""
        if self.study.patches is None:
            return cohort
        from client.patches.cohort_patches import read_patches  # hospitals without images need no SimpleITK

        found = read_patches(self.site, self.study, cohort.ids)
        digest = hashlib.sha256(f"{cohort.digest}\n{found.digest}".encode()).hexdigest()
        return replace(cohort, patches=found.patches, notes=(*cohort.notes, *found.notes), digest=digest)

    def _open(self) -> PatientsFile:
        file = open_patients_file(self.site, self.variables)
        if file.table.guess:
            self.notes.append(f"{self.path}:{file.table.guess}")
        return file

    def _values(self, faults: Faults) -> dict[str, np.ndarray]:
        values = {}
        for column, variable in self.variables.items():
            if self.file.has(column):
                bad_level = Code.OUTCOME_LEVELS if column in self.outcome else Code.UNKNOWN_LEVEL
                values[column] = self.file.read(column, variable, bad_level, faults)
            else:
                values[column] = np.full(len(self.ids), np.nan)
        return values

    def _leave_out(self, chosen: np.ndarray, stay: np.ndarray, reason: str) -> np.ndarray:
        left: Sequence[str] = self.ids[chosen & ~stay].tolist()
        if left:
            step = f"left out, {reason}: {counted(len(left), 'patient')}"
            self.notes.append(f"{step}: {', '.join(sorted(left))}")
            self.brief[self.notes[-1]] = f"{step}: {some(sorted(left))}"
        return chosen & stay

    def _meet_criteria(self, values: dict[str, np.ndarray]) -> np.ndarray:
        chosen = self._leave_out(np.ones(len(self.ids), dtype=bool), self.stay, "withdrawn")
        for criterion in self.study.cohort.include:
            if criterion.column not in self.variables:  # about an outcome that is not needed
                continue
            met = criteria.meets(criterion, self.variables[criterion.column], values[criterion.column])
            chosen = self._leave_out(chosen, met, f"does not meet the criterion '{criteria.describe(criterion)}'")
        return chosen

    def _check_units(self, values: dict[str, np.ndarray]) -> None:
        faults = Faults()
        for column, variable in self.variables.items():
            entry = self.file.columns.entry(column)
            ranges.check_for_another_unit(str(self.path), column, variable, entry, values[column], faults)
        faults.stop_if_any()

    def _within_ranges(self, chosen: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
        for column, variable in self.variables.items():
            out = ranges.outside(variable, values[column])
            odd = some([f"{value:.6g}" for value in values[column][chosen & out]], SHOWN_TEXTS)
            reason = f"{column} lies outside what the study allows ({ranges.describe(variable)}; found {odd})"
            chosen = self._leave_out(chosen, ~out, reason)
        return chosen

    def _source(self) -> str:
        """Where features come from, as a note says it."""
        return self.site.file.images if self.study.features is not None else self.site.file.features

    def _features(self, chosen: np.ndarray) -> tuple[Features | None, dict[str, int]]:
        """The features of the patients who are still in."""
        if not self.study.predictors.radiomics:
            return None, {}
        if self.study.features is not None and self.study.features.to_be_learnt():
            samples = read_samples(self.site, self.study, sorted(self.ids[chosen].tolist()))
            features = Features(samples.ids, (), np.empty((len(samples.ids), 0)), samples.notes)
        elif self.study.features is not None:
            features = read_extracted(self.site, self.study, sorted(self.ids[chosen].tolist()))
        else:
            features = read_features(self.site, self.file.columns, self.study.predictors)
        self.notes += features.notes
        strangers = sorted(set(features.ids) - set(self.ids.tolist()))
        if strangers:
            self.notes.append(
                f"{self.site.folder / self.site.file.features}: {counted(len(strangers), 'patient')} not in "
                f"{self.path.name}, not used: {some(strangers)}"
            )
        return features, {patient: row for row, patient in enumerate(features.ids)}

    def _stop_if_nobody(self, chosen: np.ndarray, flow: dict[str, int]) -> None:
        if chosen.any():
            return
        steps = ", ".join(f"{step.replace('_', ' ')} {number}" for step, number in flow.items())
        reasons = "\n".join(self.brief.get(note, note) for note in self.notes) or f"{self.path} holds no patient"
        raise HospitalError(
            Code.TOO_FEW_PATIENTS,
            f"{self.path}: no patient is left for this study ({steps}); check the data below against the study's "
            f"criteria and ranges, or do not take part:\n{reasons}",
        )


def _frozen(array: np.ndarray) -> np.ndarray:
    frozen = np.ascontiguousarray(array, dtype=np.float64) + 0.0  # no negative zeros: one value, one digest
    frozen.flags.writeable = False
    return frozen


def _digest(cohort: Cohort) -> str:
    texts = [cohort.ids, list(cohort.columns), cohort.absent, cohort.feature_names, cohort.scanner]
    arrays = [*cohort.columns.values(), cohort.features, cohort.outcome]
    if cohort.competing.any():
        arrays.append(cohort.competing.astype(np.float64))
    total = hashlib.sha256()
    total.update(canonical_json([texts, [array.shape for array in arrays]]).encode() + b"\n")
    for array in arrays:
        total.update(np.where(np.isnan(array), np.nan, array).astype("<f8").tobytes())
    return total.hexdigest()
