"""The section `outcome` of study.yaml: what is predicted."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from common.months import LAST_MONTH
from common.units import conversion
from common.variables import NUMERIC, Strict, Variable

Column = Annotated[str, Field(min_length=1)]
Code = Annotated[str, Field(min_length=1)]


class BinaryOutcome(Strict):
    """An outcome that a patient has or has not."""

    kind: Literal["binary"]
    column: Column = Field(
        description="column of patients.csv that holds 0 and 1 (or the two levels in variables)"
    )


class MulticlassOutcome(Strict):
    """An outcome of three or more classes."""

    kind: Literal["multiclass"]
    column: Column = Field(description="column of patients.csv; its levels are listed under variables")


class EventCodes(Strict):
    """What the column of events holds, where there is more than event and censored."""

    censored: list[Code] = Field(["0"], min_length=1, description="without any event until last contact")
    event: list[Code] = Field(["1"], min_length=1, description="the event that is predicted")
    competing: list[Code] = Field([], description="other events after which that one cannot happen, e.g. death")

    @model_validator(mode="after")
    def _each_once(self) -> "EventCodes":
        codes = self.levels()
        if len(set(codes)) != len(codes):
            raise ValueError("a code stands twice: give each to one of censored, event, competing")
        return self

    def levels(self) -> list[str]:
        """All codes, as the levels of a category."""
        return [*self.censored, *self.event, *self.competing]


class TimedOutcome(Strict):
    """The columns that say when a patient had an event or was last seen."""

    time: Column = Field(
        description="column with the time from time zero to event or last contact, in days unless variables says "
        "months or years"
    )
    event: Column = Field(description="column with 1 for an event, 0 for censored, or the codes of event_codes")
    event_codes: EventCodes | None = Field(
        None, description="codes of the column of events, with those of competing events; left out: 1 and 0"
    )
    landmark_days: float = Field(
        0.0,
        ge=0,
        le=36525,
        description="time counts from so many days after time zero; patients with an event or last seen by then leave",
    )

    def variable(self) -> Variable:
        """How the column of events is read where the dictionary does not say."""
        if self.event_codes is None:
            return Variable(type="binary")
        return Variable(type="category", levels=self.event_codes.levels())

    def misfits(self, variables: Mapping[str, Variable]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Entries of the dictionary that do not fit the outcome."""
        event, time = variables.get(self.event), variables.get(self.time)
        if event is not None and event.type != self.variable().type:
            place = ("variables", self.event, "type")
            yield place, f"found {event.type}; this outcome needs {self.variable().type}"
        elif event is not None and self.event_codes is not None:
            levels, codes = set(event.levels or []), set(self.event_codes.levels())
            for level in sorted(levels ^ codes):
                where = "no code of outcome.event_codes" if level in levels else "no level under variables"
                yield ("outcome", "event_codes"), f"{level!r} is {where}: name the same codes in both"
        if time is None:
            return
        if time.type not in NUMERIC:
            yield ("variables", self.time, "type"), "a time is a number: write number or integer"
        elif time.unit is not None and conversion(self.time, time.unit, "d") is None:
            yield ("variables", self.time, "unit"), f"{time.unit!r} is no unit of time: write d, months or years"

    def days_a_unit(self, variables: Mapping[str, Variable]) -> float:
        """How many days one unit of the column of times is."""
        unit = variables[self.time].unit if self.time in variables else None
        return (conversion(self.time, unit, "d") if unit is not None else None) or 1.0


class SurvivalOutcome(TimedOutcome):
    """A time to an event, with censoring."""

    kind: Literal["survival"]
    horizons_months: list[Annotated[int, Field(ge=1, le=LAST_MONTH)]] = Field(
        [12, 24, 36, 60], min_length=1, max_length=12, description="when risks are predicted and judged"
    )
    risk_groups: Literal[2, 3] = Field(
        3, description="2: cut at the median of the training patients' scores; 3: at their tertiles"
    )

    @field_validator("horizons_months")
    @classmethod
    def _rising(cls, months: list[int]) -> list[int]:
        if any(b <= a for a, b in pairwise(months)):
            raise ValueError("horizons must rise, e.g. [12, 24, 36, 60]")
        return months


class HorizonOutcome(TimedOutcome):
    """An event within so many months; those who were lost before are neither dropped nor taken for free of it."""

    kind: Literal["horizon"]
    months: int = Field(
        ge=1, le=LAST_MONTH, description="the horizon: the event by then, or not; a month is 365.25/12 days"
    )

    @property
    def horizons_months(self) -> list[int]:
        """The one horizon, as follow-up is asked about."""
        return [self.months]


def needed_for_classes(outcome: BinaryOutcome | MulticlassOutcome | TimedOutcome) -> tuple[str, ...]:
    """The column that counts as a gap where a patient's class is not known."""
    return (outcome.event,) if isinstance(outcome, HorizonOutcome) else ()


Outcome = Annotated[
    BinaryOutcome | MulticlassOutcome | SurvivalOutcome | HorizonOutcome, Field(discriminator="kind")
]
