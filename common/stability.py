"""The section `features.stability` of study.yaml: which patients are measured again, and how."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from common.variables import Strict

Repetition = Literal["perturbations", "readers"]
REPEATED: tuple[Repetition, ...] = get_args(Repetition)
"""What patients are measured again for."""
SECOND_READER = "reader2"
"""The measurement over a second reader's masks."""
OF_THE_STUDY = ""
"""The measurement that studies use."""


class Stability(Strict):
    """How stable features are: some patients are measured again, in changed images and over a second reader's masks."""

    perturbations: int = Field(
        4, ge=0, le=20, description="how often a patient of the sample is measured again; 0: not at all"
    )
    translation_mm: float = Field(0.5, ge=0, le=5, description="the tumour's mask is moved this far")
    contour_mm: float = Field(
        1.0, ge=0, le=5, description="its contour is moved out (odd measurements) or in (even ones) by this much"
    )
    noise: Literal["estimated"] | Annotated[float, Field(ge=0, le=1e6)] = Field(
        "estimated",
        description="standard deviation of the noise that is added, in the image's unit; estimated: as in the image",
    )
    readers: bool = Field(True, description="measure over tumour_reader2 too, at every patient who has it")
    patients: int = Field(
        30, ge=10, le=10_000, description="the sample: at most so many patients of a hospital are perturbed"
    )
    minimum_icc: float | None = Field(
        None, gt=0, lt=1, description="leave out features with a lower ICC before anything is fitted"
    )

    @field_validator("perturbations")
    @classmethod
    def _two(cls, perturbations: int) -> int:
        if perturbations == 1:
            raise ValueError("one measurement cannot agree with itself: 0 for none, or 2 and more")
        return perturbations

    @model_validator(mode="after")
    def _something(self) -> "Stability":
        if not self.measurements():
            raise ValueError("nobody is measured again: give perturbations or readers, or take stability out")
        return self

    def measurements(self) -> dict[Repetition, tuple[str, ...]]:
        """The measurements that are held against each other, by what they tell of."""
        found: dict[Repetition, tuple[str, ...]] = {}
        if self.perturbations:
            found["perturbations"] = tuple(f"perturbed-{n}" for n in range(1, self.perturbations + 1))
        if self.readers:
            found["readers"] = (OF_THE_STUDY, SECOND_READER)
        return found
