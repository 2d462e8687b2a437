"""A patient's masks, and which of the tumours on them features are computed for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import bounding_box
from client.preprocessing import Image, inside, like

SPECK_VOXELS = 8
"""Parts of a tumour mask smaller than this on the native grid are slips of the pen, not lesions."""


@dataclass(frozen=True)
class Masks:
    """A patient's masks on the grid of one image: zeros and ones.

    Parameters
    ----------
    tumours
        One mask that shows all tumours, which is split into its connected parts, or one mask a tumour.
    """

    tumours: Sequence[Image]
    liver: Image | None = None
    vessels: Image | None = None

    def liver_background(self) -> Image | None:
        """The liver without tumours."""
        if self.liver is None:
            return None
        background = inside(self.liver).copy()
        for tumour in self.tumours:
            background &= ~inside(tumour)
        return like(background, self.liver)


class Lesion(NamedTuple):
    """One tumour (or all, merged) on the native grid, and the patient's others."""

    number: int
    mask: Image
    others: Image | None


def lesions_of(masks: Masks, choice: str) -> list[Lesion]:
    """The tumours that features are computed for, the largest first.

    Returns
    -------
    One lesion for ``largest`` and ``merged``, one each for ``each``; numbers start at 1, 0 is all merged.
    """
    if not masks.tumours:
        raise CannotExtract("there is no mask of a tumour: give tumour.nii.gz, or leave the patient out")
    reference = masks.tumours[0]
    parts = [inside(mask) for mask in masks.tumours] if len(masks.tumours) > 1 else _connected_parts(reference)
    parts = sorted((part for part in parts if part.any()), key=lambda part: -int(part.sum()))
    if not parts:
        raise CannotExtract("the mask of the tumour is empty: draw it again, or leave the patient out")
    together = np.any(parts, axis=0)
    if choice == "merged":
        return [Lesion(0, like(together, reference), None)]
    chosen = parts[:1] if choice == "largest" else parts
    lesions = []
    for number, part in enumerate(chosen, 1):
        others = together & ~part
        lesions.append(Lesion(number, like(part, reference), like(others, reference) if others.any() else None))
    return lesions


def _connected_parts(mask: Image) -> list[np.ndarray]:
    whole = inside(mask)
    if not whole.any():
        return []
    low, high = bounding_box(mask)
    first, size = low.astype(int), (high - low + 1).astype(int)
    shown = tuple(slice(a, a + n) for a, n in zip(first[::-1], size[::-1], strict=True))
    part = sitk.RegionOfInterest(mask, size.tolist(), first.tolist())
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(part, True))
    sizes = np.bincount(labels.ravel())[1:]
    large = [n for n, voxels in enumerate(sizes, 1) if voxels >= SPECK_VOXELS] or list(range(1, len(sizes) + 1))
    parts = []
    for number in large:
        parts.append(np.zeros(whole.shape, dtype=bool))
        parts[-1][shown] = labels == number
    return parts


def same_lesions(reference: Sequence[Lesion], found: Sequence[Lesion]) -> list[Lesion]:
    """The lesions of another phase in the order of the first phase's, each to the nearest.

    Sizes differ a little between phases, so their order may; positions differ by a breath.
    """
    if len(reference) == 1 and reference[0].number == 0:
        return list(found)
    centres = np.array([centre_mm(lesion.mask) for lesion in found])
    chosen = []
    for lesion in reference:
        away_mm = np.linalg.norm(centres - centre_mm(lesion.mask), axis=1)
        chosen.append(int(away_mm.argmin()))
    if len(set(chosen)) < len(chosen):
        raise CannotExtract(
            f"{len(reference)} lesions in the first phase and {len(found)} in another cannot be told to be the same: "
            "give one mask a tumour and phase, or choose lesions: merged"
        )
    return [found[at]._replace(number=lesion.number) for at, lesion in zip(chosen, reference, strict=True)]


def centre_mm(mask: Image) -> np.ndarray:
    """The middle of what a mask shows, in patient coordinates."""
    index = np.argwhere(inside(mask)).mean(axis=0)[::-1]
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))
