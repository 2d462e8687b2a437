"""Which columns a study needs, and what to tell a hospital that lacks one."""

from client.cohort.csv_file import ID
from client.cohort.faults import Faults, near_miss, quoted
from client.cohort.patients_file import PatientsFile
from common.errors import Code
from common.outcomes import TimedOutcome
from common.study import Study
from common.variables import Variable

SCANNER = "scanner"


def needed_columns(study: Study) -> list[str]:
    """The columns of patients.csv that a study cannot do without, besides its outcome."""
    outcome = study.outcome_columns()
    needed = [criterion.column for criterion in study.cohort.include if criterion.column not in outcome]
    if study.harmonisation.method != "none":
        needed += [*study.preserved(), *study.harmonisation.levels]
    return list(dict.fromkeys(needed))


def _dividing(study: Study) -> list[str]:
    """The columns that divide the patients into subgroups; a hospital may lack one."""
    return [subgroup.column for subgroup in study.subgroups]


def _times(study: Study) -> list[str]:
    """The columns of times to an event."""
    second = study.second_columns()[:-1]
    return [study.outcome.time, *second] if isinstance(study.outcome, TimedOutcome) else second


def variables_as_read(study: Study, outcome: list[str]) -> dict[str, Variable]:
    """Every column of patients.csv that is read as numbers or levels; first the outcome's, if it is wanted."""
    second = study.second_columns() if outcome else []
    wanted = [*outcome, *needed_columns(study), *study.predictors.clinical, *_dividing(study), *second]
    return {column: _variable_as_read(study, column) for column in dict.fromkeys(wanted)}


def _variable_as_read(study: Study, column: str) -> Variable:
    """A survival time is a number from 0 on, of days unless the study says otherwise."""
    variable = study.variable(column)
    if column not in _times(study):
        return variable
    low, high = variable.range or (0.0, float("inf"))
    return variable.model_copy(update={"unit": variable.unit or "d", "range": (max(low, 0.0), high)})


def check_presence(study: Study, file: PatientsFile, outcome: list[str], faults: Faults) -> list[str]:
    """Note a fault for each needed column that is absent; return what to note about predictors that are."""
    for column in outcome:
        if not file.has(column):
            faults.add(Code.OUTCOME_MISSING, _absence(study, file, column, "the study's outcome"))
    needed = needed_columns(study)
    if study.harmonisation.method != "none" and study.harmonisation.batch == "hospital+scanner":
        needed.append(SCANNER)
    for column in needed:
        if not file.has(column):
            faults.add(Code.COLUMN_MISSING, _absence(study, file, column, "which the study cannot do without"))
    for column in [*study.predictors.clinical, SCANNER]:
        promised = file.columns.entry(column).name is not None
        if promised and column not in needed and not file.has(column):
            faults.add(Code.COLUMN_MISSING, _absence(study, file, column))
    return [
        _absence(study, file, column, "so it is missing for every patient here")
        for column in dict.fromkeys([*study.predictors.clinical, *_dividing(study), *study.second_columns()])
        if column not in needed and not file.has(column)
    ]


def _absence(study: Study, file: PatientsFile, column: str, why: str = "") -> str:
    table, columns = file.table, file.columns
    name = columns.name_of(column)
    called = quoted(name)
    if name != column:
        called += f", although columns.yaml gives it as the name of {column}"
    near = near_miss(name, [header for header in table.header if header != ID])
    is_it = f"if {quoted(near)} is it" if near else "if it has another name here"
    known = {*variables_as_read(study, study.outcome_columns()), SCANNER, ID}
    misspelt = near_miss(column, [other for other in columns.columns if other not in known])
    also = f"\n(it speaks of {quoted(misspelt)}, which the study does not know)" if misspelt else ""
    return (
        f"{table.path}: there is no column {called}{f', {why}' if why else ''}; {is_it}, write under columns: "
        f"in {file.columns_path}:\n  {column}: {{name: {quoted(near) if near else '…'}}}{also}{table.guess}"
    )
