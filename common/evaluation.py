"""The section `evaluation` of study.yaml: at which risks a model's usefulness is judged."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from common.variables import Strict

Risk = Annotated[float, Field(gt=0, lt=1)]
EVERY_TWENTIETH = [round(0.05 * k, 2) for k in range(1, 20)]


class Evaluation(Strict):
    """Public thresholds of the predicted risk; they are fixed before anything is asked."""

    thresholds: list[Risk] = Field(
        EVERY_TWENTIETH,
        min_length=1,
        max_length=40,
        description="risks at which the decision curve is drawn, rising",
    )
    sensitivity_at_least: float | None = Field(
        None,
        ge=0.5,
        lt=1,
        description="the threshold of a model is the largest with this sensitivity in its training set; left out: "
        "Youden's, the largest sensitivity + specificity there",
    )

    @field_validator("thresholds")
    @classmethod
    def _rising(cls, thresholds: list[float]) -> list[float]:
        if any(b - a < 0.005 for a, b in pairwise(thresholds)):
            raise ValueError("the thresholds must rise, by 0.005 at least")
        return thresholds
