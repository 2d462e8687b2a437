"""The section `features.habitats` of study.yaml: parts of a tumour that look alike on several phases.

A voxel belongs to the habitat whose centre is nearest (k-means, distances in `spreads`) or that most likely made it
(Gaussian mixture). What decides that is the same at all hospitals and stands in the study, or is learnt first.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from common.strict_yaml import Misfits, Place
from common.variables import Strict

MOST_HABITATS = 8
MOST_PHASES = 4
MOST_ITERATIONS = 50

LEARNT = {"k-means": ("centres", "spreads"), "gmm": ("centres", "covariances", "shares")}
"""What each method needs to know; `hepafed study prepare` fills it in."""


class Habitats(Strict):
    """Regions habitat1, habitat2, …, in the order of their centres on the first of `phases`."""

    method: Literal["k-means", "gmm"] = Field("k-means", description="gmm: a mixture of Gaussians")
    number: int = Field(3, ge=2, le=MOST_HABITATS, description="how many habitats")
    phases: list[str] = Field(
        min_length=1, max_length=MOST_PHASES, description="the phases whose intensities tell habitats apart"
    )
    within: Literal["tumour", "tumour-and-ring"] = Field(
        "tumour", description="what is divided; tumour-and-ring: with the widest of ring_mm"
    )
    smoothing_mm: float = Field(
        1.0,
        ge=0,
        le=10,
        description="a voxel goes with the majority around it, weighted by a Gaussian of this sigma",
    )
    iterations: int = Field(40, ge=4, le=MOST_ITERATIONS, description="the most questions that learning may take")
    centres: list[list[float]] | None = Field(
        None, description="a row a habitat, a number a phase; left out: to be learnt by hepafed study prepare"
    )
    spreads: list[float] | None = Field(
        None, description="k-means: the standard deviation of each phase, in which distances are measured"
    )
    covariances: list[list[list[float]]] | None = Field(
        None, description="gmm: a matrix a habitat, over the phases"
    )
    shares: list[float] | None = Field(None, description="gmm: how much of all tumours each habitat is; sums to 1")

    @model_validator(mode="after")
    def _consistent(self) -> "Habitats":
        if misfits := list(self._misfits()):
            raise Misfits(misfits)
        return self

    def _misfits(self) -> Iterator[tuple[Place, str]]:
        if twice := [phase for phase in dict.fromkeys(self.phases) if self.phases.count(phase) > 1]:
            yield ("phases",), f"{twice[0]} stands here twice: keep one"
        needed = LEARNT[self.method]
        for name in ("centres", "spreads", "covariances", "shares"):
            value = getattr(self, name)
            if value is not None and name not in needed:
                yield (name,), f"{self.method} does not use it: take it out"
            if (value is None) == self.learnt and name in needed:
                yield (name,), f"{' and '.join(needed)} go together: give all, or none to have them learnt"
        if self.learnt:
            yield from self._wrong_shapes()

    def _wrong_shapes(self) -> Iterator[tuple[Place, str]]:
        habitats, phases = self.number, len(self.phases)
        wanted = {
            "centres": (habitats, phases),
            "spreads": (phases,),
            "covariances": (habitats, phases, phases),
            "shares": (habitats,),
        }
        for name in LEARNT[self.method]:
            value = getattr(self, name)
            if value is not None and _shape(value) != wanted[name]:
                said = " × ".join(map(str, wanted[name]))
                yield (name,), f"needs {said} numbers, for {habitats} habitats and {phases} phases"
                return
        if self.spreads is not None and min(self.spreads) <= 0:
            yield ("spreads",), "a standard deviation is above 0"
        if self.shares is not None and (min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-3):
            yield ("shares",), f"shares are above 0 and sum to 1, these to {sum(self.shares):g}"
        for index, matrix in enumerate(np.asarray(self.covariances or [])):
            if not np.array_equal(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
                yield ("covariances", index), "this is no covariance: it must be symmetric and positive definite"

    @property
    def learnt(self) -> bool:
        """Whether any of what tells habitats apart stands here."""
        return any(getattr(self, name) is not None for name in LEARNT[self.method])

    def names(self) -> list[str]:
        """The regions, as they stand in the names of features."""
        return [f"habitat{number}" for number in range(1, self.number + 1)]


def _shape(value: list[object]) -> tuple[int, ...] | None:
    """The shape of nested lists; None where they are ragged."""
    try:
        return np.asarray(value, dtype=np.float64).shape
    except ValueError:
        return None
