"""The data dictionary: what each clinical column means, in which unit, with which levels."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.texts import normal_text

Level = Annotated[str, Field(min_length=1)]
INDICATOR = ":missing"
NUMERIC = ("number", "integer")


class Strict(BaseModel):
    """A section of a file that people write: an unknown field is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)


class Labels(Strict):
    """What a column is called in the report."""

    en: str | None = Field(None, description="English label")
    zh: str | None = Field(None, description="Chinese label")


class Variable(Strict):
    """One column of patients.csv, as the study means it."""

    type: Literal["number", "integer", "binary", "category"] = Field(
        "number", description="number, integer, binary (0/1 or two levels) or category"
    )
    unit: str | None = Field(None, description="unit that the study counts in, e.g. ng/mL or g/L")
    range: tuple[float, float] | None = Field(
        None, description="lowest and highest plausible value; a patient outside it is left out and reported"
    )
    levels: list[Level] | None = Field(
        None,
        description="category: all levels, the first is the reference; binary: the level meaning 0, then 1",
    )
    transform: Literal["none", "log10", "log", "sqrt"] = Field(
        "none", description="applied before anything else, e.g. log10 for AFP"
    )
    time_zero: str | None = Field(None, description="for times: the event they count from, e.g. date of surgery")
    compare_medians: bool = Field(
        True, description="stop the study when a hospital's median is off the others' as if in another unit"
    )
    labels: Labels = Labels()

    @model_validator(mode="after")
    def _consistent(self) -> "Variable":
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(
                f"the range starts at {self.range[0]:g} and ends at {self.range[1]:g}: put the lower first"
            )
        if self.type == "category" and (self.levels is None or len(self.levels) < 2):
            raise ValueError("a category needs its levels, at least two, e.g. levels: [A, B, C]")
        if self.type == "binary" and self.levels is not None and len(self.levels) != 2:
            raise ValueError(f"a binary column has two levels, not {len(self.levels)}: the one meaning 0, then 1")
        if self.levels is not None and len(set(self.levels)) != len(self.levels):
            raise ValueError("a level is listed twice")
        if self.type in NUMERIC and self.levels is not None:
            raise ValueError("levels belong to type binary or category")
        if self.transform != "none" and self.type not in NUMERIC:
            raise ValueError(f"a {self.type} column cannot be transformed by {self.transform}")
        if self.transform in ("log10", "log") and self.range is not None and self.range[0] < 0:
            raise ValueError(f"{self.transform} needs values above 0, but the range starts at {self.range[0]:g}")
        return self

    def columns(self, name: str) -> list[str]:
        """The columns of the design matrix that this variable becomes."""
        if self.type == "category" and self.levels is not None:
            return [f"{name}={level}" for level in self.levels[1:]]
        return [name]

    def level_indices(self) -> dict[str, int]:
        """The texts that the study itself knows for a binary or category column, and the index that each becomes.

        A binary column with named levels may hold 0 and 1 as well, unless its levels are named so: levels [1, 2]
        make a 1 the first level.
        """
        named = {normal_text(level): index for index, level in enumerate(self.levels or [])}
        if self.type == "binary" and not named.keys() & {"0", "1"}:
            named |= {"0": 0, "1": 1}
        return named
