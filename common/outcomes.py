"""The section `outcome` of study.yaml: what is predicted."""

from typing import Annotated, Literal

from pydantic import Field

from common.variables import Strict

Column = Annotated[str, Field(min_length=1)]


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


class SurvivalOutcome(Strict):
    """A time to an event, with censoring."""

    kind: Literal["survival"]
    time: Column = Field(description="column with the time in days from time zero to event or last contact")
    event: Column = Field(description="column with 1 for an event, 0 for censored")


Outcome = Annotated[BinaryOutcome | MulticlassOutcome | SurvivalOutcome, Field(discriminator="kind")]
