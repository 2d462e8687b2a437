"""The section `patches` of study.yaml: which part of a patient's images a network looks at, and how.

A patch is a small volume round the tumour: a channel a phase, intensities from −1 to 1, and
the masks of tumour and ring.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from common.features import (
    PREPROCESSING_VERSION,
    Features,
    Millimetres,
    Phase,
    PhaseName,
    RingRules,
)
from common.query import canonical_json
from common.strict_yaml import Misfits, Place
from common.variables import Strict

PATCHES_VERSION = 1
"""Raised by whoever changes a number that client/patches/ computes."""

WINDOWS: dict[str, tuple[float, float]] = {
    "CT": (-100.0, 250.0),
    "MRI": (-3.0, 3.0),
    "ADC": (0.0, 3000.0),
    "PET": (0.0, 15.0),
}
"""By modality: HU, standard deviations, 10⁻⁶ mm²/s and SUV that become −1 and 1."""

MOST_VOXELS = 128**3
Edge = Annotated[int, Field(ge=8, le=128)]
Shown = Literal["everything", "tumour-and-ring", "tumour"]
Seen = Shown | Literal["none"]
LESS_AND_LESS: tuple[Seen, ...] = ("everything", "tumour-and-ring", "tumour", "none")
"""What a model may be shown of a patch; each shows a part of the one before."""


class PatchPhase(Strict):
    """One image of a patient as a network sees it: a channel."""

    modality: Literal["CT", "MRI", "ADC", "PET"] = Field(description="a volume; ultrasound has no patches")
    window: tuple[float, float] | None = Field(
        None,
        description="intensities that become −1 and 1, what lies beyond is cut; left out: CT −100 to 250 HU, "
        "MRI −3 to 3 standard deviations, ADC 0 to 3000, PET 0 to 15 SUV",
    )
    bias_correction: bool | None = Field(None, description="N4; left out: on for MRI, off for the rest")
    normalise_over: Literal["body", "liver"] = Field(
        "body", description="MRI: whose mean and standard deviation are 0 and 1"
    )

    @model_validator(mode="after")
    def _rising(self) -> "PatchPhase":
        low, high = self.limits
        if low >= high:
            raise Misfits([(("window",), f"starts at {low:g} and ends at {high:g}: put the lower first")])
        if self.bias_correction and self.modality != "MRI":
            raise Misfits([(("bias_correction",), f"N4 is for MRI, not {self.modality}: take it out")])
        if self.normalise_over == "liver" and self.modality != "MRI":
            said = f"{self.modality} is measured in units of its own: take it out"
            raise Misfits([(("normalise_over",), said)])
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """The intensities that become −1 and 1."""
        return self.window or WINDOWS[self.modality]

    def as_phase(self) -> Phase:
        """The phase as images are prepared by (client/preprocessing.py)."""
        return Phase(
            modality=self.modality,
            bias_correction=self.bias_correction,
            normalise_over=self.normalise_over,
            z_scale=1.0,
            round_hu=False,
        )


class Augmentation(Strict):
    """How patches are changed at random while a network is trained; judged are the patches as they are."""

    flips: bool = Field(True, description="mirror along each axis in half of all draws")
    rotation_degrees: float = Field(10.0, ge=0, le=180, description="turn about each axis, at most")
    shift_voxels: float = Field(1.0, ge=0, le=16, description="move along each axis, at most")
    brightness: float = Field(0.1, ge=0, le=1, description="added to a phase's intensities, at most")
    contrast: float = Field(0.1, ge=0, le=0.9, description="intensities are scaled by 1 ± this, at most")


class Patches(Strict):
    """From images to what a network on images is trained on."""

    phases: dict[PhaseName, PatchPhase] = Field(
        min_length=1, description="the images of a patient, by name; dwi-b800 is the image dwi_b800"
    )
    missing_phases: Literal["refuse", "leave-empty"] = Field(
        "refuse",
        description="a patient who lacks a phase: has no patch; or zeros there, if the first phase (by name) exists",
    )
    masks: Literal["own", "carried-rigid", "carried-deformable"] = Field(
        "own", description="as in the section features"
    )
    spacing_mm: Millimetres = Field(2.0, description="edge of a voxel, the same along all axes")
    size: tuple[Edge, Edge, Edge] = Field(
        (32, 32, 32), description="voxels along x, y, z; the largest tumour and its ring should fit in"
    )
    ring_mm: Millimetres = Field(5.0, description="width of the ring round the tumour")
    ring_rules: RingRules = RingRules()
    lesions: Literal["largest", "merged"] = Field(
        "largest", description="patients with several tumours: the patch shows the largest, or lies round all"
    )
    shown: Shown = Field(
        "everything", description="what is left of the intensities, the rest is 0: to know what a part is worth"
    )
    augmentation: Augmentation | None = Field(Augmentation(), description="null: none")

    @field_validator("phases")
    @classmethod
    def _by_name(cls, phases: dict[str, PatchPhase]) -> dict[str, PatchPhase]:
        return dict(sorted(phases.items()))  # a study travels with sorted keys, and channels keep their places

    @model_validator(mode="after")
    def _consistent(self) -> "Patches":
        if misfits := list(self._misfits()):
            raise Misfits(misfits)
        return self

    def _misfits(self) -> Iterator[tuple[Place, str]]:
        voxels = self.size[0] * self.size[1] * self.size[2]
        if voxels > MOST_VOXELS:
            yield (
                ("size",),
                f"{voxels:,} voxels are more than {MOST_VOXELS:,}: take fewer, or larger ones (spacing_mm)",
            )
        if 2 * self.ring_mm >= self.spacing_mm * min(self.size):
            yield ("size",), f"a ring of {self.ring_mm:g} mm on both sides fills the patch: make it larger"
        called = [phase.lower().replace("-", "_") for phase in self.phases]
        for phase, image in zip(self.phases, called, strict=True):
            if called.count(image) > 1:
                yield ("phases", phase), f"two phases are read from the image {image}: rename one"

    def channels(self) -> tuple[str, ...]:
        """What a patch's channels hold, in their order: the phases, then masks."""
        return (*self.phases, *self.mask_channels())

    def mask_channels(self) -> tuple[str, ...]:
        """The masks that a network sees."""
        return ("tumour",) if self.shown == "tumour" else ("tumour", "ring")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x: the order of arrays."""
        x, y, z = self.size
        return z, y, x

    def as_features(self) -> Features:
        """The same as a section `features`, by which images are read, masks carried and rings drawn."""
        return Features(
            phases={name: phase.as_phase() for name, phase in self.phases.items()},
            missing_phases=self.missing_phases,
            masks=self.masks,
            regions=["tumour", "ring"],
            ring_mm=[self.ring_mm],
            ring_rules=self.ring_rules,
            lesions=self.lesions,
            classes=["firstorder"],
            minimum_voxels=8,
        )

    def fingerprint(self) -> dict[str, str]:
        """What must be equal for two patches of a patient to be the same; what is chosen at reading does not count."""
        measured = self.model_dump(mode="json", exclude={"augmentation", "shown"})
        versions = self.as_features().fingerprint()
        return {
            "settings": hashlib.sha256(canonical_json(measured).encode()).hexdigest(),
            "preprocessing": f"{PREPROCESSING_VERSION}.{PATCHES_VERSION}",
            **{package: versions[package] for package in ("SimpleITK", "numpy")},
        }
