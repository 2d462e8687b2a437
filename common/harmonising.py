"""The section `harmonisation` of study.yaml: which ComBat, over which batches, keeping which covariates."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from common.variables import Strict

Column = Annotated[str, Field(min_length=1)]


class Smooth(Strict):
    """A preserved covariate whose effect is a smooth curve: a cubic B-spline on public knots."""

    knots: list[float] = Field(min_length=2, description="lowest, inner and highest knot, ascending")
    penalty: float = Field(1.0, ge=0, le=1e6, description="weight of the curve's bending")

    @field_validator("knots")
    @classmethod
    def _ascending(cls, knots: list[float]) -> list[float]:
        if any(b <= a for a, b in pairwise(knots)):
            raise ValueError(f"the knots must rise, found {knots}")
        return knots


class Harmonisation(Strict):
    """How hospital effects are taken out of radiomic features."""

    method: Literal["none", "combat", "covbat"] = Field(
        "none", description="combat: location and scale; covbat: covariances of the features too"
    )
    batch: Literal["hospital", "hospital+scanner"] | list[Column] = Field(
        "hospital",
        description="hospital, hospital+scanner, or category columns whose levels several hospitals share, e.g. "
        "[kernel, contrast]; these are harmonised one after the other",
    )
    preserve: list[Column] | None = Field(
        None,
        description="covariates whose effect is kept, not the outcome; left out: tumour size, if a predictor",
    )
    smooth: dict[Column, Smooth] = Field({}, description="preserved covariates with a curved effect")
    empirical_bayes: bool = Field(True, description="borrow strength between features; off: each on its own")
    priors: Literal["parametric", "non-parametric"] = "parametric"
    mean_only: bool = Field(
        False, description="shift only, no rescaling; recommended below 30 patients a hospital"
    )
    reference: str | None = Field(None, description="a hospital that stays as it is; the others are moved to it")
    transform: Literal["none", "signed-log", "yeo-johnson"] = Field(
        "none",
        description="shared transform before ComBat and undone after it; signed-log suits raw radiomic scales",
    )
    unseen: Literal["calibrate", "none"] = Field(
        "calibrate",
        description="a held-out hospital: its shift is estimated on one unlabelled half and the other half is "
        "scored, then swapped (transductive); or it is scored as it is",
    )
    shape_too: bool = Field(
        False, description="harmonise shape and volume as well; their differences are case mix"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Harmonisation":
        if self.priors == "non-parametric" and not self.empirical_bayes:
            raise ValueError("priors: non-parametric needs empirical_bayes: true")
        if self.reference is not None and (self.batch != "hospital" or self.method == "covbat"):
            raise ValueError("a reference hospital goes with method: combat and batch: hospital")
        if isinstance(self.batch, list) and self.method == "covbat":
            raise ValueError("covbat takes batch: hospital or hospital+scanner")
        loose = sorted(set(self.smooth) - set(self.preserve or []))
        if loose:
            raise ValueError(f"smooth names {', '.join(loose)}: add it to preserve as well")
        return self

    @property
    def levels(self) -> list[str]:
        """The batch variables whose levels several hospitals share."""
        return list(self.batch) if isinstance(self.batch, list) else []
