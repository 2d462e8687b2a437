"""The section `cohort` of study.yaml: who belongs to the study, and criteria that nobody could meet."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated

from pydantic import Field, model_validator

from common.strict_yaml import Place
from common.texts import normal_text
from common.variables import NUMERIC, Level, Strict, Variable

Column = Annotated[str, Field(min_length=1)]


class Criterion(Strict):
    """Which patients belong to the cohort; a patient must meet every criterion."""

    column: Column
    at_least: float | None = None
    at_most: float | None = None
    one_of: list[Level] | None = None
    known: bool | None = Field(None, description="true: the value must not be missing")

    @model_validator(mode="after")
    def _says_something(self) -> "Criterion":
        if all(v is None for v in (self.at_least, self.at_most, self.one_of, self.known)):
            raise ValueError("a criterion needs at_least, at_most, one_of or known")
        if self.known is False:
            raise ValueError("known: false would ask for patients without the value; leave the criterion out")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"nobody can be at least {self.at_least:g} and at most {self.at_most:g}: put the lower at at_least"
            )
        if self.one_of == []:
            raise ValueError("one_of names no level, so nobody can meet it: name the levels, or take it out")
        return self

    def in_words(self) -> str:
        """The condition as a sentence would say it, without the column's name."""
        parts = []
        if self.at_least is not None:
            parts.append(f"at least {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"at most {self.at_most:g}")
        if self.one_of is not None:
            parts.append(f"one of {', '.join(self.one_of)}")
        if self.known:
            parts.append("known")
        return " and ".join(parts)

    def values(self, variable: Variable) -> dict[str, float | None]:
        """What each text of `one_of` is as a number or the index of a level; None: no value of the column."""
        return {text: _value(text, variable) for text in self.one_of or []}


class Cohort(Strict):
    """The patients that the study is about."""

    include: list[Criterion] = []


@dataclass
class _Left:
    """The values of a column that the criteria so far let pass."""

    low: float
    high: float
    values: frozenset[float] | None

    @staticmethod
    def of(variable: Variable) -> "_Left":
        if variable.type in NUMERIC:
            low, high = variable.range or (-inf, inf)
            return _Left(low, high, None)
        indices = frozenset(map(float, variable.level_indices().values()))
        return _Left(min(indices), max(indices), indices)

    def narrow(self, criterion: Criterion, values: frozenset[float] | None) -> None:
        """Keep what the criterion lets pass."""
        self.low = max(self.low, -inf if criterion.at_least is None else criterion.at_least)
        self.high = min(self.high, inf if criterion.at_most is None else criterion.at_most)
        if values is not None:
            self.values = values if self.values is None else self.values & values

    def nothing(self) -> bool:
        """Whether no value is left."""
        if self.values is None:
            return self.low > self.high
        return not any(self.low <= value <= self.high for value in self.values)


def misfits(criterion: Criterion, variable: Variable) -> Iterator[tuple[Place, str]]:
    """What a criterion asks for that its column cannot hold, each with its place below the criterion."""
    bounded = criterion.at_least is not None or criterion.at_most is not None
    if bounded and variable.type == "category":
        yield (), "a category has no at_least or at_most: write one_of"
    unknown = [text for text, value in criterion.values(variable).items() if value is None]
    if unknown:
        known = f"write one of {', '.join(variable.level_indices())}"
        cure = f"its type is {variable.type}: write such numbers" if variable.type in NUMERIC else known
        yield ("one_of",), f"{', '.join(unknown)}: no value of {criterion.column}; {cure}"


def nobody_can_meet(criteria: list[tuple[Criterion, Variable]]) -> Iterator[tuple[int, str]]:
    """The first criterion of each column that, with those above and the column's range, lets nothing pass."""
    left: dict[str, _Left] = {}
    empty: set[str] = set()
    for index, (criterion, variable) in enumerate(criteria):
        column = criterion.column
        if column in empty or list(misfits(criterion, variable)):
            continue
        known = frozenset(value for value in criterion.values(variable).values() if value is not None)
        left.setdefault(column, _Left.of(variable)).narrow(criterion, known if criterion.one_of else None)
        if left[column].nothing():
            empty.add(column)
            above = [c.in_words() for c, _ in criteria[:index] if c.column == column]
            limits = _limits(variable, above)
            yield index, f"nobody can meet '{column} {criterion.in_words()}'{limits}: correct the criteria"


def _limits(variable: Variable, above: list[str]) -> str:
    limits = [f"'{words}' above" for words in above]
    if variable.range is not None and variable.type in NUMERIC:
        limits.append(f"its range, {variable.range[0]:g} to {variable.range[1]:g}")
    if variable.type == "binary":
        limits.append("its values 0 and 1")
    return f" with {' and '.join(limits)}" if limits else ""


def _value(text: str, variable: Variable) -> float | None:
    text = normal_text(text)
    if variable.type not in NUMERIC:
        return variable.level_indices().get(text)
    try:
        number = float(text)
    except ValueError:
        return None
    possible = isfinite(number) and (variable.type == "number" or number.is_integer())
    return number if possible else None
