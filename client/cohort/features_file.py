"""features.csv: the feature columns that a study asks for, as one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from client.cohort.columns_file import ColumnsFile
from client.cohort.csv_file import ID, Table, read_table
from client.cohort.decimals import DecimalMarks, read_numbers
from client.cohort.faults import Faults, near_miss, some
from client.cohort.unread_texts import UnreadTexts
from client.site import Site
from common.errors import Code, HospitalError
from common.study import Predictors
from common.texts import normal_text

SHOWN_COLUMNS = 10
# PyRadiomics writes its versions and settings beside the features, as text.
DIAGNOSTICS = "diagnostics_"


@dataclass(frozen=True)
class Features:
    """The features that a study asks for.

    Parameters
    ----------
    ids
        The patients with at least one feature, in the file's order.
    matrix
        A row a patient, a column a name; float64, NaN where missing.
    notes
        What the hospital's log should say.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    matrix: np.ndarray
    notes: tuple[str, ...]


def read_features(site: Site, columns: ColumnsFile, predictors: Predictors, name: str | None = None) -> Features:
    """Read the feature columns that the study asks for; HospitalError names what is missing or unreadable.

    `name` is the file's, where it is not the one that site.yaml names under features.
    """
    path = site.folder / (name or site.file.features)
    if not path.is_file():
        raise HospitalError(
            Code.COLUMN_MISSING,
            f"{path}: there is no such file, but the study asks for radiomic features; put the extracted features "
            "there (id, then one column a feature), or give the file's name in site.yaml as features",
        )
    faults = Faults()
    table = read_table(path, site.file.encoding, columns.name_of(ID), faults=faults)
    names, notes = _chosen(table, predictors, faults)
    cells = {name: table.column(name) for name in names}
    marks = DecimalMarks.of(table.delimiter, cells.values())
    matrix = np.empty((len(table.rows), len(names)))
    broken = []
    for place, name in enumerate(names):
        values = {normal_text(text): number for text, number in (columns.entry(name).values or {}).items()}
        matrix[:, place], unreadable = read_numbers(cells[name], marks, columns.missing_texts, values)
        if unreadable:
            broken.append(name)
            if len(broken) <= SHOWN_COLUMNS:
                UnreadTexts(
                    file=path,
                    columns_file=site.folder / site.file.columns,
                    column=name,
                    name=name,
                    ids=table.ids,
                    cells=cells[name],
                    rows=unreadable,
                    hint=table.guess,
                ).not_numbers(faults)
    if len(broken) > SHOWN_COLUMNS:
        faults.add(
            Code.NOT_A_NUMBER, f"{path}: and text in {len(broken) - SHOWN_COLUMNS:,} more columns of features"
        )
    faults.stop_if_any()
    measured = ~np.isnan(matrix).all(axis=1)
    empty = [patient for patient, known in zip(table.ids, measured, strict=True) if not known]
    if empty:
        notes.append(f"{path}: none of the features asked for is known for {some(empty)}")
    ids = tuple(patient for patient, known in zip(table.ids, measured, strict=True) if known)
    return Features(ids=ids, names=tuple(names), matrix=matrix[measured], notes=tuple(notes))


def _chosen(table: Table, predictors: Predictors, faults: Faults) -> tuple[list[str], list[str]]:
    """The columns that the study asks for, in the file's order, and what to note about the others."""
    named = predictors.named()
    settings = [name for name in table.header if name.startswith(DIAGNOSTICS) and name not in named]
    present = [name for name in table.header if name != ID and name not in settings]
    cure = "extract them with the study's settings, or rename their columns"
    chosen = choose_features(str(table.path), present, predictors, cure, faults)
    notes = []
    if settings:
        notes.append(
            f"{table.path}: {len(settings)} columns starting with {DIAGNOSTICS} are PyRadiomics' settings, "
            "not features, and were left alone"
        )
    return chosen, notes


def choose_features(
    where: str, present: Sequence[str], predictors: Predictors, cure: str, faults: Faults
) -> list[str]:
    """The features that the study asks for, of those present; what is absent becomes a fault with this cure."""
    named = predictors.named()
    absent = [name for name in named if name not in present]
    if absent:
        hints = {name: near_miss(name, present) for name in absent[:SHOWN_COLUMNS]}
        likely = [f"{near} looks like {name}" for name, near in hints.items() if near]
        faults.add(
            Code.COLUMN_MISSING,
            f"{where}: the study asks for features that are not there: {some(absent, SHOWN_COLUMNS)}; "
            f"{cure}{_bracketed(likely)}",
        )
    patterns = [] if isinstance(predictors.radiomics, str) else predictors.radiomics or []
    for pattern in patterns:
        if pattern not in named and not any(fnmatchcase(name, pattern) for name in present):
            faults.add(
                Code.COLUMN_MISSING,
                f"{where}: no feature fits the study's pattern {pattern}; there are {_described(present)}; {cure}",
            )
    chosen = predictors.matching(list(present))
    if not chosen and not patterns:
        faults.add(
            Code.COLUMN_MISSING, f"{where}: the study asks for all radiomic features, but there is none; {cure}"
        )
    return chosen


def _described(names: Sequence[str]) -> str:
    return f"{len(names):,} feature columns ({some(names, 5)})" if names else "no feature columns"


def _bracketed(likely: Sequence[str]) -> str:
    return f" ({'; '.join(likely)})" if likely else ""
