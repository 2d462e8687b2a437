"""columns.yaml: a hospital's own column names, units, levels and texts, mapped to the study's data dictionary."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, ValidationError, field_validator, model_validator

from client.cohort.csv_file import ID
from client.cohort.decimals import whole
from client.cohort.faults import Faults, quoted
from common.errors import Code, HospitalError, StudyError
from common.strict_yaml import Misfits, describe_faults, read_yaml
from common.texts import normal_text
from common.units import conversion
from common.variables import Level, Strict, Variable

Text = Annotated[str, Field(min_length=1)]

# Case folded. A text that is one of a column's levels is that level, also if it stands here.
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", ".", "-", "–", "—", "?"})


class HospitalColumn(Strict):
    """How this hospital writes one column of the study."""

    name: Text | None = Field(None, description="the column's name in this hospital's file")
    unit: Text | None = Field(None, description="the unit that this hospital counts in, e.g. g/dL")
    factor: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="multiply by this to get the study's unit"
    )
    levels: dict[Text, Level] | None = Field(None, description="this hospital's text: the study's level")
    values: dict[Text, FiniteFloat] | None = Field(
        None, description="a text in a numeric column: the number to read, in this hospital's unit"
    )

    @field_validator("levels", "values", mode="before")
    @classmethod
    def _texts_not_switches(cls, mapping: Any) -> Any:
        if isinstance(mapping, dict):
            _refuse_switches([*mapping, *mapping.values()])
        return mapping

    @model_validator(mode="after")
    def _one_conversion(self) -> "HospitalColumn":
        if self.unit is not None and self.factor is not None:
            raise ValueError("give unit or factor, not both")
        return self


class ColumnsFile(Strict):
    """columns.yaml, every part optional."""

    columns: dict[Text, HospitalColumn] = Field({}, description="the study's column name: how it is written here")
    missing: list[Text] = Field([], description="further texts that mean 'not known'")

    @field_validator("missing", mode="before")
    @classmethod
    def _texts_not_switches(cls, texts: Any) -> Any:
        if isinstance(texts, list):
            _refuse_switches(texts)
        return texts

    @model_validator(mode="after")
    def _only_a_name_for_the_id(self) -> "ColumnsFile":
        odd = sorted(self.entry(ID).model_fields_set - {"name"})
        if odd:
            raise Misfits([(("columns", ID, key), f"{ID} takes a name only: take this out") for key in odd])
        return self

    @model_validator(mode="after")
    def _one_column_each(self) -> "ColumnsFile":
        taken: dict[str, str] = {}
        for column, entry in self.columns.items():
            if entry.name is None:
                continue
            other = taken.setdefault(normal_text(entry.name), column)
            if other != column:
                raise ValueError(f"{other} and {column} are both called {quoted(entry.name)} here; correct one")
        return self

    @cached_property
    def missing_texts(self) -> frozenset[str]:
        """All texts that mean 'not known', case folded."""
        return MISSING | {whole(normal_text(text)).casefold() for text in self.missing}

    def entry(self, column: str) -> HospitalColumn:
        """How this hospital writes a column; as the study does, where the file says nothing."""
        return self.columns.get(column, HospitalColumn())

    def name_of(self, column: str) -> str:
        """The name of a study's column in this hospital's file."""
        return normal_text(self.entry(column).name or column)


def read_columns_file(path: Path, required: bool = False) -> ColumnsFile:
    """Read columns.yaml; a file that is not there says nothing, unless site.yaml names it (`required`)."""
    if not path.exists() and not required:
        return ColumnsFile()
    try:
        content, lines = read_yaml(path)
        return ColumnsFile.model_validate(content)
    except StudyError as error:
        raise HospitalError(Code.BAD_SITE_FILE, str(error)) from None
    except ValidationError as error:
        raise HospitalError(Code.BAD_SITE_FILE, describe_faults(error, str(path), lines, ColumnsFile)) from None


def unit_factor(path: Path, column: str, entry: HospitalColumn, variable: Variable, faults: Faults) -> float:
    """What this hospital's numbers are multiplied by; notes a fault where columns.yaml and the study disagree."""
    if entry.factor is not None:
        return entry.factor
    if entry.unit is None:
        return 1.0
    where = f"{path}: columns.{column}.unit"
    if variable.unit is None:
        faults.add(
            Code.BAD_SITE_FILE,
            f"{where}: the study gives no unit for {column}, so {quoted(entry.unit)} cannot be converted; take "
            "unit out, give factor instead, or ask the study for a unit",
        )
        return 1.0
    factor = conversion(f"{column} {entry.name or ''}", entry.unit, variable.unit)
    if factor is None:
        faults.add(
            Code.BAD_SITE_FILE,
            f"{where}: no conversion from {quoted(entry.unit)} to the study's {quoted(variable.unit)} is known; "
            f"give factor instead, the number to multiply by: {column}: {{factor: …}}",
        )
        return 1.0
    return factor


def _refuse_switches(texts: list[Any]) -> None:
    """YAML reads unquoted yes, no, on, off as true and false, and null and ~ as nothing."""
    if any(isinstance(text, bool) for text in texts):
        raise ValueError("YAML reads yes, no, on, off, true and false as switches; put them in quotes: 'yes'")
    if any(text is None for text in texts):
        raise ValueError("YAML reads null and ~ as nothing; put them in quotes: 'null'")
