"""One column of patients.csv, read as the study's data dictionary means it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.cohort.columns_file import ColumnsFile, HospitalColumn, read_columns_file, unit_factor
from client.cohort.csv_file import ID, Table, read_table
from client.cohort.decimals import DecimalMarks, read_numbers, whole
from client.cohort.faults import Faults, quoted
from client.cohort.unread_texts import UnreadTexts
from client.site import Site
from common.errors import Code, HospitalError
from common.texts import normal_text
from common.variables import NUMERIC, Variable


@dataclass(frozen=True)
class PatientsFile:
    """patients.csv beside what columns.yaml says about it.

    Parameters
    ----------
    marks
        How the file writes decimals, found from all the numeric columns that the study reads.
    """

    table: Table
    columns: ColumnsFile
    columns_path: Path
    marks: DecimalMarks

    def has(self, column: str) -> bool:
        """Whether this hospital has a column of the study."""
        name = self.columns.name_of(column)
        return name != ID and name in self.table

    def read(self, column: str, variable: Variable, bad_level: Code, faults: Faults) -> np.ndarray:
        """A column as float64 in the study's unit, NaN where missing.

        Categories and binary columns become the index of their level; a level that the study does not know is
        noted with the code `bad_level`.
        """
        cells = self.table.column(self.columns.name_of(column))
        entry = self.columns.entry(column)
        if variable.type in NUMERIC:
            if entry.levels is not None:
                self._misplaced(column, variable, "levels", "values", faults)
            return self._numbers(column, variable, entry, cells, faults)
        if entry.values is not None or entry.unit is not None or entry.factor is not None:
            self._misplaced(column, variable, "values, unit and factor", "levels", faults)
        return self._levels(column, variable, entry, cells, bad_level, faults)

    def texts(self, column: str) -> list[str]:
        """A column of free text, such as the scanner; empty where missing, or where there is no such column."""
        if not self.has(column):
            return [""] * len(self.table.rows)
        renamed = {normal_text(here): there for here, there in (self.columns.entry(column).levels or {}).items()}
        cells = self.table.column(self.columns.name_of(column))
        missing = self.columns.missing_texts
        return [renamed.get(cell, "" if cell.casefold() in missing else cell) for cell in cells]

    def _numbers(
        self, column: str, variable: Variable, entry: HospitalColumn, cells: Sequence[str], faults: Faults
    ) -> np.ndarray:
        factor = unit_factor(self.columns_path, column, entry, variable, faults)
        values = {whole(normal_text(text)): number for text, number in (entry.values or {}).items()}
        numbers, unreadable = read_numbers(cells, self.marks, self.columns.missing_texts, values)
        if unreadable:
            self._unread(column, cells, unreadable).not_numbers(faults)
        with np.errstate(over="ignore"):  # an infinite value is out of every range
            numbers = numbers * factor
        if variable.type == "integer" and factor != 1.0:
            return np.rint(numbers)
        if variable.type == "integer":
            broken = np.flatnonzero(np.abs(numbers - np.rint(numbers)) > 0)
            if broken.size:
                self._unread(column, cells, broken.tolist()).not_whole(faults)
        return numbers

    def _levels(
        self,
        column: str,
        variable: Variable,
        entry: HospitalColumn,
        cells: Sequence[str],
        bad_level: Code,
        faults: Faults,
    ) -> np.ndarray:
        indices = self._index_of_text(column, variable, entry, faults)
        missing = self.columns.missing_texts
        read = np.full(len(cells), np.nan)
        unknown = []
        for row, cell in enumerate(cells):
            index = indices.get(cell, indices.get(whole(cell)))
            if index is not None:
                read[row] = index
            elif cell.casefold() not in missing and whole(cell).casefold() not in missing:
                unknown.append(row)
        if unknown:
            self._unread(column, cells, unknown).not_levels(variable, bad_level, faults)
        return read

    def _index_of_text(
        self, column: str, variable: Variable, entry: HospitalColumn, faults: Faults
    ) -> dict[str, int]:
        """What each text of this hospital means, as the index of the study's level."""
        study = variable.level_indices()
        here: dict[str, int] = {}
        for text, level in (entry.levels or {}).items():
            index = study.get(normal_text(level))
            if index is None:
                faults.add(
                    Code.BAD_SITE_FILE,
                    f"{self.columns_path}: columns.{column}.levels: {quoted(text)} stands for {quoted(level)}, "
                    f"which is no level of the study; write one of {', '.join(study)}",
                )
            else:
                here[normal_text(text)] = index
        # A hospital that codes 1 and 2 where the study codes 0 and 1 may mean anything by 0: ask, do not guess.
        return here if here.keys() & study.keys() else study | here

    def _misplaced(self, column: str, variable: Variable, found: str, instead: str, faults: Faults) -> None:
        faults.add(
            Code.BAD_SITE_FILE,
            f"{self.columns_path}: columns.{column}: in this study the column's type is {variable.type}, to which "
            f"{found} cannot apply; use {instead}",
        )

    def _unread(self, column: str, cells: Sequence[str], rows: Sequence[int]) -> UnreadTexts:
        return UnreadTexts(
            file=self.table.path,
            columns_file=self.columns_path,
            column=column,
            name=self.columns.name_of(column),
            ids=self.table.ids,
            cells=cells,
            rows=rows,
            hint=self.table.guess,
        )


def open_patients_file(
    site: Site,
    variables: Mapping[str, Variable],
    *,
    duplicates_too: bool = False,
    columns: ColumnsFile | None = None,
    faults: Faults | None = None,
) -> PatientsFile:
    """patients.csv beside columns.yaml; HospitalError says what is wrong with either.

    Parameters
    ----------
    variables
        The columns that will be read, by the study's names; they tell how the file writes decimals.
    duplicates_too, faults
        As `read_table` has them.
    columns
        What columns.yaml says, where it was read already.
    """
    path = site.folder / site.file.patients
    if not path.is_file():
        raise HospitalError(
            Code.NO_PATIENTS_FILE,
            f"{path}: there is no such file; put one row a patient there (id, clinical columns, "
            "outcomes, scanner), or give the file's name in site.yaml as patients",
        )
    columns_path = site.folder / site.file.columns
    if columns is None:
        columns = read_columns_file(columns_path, required="columns" in site.file.model_fields_set)
    own_id = columns.name_of(ID)
    table = read_table(path, site.file.encoding, own_id, duplicates_too=duplicates_too, faults=faults)
    numeric = [columns.name_of(c) for c, variable in variables.items() if variable.type in NUMERIC]
    marks = DecimalMarks.of(table.delimiter, [table.column(name) for name in numeric if name in table])
    return PatientsFile(table=table, columns=columns, columns_path=columns_path, marks=marks)
