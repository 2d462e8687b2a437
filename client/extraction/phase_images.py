"""One phase of a patient as features are computed from it; masks are carried to phases that have none of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from client.cannot_extract import CannotExtract
from client.preprocessing import Image, check_same_grid
from client.regions import Masks, carry_masks
from common.features import Features, Phase

KINDS: dict[str, Literal["rigid", "deformable"]] = {"carried-rigid": "rigid", "carried-deformable": "deformable"}


@dataclass(frozen=True)
class PhaseImages:
    """One phase of a patient: its image and the masks on its grid.

    Parameters
    ----------
    residual_mm
        How far off the masks may be where they were carried from another phase; None: they are its own.
    note
        From which phase they were carried, and how far they moved.
    """

    image: Image
    masks: Masks
    residual_mm: float | None = None
    note: str = ""


def with_masks(images: Mapping[str, PhaseImages], features: Features) -> dict[str, PhaseImages]:
    """The study's phases that are there, in the study's order, each checked and with masks.

    Raises
    ------
    CannotExtract
        Where a phase is missing that must not be, an image is not what its phase is, or a mask lies on another grid
        or cannot be carried.
    """
    _check_present(images, features)
    found = {}
    for name, phase in features.phases.items():
        if name in images:
            try:
                found[name] = _checked(_with_tumours(name, images, features), phase, features)
            except CannotExtract as fault:
                raise CannotExtract(f"{name}: {fault}") from None
    return found


def _check_present(images: Mapping[str, PhaseImages], features: Features) -> None:
    missing = [phase for phase in features.phases if phase not in images]
    needed = list(features.phases) if features.missing_phases == "refuse" else list(features.phases)[:1]
    if lacking := [phase for phase in needed if phase in missing]:
        raise CannotExtract(f"there is no image of {', '.join(lacking)}: add it, or leave the patient out")


def _with_tumours(name: str, images: Mapping[str, PhaseImages], features: Features) -> PhaseImages:
    """A phase as it is, or with the masks of the first phase that has a tumour's."""
    own = images[name]
    kind = KINDS.get(features.masks)
    in_order = [*(phase for phase in features.phases if phase in images), *images]
    reference = next((phase for phase in in_order if images[phase].masks.tumours), None)
    if own.masks.tumours or kind is None or reference is None:
        return own
    drawn = images[reference]
    for mask in drawn.masks.tumours:
        check_same_grid(drawn.image, mask, f"tumour on {reference}")
    carried = carry_masks(drawn.image, own.image, drawn.masks, kind, features.narrowest_mm)
    liver = own.masks.liver if own.masks.liver is not None else carried.masks.liver
    vessels = own.masks.vessels if own.masks.vessels is not None else carried.masks.vessels
    note = (
        f"masks carried from {reference} ({kind}), certain to {carried.residual_mm:.1f} mm; the tumour moved by "
        f"{carried.moved_mm:.1f} mm"
    )
    return PhaseImages(own.image, Masks(carried.masks.tumours, liver, vessels), carried.residual_mm, note)


def _checked(given: PhaseImages, phase: Phase, features: Features) -> PhaseImages:
    if given.image.GetDimension() != phase.dimension:
        raise CannotExtract(
            f"the image has {given.image.GetDimension()} dimensions, {phase.modality} is computed in "
            f"{phase.dimension}: give {'the chosen picture alone' if phase.dimension == 2 else 'the whole volume'}"
        )
    masks = given.masks
    named = [("tumour", mask) for mask in masks.tumours] + [("liver", masks.liver), ("vessels", masks.vessels)]
    for name, mask in named:
        if mask is not None:
            check_same_grid(given.image, mask, name)
    if masks.liver is None and features.needs_liver():
        raise CannotExtract(
            "the study asks for the liver (a region, clip_to_liver or normalise_over) and there is no mask of it: "
            "give liver.nii.gz, or leave the patient out"
        )
    return given
