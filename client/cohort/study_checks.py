"""Every fault of a hospital's tables at once: `read_cohort` stops at the first file, and at columns before units."""

from collections.abc import Mapping

import numpy as np

from client.cohort import criteria, ranges
from client.cohort.columns_file import ColumnsFile, read_columns_file
from client.cohort.csv_file import ID, read_table
from client.cohort.faults import Faults
from client.cohort.features_file import read_features
from client.cohort.patients_file import PatientsFile
from client.cohort.presence import check_presence
from client.cohort.sound_part import content_of, sound_part
from client.site import Site
from common.errors import Code, HospitalError
from common.study import Study
from common.variables import Variable


def without_features(study: Study) -> Study:
    """The study as patients.csv alone can answer it."""
    clinical = study.predictors.model_copy(update={"radiomics": None})
    return study.model_copy(update={"predictors": clinical, "features": None})


def columns_as_far_as_readable(site: Site, faults: Faults) -> tuple[ColumnsFile | None, frozenset[str]]:
    """What can be read of columns.yaml beside its faults, and the columns of which it says what cannot be read.

    None where nothing can be read of it: then no column of patients.csv can be told.
    """
    path = site.folder / site.file.columns
    try:
        return read_columns_file(path, required="columns" in site.file.model_fields_set), frozenset()
    except HospitalError as error:
        faults.add(error.code, str(error))
    content = content_of(path)
    if content is None:
        return None, frozenset()
    columns, dropped = sound_part(content, ColumnsFile)
    return columns, frozenset(str(place[1]) for place in dropped if len(place) > 1)


def check_presence_of_files(site: Site, study: Study | None, faults: Faults) -> None:
    """Note which tables are not there, where what they hold cannot be told."""
    if not (site.folder / site.file.patients).is_file():
        faults.add(
            Code.NO_PATIENTS_FILE, f"{site.folder / site.file.patients}: there is no such file; put it there"
        )
    if _reads_features(study) and not (site.folder / site.file.features).is_file():
        faults.add(Code.COLUMN_MISSING, f"{site.folder / site.file.features}: there is no such file; put it there")


def check_features_files(site: Site, columns: ColumnsFile, study: Study | None, faults: Faults) -> None:
    """Note the faults of features.csv and of the second measurement; without a study those of their form."""
    for name in (site.file.features, site.file.retest):
        there = (site.folder / name).is_file()
        try:
            if study is not None and _reads_features(study) and (there or name == site.file.features):
                read_features(site, columns, study.predictors, name)
            elif study is None and there:
                read_table(site.folder / name, site.file.encoding, columns.name_of(ID), faults=faults)
        except HospitalError as error:
            faults.add(error.code, str(error))


def patients_measured(site: Site, columns: ColumnsFile) -> set[str] | None:
    """Who stands in features.csv; None where it cannot be read."""
    path = site.folder / site.file.features
    try:
        table = read_table(path, site.file.encoding, columns.name_of(ID), faults=Faults())
    except (HospitalError, FileNotFoundError):
        return None
    return {*table.ids, *table.unread}


def check_columns(study: Study, file: PatientsFile, variables: Mapping[str, Variable], faults: Faults) -> None:
    """Note every column that is absent, every cell that cannot be read, every column in another unit."""
    outcome = study.outcome_columns()
    check_presence(study, file, outcome, faults)
    values = {}
    for column, variable in variables.items():
        if file.has(column):
            bad_level = Code.OUTCOME_LEVELS if column in outcome else Code.UNKNOWN_LEVEL
            values[column] = file.read(column, variable, bad_level, faults)
    judged = np.ones(len(file.table.rows), dtype=bool)
    for criterion in study.cohort.include:
        if criterion.column in values:
            judged &= criteria.meets(criterion, variables[criterion.column], values[criterion.column])
    if not judged.any():
        judged[:] = True
    for column, known in values.items():
        entry = file.columns.entry(column)
        ranges.check_for_another_unit(
            str(file.table.path), column, variables[column], entry, known[judged], faults
        )


def _reads_features(study: Study | None) -> bool:
    """Whether features come as a table."""
    return study is not None and bool(study.predictors.radiomics) and study.features is None
