"""A peritumoural ring on the image's own grid, for looking at what it holds; features have their own finer grid."""

import numpy as np
import SimpleITK as sitk

from client.cohort.grids import Grid
from client.cohort.patient_images import Phase
from client.preprocessing import inside, like
from client.regions.border import TIE_MM, border_points_mm, distance_mm


def ring_on_image(phase: Phase, tumour: str, ring_mm: float, *, clip_to_liver: bool = True) -> sitk.Image:
    """0 and 1: what lies within `ring_mm` of a tumour, without it and the other lesions.

    Parameters
    ----------
    clip_to_liver
        Keep what lies inside the liver's mask, where there is one.
    """
    mask = phase.masks[tumour]
    near = Grid.of(mask).around(mask, ring_mm, 1)
    close = distance_mm(border_points_mm(mask), near, ring_mm) <= ring_mm + TIE_MM
    ring = np.zeros(inside(mask).shape, dtype=bool)
    first = mask.TransformPhysicalPointToIndex(near.origin_mm)
    ring[tuple(slice(a, a + n) for a, n in zip(first[::-1], near.size[::-1], strict=True))] = close
    for lesion in phase.tumours:
        ring &= ~inside(phase.masks[lesion])
    if clip_to_liver and "liver" in phase.masks:
        ring &= inside(phase.masks["liver"])
    return like(ring, mask)
