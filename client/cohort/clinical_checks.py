"""Checking patients.csv, patient by patient: ids, outcomes, implausible values; nothing is changed.

With a study its own columns, ranges and levels count, and whatever would stop `read_cohort` is said; without one, the
columns that are called as usual are held against the table of plausible ranges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from client.cohort import ranges
from client.cohort.cohort import read_cohort
from client.cohort.csv_file import ID
from client.cohort.faults import Faults, some
from client.cohort.findings import Finding, Findings, Severity
from client.cohort.image_collection_checks import check_name, patient_folders
from client.cohort.patients_file import PatientsFile, open_patients_file
from client.cohort.plausible_ranges import is_usual_outcome, plausible
from client.cohort.presence import variables_as_read
from client.cohort.study_checks import (
    check_columns,
    check_features_files,
    check_presence_of_files,
    columns_as_far_as_readable,
    patients_measured,
    without_features,
)
from client.site import Site
from common.errors import Code, HospitalError
from common.study import Study
from common.variables import NUMERIC, Variable

_LEFT_OUT = (
    "left out"  # how read_cohort's notes about single patients begin; these are said patient by patient here
)


@dataclass(frozen=True)
class ClinicalCheck:
    """What was found in patients.csv.

    Parameters
    ----------
    patients
        The ids, in the file's order; None where the file cannot be read.
    hospital
        Findings about the file as a whole.
    findings
        Findings by patient.
    flow
        How many patients remain after each step of the study's criteria; empty without a study.
    """

    patients: tuple[str, ...] | None
    hospital: tuple[Finding, ...] = ()
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    flow: Mapping[str, int] = field(default_factory=dict)


def check_clinical(site: Site, study: Study | None = None) -> ClinicalCheck:
    """Read and check patients.csv; never raises for what is wrong with it."""
    faults = Faults()
    columns, unsure = columns_as_far_as_readable(site, faults)
    if columns is None:
        check_presence_of_files(site, study, faults)
        return ClinicalCheck(None, findings_of_all(faults, site))
    variables = {} if study is None else variables_as_read(study, study.outcome_columns())
    check_features_files(site, columns, study, faults)
    form = Faults()
    try:
        file = open_patients_file(site, variables, duplicates_too=True, columns=columns, faults=form)
        if study is None:
            variables = usual_variables(file)
            file = open_patients_file(site, variables, duplicates_too=True, columns=columns, faults=Faults())
    except HospitalError as error:
        return ClinicalCheck(None, (*findings_of(error, site), *findings_of_all(faults, site)))
    faults.take(form)
    variables = {column: variable for column, variable in variables.items() if column not in unsure}
    check = _Check(site, study, file, variables, faults)
    check.run()
    return ClinicalCheck(
        patients=tuple(dict.fromkeys((*file.table.ids, *file.table.unread))),
        hospital=check.hospital.all(),
        findings={patient: found.all() for patient, found in check.by_patient.items() if found.all()},
        flow=check.flow,
    )


def findings_of_all(faults: Faults, site: Site) -> tuple[Finding, ...]:
    """The same of every fault that was noted."""
    return tuple(finding for error in faults.each() for finding in findings_of(error, site))


def findings_of(error: HospitalError, site: Site) -> Iterator[Finding]:
    """The faults of a HospitalError about this folder's files, a finding each; they stop the hospital."""
    folder = f"{site.folder}/"
    faults: list[str] = []
    for line in str(error).splitlines():
        if line.startswith(folder) or not faults:
            faults.append(line)
        else:  # a line to paste into columns.yaml, or one more of a list
            faults[-1] += f"\n{line}"
    for fault in faults:
        yield _about_file(fault.replace(folder, ""), error.code.value.replace("_", " "), Severity.STOPS)


def _about_file(fault: str, kind: str, severity: Severity) -> Finding:
    place, _, said = fault.partition(": ")
    found, _, cure = said.partition("; ")
    return Finding("", place, kind, found, cure or "see docs/hospital.md", severity)


def usual_variables(file: PatientsFile) -> dict[str, Variable]:
    """The columns that are called as usual, with their plausible ranges: of columns.yaml and of the file."""
    known = {column: file.columns.name_of(column) for column in file.columns.columns}
    others = {name: name for name in file.table.header if name not in known.values()}
    found = {column: plausible(column) for column in {**known, **others} if column != ID}
    return {column: variable for column, variable in found.items() if variable is not None and file.has(column)}


