"""The section `compare` of study.yaml: further models of the same run, beside the one over all predictors.

All models share the pipeline (imputation, harmonisation, scaling) and every split, so that what differs between them is
the columns they look at. Early fusion is one model over several kinds of columns; late fusion stacks the scores of
other models, fitted on scores of patients that those models did not see.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, field_validator

from common.patches import Seen
from common.variables import INDICATOR, Strict

Column = Annotated[str, Field(min_length=1)]
MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+ -]{0,39}"


class Candidate(Strict):
    """One model: which of the study's predictors it looks at, or which other models' scores."""

    clinical: Literal["all"] | list[Column] | None = Field(
        None, description="all, or some of predictors.clinical; left out: none"
    )
    radiomics: Literal["all"] | list[Column] | None = Field(
        None, description="all, or names and patterns (*) among the study's features; left out: none"
    )
    image: Seen | None = Field(
        None,
        description="networks on images: what this model sees of the patches: everything, tumour-and-ring, tumour or "
        "none; left out: what patches.shown says",
    )
    stack: list[str] | None = Field(
        None,
        min_length=2,
        description="late fusion: names of other models of this section whose scores are stacked",
    )

    @field_validator("radiomics", mode="before")
    @classmethod
    def _one_name(cls, value: object) -> object:
        return [value] if isinstance(value, str) and value != "all" else value

    def takes(self, columns: Sequence[str], is_feature: Callable[[str], bool]) -> list[bool]:
        """Which of the design's columns this model looks at."""
        return [self._radiomics(c) if is_feature(c) else self._clinical(c) for c in columns]

    def _clinical(self, column: str) -> bool:
        source = column.removesuffix(INDICATOR).partition("=")[0]
        return self.clinical == "all" or (self.clinical is not None and source in self.clinical)

    def _radiomics(self, feature: str) -> bool:
        if self.radiomics is None or self.radiomics == "all":
            return self.radiomics == "all"
        return any(fnmatchcase(feature, pattern) for pattern in self.radiomics)
