"""A second outcome that the same network predicts: shared layers, a head and a loss of its own (`network.also`).

Patients of whom it is not known, or a hospital that does not have its columns, train the shared layers by the first
outcome alone.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from common.outcomes import BinaryOutcome, TimedOutcome
from common.strict_yaml import Place
from common.variables import Strict, Variable


class SecondSurvival(TimedOutcome):
    """A time to an event, with censoring; judged by C within hospitals."""

    kind: Literal["survival"]


class SecondTask(Strict):
    """The second outcome, and what its loss counts for beside the first's."""

    outcome: Annotated[BinaryOutcome | SecondSurvival, Field(discriminator="kind")]
    weight: float = Field(
        1.0, gt=0, le=100, description="of its loss; the loss of the study's outcome has weight 1"
    )

    @property
    def survival(self) -> bool:
        """Whether it is a time to an event."""
        return isinstance(self.outcome, TimedOutcome)

    def columns(self) -> list[str]:
        """The columns of patients.csv that hold it."""
        if isinstance(self.outcome, TimedOutcome):
            return [self.outcome.time, self.outcome.event]
        return [self.outcome.column]

    def variable(self) -> Variable:
        """How its last column (events, or 0 and 1) is read where the dictionary does not say."""
        return self.outcome.variable() if isinstance(self.outcome, TimedOutcome) else Variable(type="binary")

    def misfits(
        self, taken: Mapping[str, str], first: str, variables: Mapping[str, Variable]
    ) -> Iterator[tuple[Place, str]]:
        """What does not fit the rest of the study.

        Parameters
        ----------
        taken
            Columns that serve for something else, and for what.
        first
            The kind of the study's outcome.
        """
        columns, place = self.columns(), ("outcome", "event" if self.survival else "column")
        if len(set(columns)) != len(columns):
            yield place, f"{columns[1]} is the time already: name the column of events"
        for column in columns:
            if column in taken:
                yield place, f"{column} is {taken[column]}: take it out there, or name another column"
        if first == "horizon":
            yield ("outcome",), "a network is not fitted to an event at a horizon, so there is nothing beside it"
        declared = variables.get(columns[-1])
        if isinstance(self.outcome, TimedOutcome):
            if self.outcome.landmark_days:
                yield ("outcome", "landmark_days"), "only the study's own outcome has a landmark: take it out"
            for at, said in self.outcome.misfits(variables):
                yield ("outcome",), f"{'.'.join(map(str, at))}: {said}"
        elif declared is not None and declared.type != "binary":
            yield place, f"variables.{columns[-1]}: found {declared.type}; this outcome needs binary"
