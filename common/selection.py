"""The section `selection` of study.yaml: which image features the model sees, chosen anew in every training set."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from common.outcomes import Outcome, TimedOutcome
from common.strict_yaml import Place
from common.variables import Strict

Screening = Literal["t", "mann-whitney", "cox"]


class Selection(Strict):
    """Steps in the order in which they are taken; clinical columns are never taken out."""

    largest_missing_share: float | None = Field(
        None, ge=0, lt=1, description="take out features that more patients lack than this share"
    )
    smallest_variation: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="take out features whose standard deviation is below this share of their mean",
    )
    screening: Screening | None = Field(
        None,
        description="one feature at a time against the outcome: t (F with three classes and more), mann-whitney, cox; "
        "left out: only where there are more features than the patients allow, by t or cox",
    )
    p_value: float | None = Field(
        None, gt=0, lt=1, description="screening leaves features with a smaller p value only, and one at the least"
    )
    keep: int | None = Field(
        None, ge=1, description="features that screening leaves; left out: as many as the patients allow"
    )
    redundancy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="of two features with a larger |Spearman correlation|, e.g. 0.9, the one that tells less goes",
    )
    mrmr: int | None = Field(
        None, ge=1, description="features that are kept last, by minimum redundancy and maximum relevance"
    )

    def misfits(self, outcome: Outcome) -> Iterator[tuple[Place, str]]:
        """Settings that do not fit the outcome or each other."""
        timed = isinstance(outcome, TimedOutcome)
        if self.screening == "cox" and not timed:
            yield ("screening",), f"cox needs times to an event, the outcome is {outcome.kind}: write t"
        if self.screening in ("t", "mann-whitney") and timed:
            yield ("screening",), f"{self.screening} compares classes, the outcome is {outcome.kind}: write cox"
        if self.screening == "mann-whitney" and outcome.kind == "multiclass":
            yield ("screening",), "mann-whitney compares two classes, the outcome has more: write t"
        if self.keep is not None and self.mrmr is not None and self.mrmr > self.keep:
            yield ("mrmr",), f"{self.mrmr} features cannot be kept of the {self.keep} that screening leaves"


def screening_of(selection: Selection | None, outcome: Outcome) -> Screening:
    """The univariate test of a study: the one that it names, or the one that fits its outcome."""
    if selection is not None and selection.screening is not None:
        return selection.screening
    return "cox" if isinstance(outcome, TimedOutcome) else "t"