class _Check:
    """One check of one file."""

    def __init__(
        self,
        site: Site,
        study: Study | None,
        file: PatientsFile,
        variables: Mapping[str, Variable],
        faults: Faults,
    ) -> None:
        self.site = site
        self.study = study
        self.file = file
        self.variables = variables
        self.faults = faults
        self.ids = file.table.ids
        self.hospital = Findings("")
        self.by_patient = {patient: Findings(patient) for patient in self.ids}
        self.flow: dict[str, int] = {}

    def run(self) -> None:
        """Everything."""
        self._check_ids()
        for column, variable in self.variables.items():
            if self.file.has(column):
                self._check_column(column, variable)
        self._check_outcomes()
        if self.study is not None:
            self._check_as_the_study_reads(self.study)
        for finding in findings_of_all(self.faults, self.site):
            self.hospital.add(finding.place, finding.kind, finding.found, finding.cure)

    def _check_ids(self) -> None:
        images = self.site.images
        with_images = {folder.name for folder in patient_folders(images)} if images.is_dir() else set()
        lines: dict[str, list[int]] = {}
        for patient, line in zip(self.ids, self.file.table.lines, strict=True):
            lines.setdefault(patient, []).append(line)
        for patient, found_on in lines.items():
            if len(found_on) > 1:
                self.by_patient[patient].add(
                    self.site.file.patients,
                    "duplicate id",
                    f"the id stands on lines {some([str(line) for line in found_on], 6)}",
                    "keep one row, or give the other patient another id",
                )
            if patient not in with_images:  # a folder's name is checked with its images
                for finding in check_name(patient):
                    found = finding.found.replace("the folder's name", "the id")
                    self.by_patient[patient].look(ID, finding.kind, found, finding.cure)
        if not lines:
            self.hospital.add(self.site.file.patients, "no patient", "the file holds no patient", "add a row each")

    def _check_column(self, column: str, variable: Variable) -> None:
        faults = Faults()
        values = self.file.read(column, variable, Code.UNKNOWN_LEVEL, faults)
        if self.study is None:
            for text in faults.texts:
                self._look_at_file(text, "text")
        if variable.type not in NUMERIC:
            return
        out = ranges.outside(variable, values)
        if self.study is not None:  # too many outside stop the whole hospital, which read_cohort says
            if not self._is_another_unit(column, variable, values, "what the study allows"):
                cure = "correct it, or empty the cell; the patient is left out until then"
                self._say_outside(column, variable, values, out, "what the study allows", cure)
            usual = plausible(column, variable.unit)
            if variable.range is not None or usual is None:
                return
            variable, out = usual, ranges.outside(usual, values) & ~out
        text = self._is_another_unit(column, variable, values, "what is plausible")
        if text:
            self._look_at_file(text, "another unit")
        else:
            self._say_outside(column, variable, values, out, "what is plausible", "correct it, or empty the cell")

    def _is_another_unit(self, column: str, variable: Variable, values: np.ndarray, what: str) -> str:
        faults = Faults()
        entry = self.file.columns.entry(column)
        path = str(self.file.table.path)
        ranges.check_for_another_unit(path, column, variable, entry, values, faults, what)
        return "".join(faults.texts)

    def _say_outside(
        self, column: str, variable: Variable, values: np.ndarray, out: np.ndarray, what: str, cure: str
    ) -> None:
        severity = Severity.STOPS if "study" in what else Severity.LOOK
        unit = f" {variable.unit}" if variable.unit else ""
        for row in np.flatnonzero(out):
            hint = ranges.in_another_unit(column, variable, self.file.columns.entry(column), values[row])
            self.by_patient[self.ids[row]].add(
                column,
                "implausible value",
                f"{values[row]:.6g}{unit} lies outside {what} ({ranges.describe(variable)})",
                f"{cure}; {hint}" if hint else cure,
                severity,
            )

    def _outcomes(self) -> list[str]:
        if self.study is not None:
            return [column for column in self.study.outcome_columns() if self.file.has(column)]
        known = {self.file.columns.name_of(column): column for column in self.file.columns.columns}
        columns = [known.get(name, name) for name in self.file.table.header if name != ID]
        return [column for column in columns if is_usual_outcome(column)]

    def _check_outcomes(self) -> None:
        missing = self.file.columns.missing_texts
        unknown: dict[str, list[str]] = {}
        for column in self._outcomes():
            cells = self.file.table.column(self.file.columns.name_of(column))
            for patient, cell in zip(self.ids, cells, strict=True):
                if cell.casefold() in missing:
                    unknown.setdefault(patient, []).append(column)
        study = "the study leaves" if self.study is not None else "a study of it leaves"
        for patient, columns in unknown.items():
            self.by_patient[patient].look(
                ", ".join(dict.fromkeys(columns)),
                "missing outcome",
                "the outcome is not known",
                f"fill it in if it is known by now; {study} the patient out",
            )

    def _check_as_the_study_reads(self, study: Study) -> None:
        if study.features is not None:  # extracted from the images, which are checked by themselves
            study = without_features(study)
        check_columns(study, self.file, self.variables, self.faults)
        if study.predictors.radiomics:
            self._check_features()
        if self.faults.texts:  # who is in the study cannot be told before they are mended
            return
        try:
            cohort = read_cohort(self.site, study)
        except HospitalError as error:
            if error.code is not Code.DUPLICATE_PATIENTS:  # said patient by patient
                for finding in findings_of(error, self.site):
                    self.hospital.add(finding.place, finding.kind, finding.found, finding.cure)
            return
        self.flow = dict(cohort.flow)
        for note in cohort.notes:
            if not note.startswith(_LEFT_OUT):
                self._look_at_file(note, "note")

    def _check_features(self) -> None:
        name = self.site.file.features
        measured = patients_measured(self.site, self.file.columns)
        for patient in set() if measured is None else self.by_patient.keys() - measured:
            self.by_patient[patient].look(
                name,
                "no features",
                f"the patient has no row in {name}",
                "add it; the study leaves the patient out",
            )

    def _look_at_file(self, text: str, kind: str) -> None:
        finding = _about_file(text.replace(f"{self.site.folder}/", ""), kind, Severity.LOOK)
        self.hospital.look(finding.place, finding.kind, finding.found, finding.cure)
