"""Habitats of a tumour: voxels that look alike on several phases, as regions on every phase.

The phases are brought over each other by the tumour's centre, since a breath moves the liver by more than a voxel.
The map is made on the first of the habitats' phases, and the others see the same map.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from client.cohort.grids import Grid
from client.extraction.names import habitat_shares
from client.extraction.phase_images import PhaseImages
from client.habitat_assignment import habitat_of
from client.preprocessing import Image, inside, like, prepare, resegment
from client.regions import Lesion, Region, build_regions, centre_mm
from common.features import Features, Phase


@dataclass(frozen=True)
class Voxels:
    """The part of a lesion that is divided, on the grid of the habitats' first phase.

    Parameters
    ----------
    intensities
        Voxels × phases, in the order of ``within``'s true voxels.
    """

    within: np.ndarray
    intensities: np.ndarray
    image: Image
    centre_mm: np.ndarray


@dataclass(frozen=True)
class HabitatMap:
    """A lesion's habitats: 0 outside, then 1, 2, …; and where the lesion's centre lies on that phase."""

    labels: Image
    centre_mm: np.ndarray

    def shares(self, features: Features) -> dict[str, float]:
        """The share of the divided volume that each habitat is, 0 where the patient lacks it, by the feature's name."""
        names = habitat_shares(features)
        counts = np.bincount(sitk.GetArrayViewFromImage(self.labels).ravel(), minlength=1 + len(names))[1:]
        return dict(zip(names, (counts / counts.sum()).tolist(), strict=True))

    def regions(self, image: Image, lesion: Lesion, features: Features, phase: Phase) -> list[Region]:
        """The habitats of this lesion on another phase's prepared image; those that are too small are left out."""
        assert features.habitats is not None
        moved = sitk.TranslationTransform(image.GetDimension(), (self.centre_mm - centre_mm(lesion.mask)).tolist())
        labels = sitk.GetArrayFromImage(sitk.Resample(self.labels, image, moved, sitk.sitkNearestNeighbor, 0))
        voxel_mm3 = float(np.prod(image.GetSpacing()))
        found = []
        for number, name in enumerate(features.habitats.names(), 1):
            mask = like(labels == number, image)
            if int(inside(resegment(image, mask, phase)).sum()) >= features.minimum_voxels:
                voxels = int(inside(mask).sum())
                found.append(Region(name, mask, voxels, voxels * voxel_mm3, optional=True))
        return found


def habitat_maps(
    images: Mapping[str, PhaseImages], lesions: Mapping[str, list[Lesion]], features: Features
) -> dict[int, HabitatMap]:
    """The habitats of every lesion, by its number; nothing where the study has none or a phase is not there."""
    habitats = features.habitats
    if habitats is None or any(phase not in images for phase in habitats.phases):
        return {}
    found = {}
    for at, first in enumerate(lesions[habitats.phases[0]]):
        voxels = lesion_voxels(images, {phase: lesions[phase][at] for phase in habitats.phases}, features)
        labels = np.zeros(voxels.within.shape, dtype=np.uint8)
        labels[voxels.within] = 1 + habitat_of(voxels.intensities, habitats)
        edges_mm = np.array(voxels.image.GetSpacing())[::-1]
        smooth = with_the_majority(labels, habitats.number, habitats.smoothing_mm / edges_mm)
        found[first.number] = HabitatMap(like(smooth, voxels.image), voxels.centre_mm)
    return found


def lesion_voxels(images: Mapping[str, PhaseImages], lesion: Mapping[str, Lesion], features: Features) -> Voxels:
    """The intensities of one lesion's voxels on all phases of the habitats.

    Parameters
    ----------
    lesion
        The same lesion as each of the phases shows it.
    """
    habitats = features.habitats
    assert habitats is not None
    first = habitats.phases[0]
    phase, given = features.phases[first], images[first]
    widest_mm = max(features.ring_mm, default=0.0) if habitats.within == "tumour-and-ring" else 0.0
    grid = Grid.of(given.image).with_spacing(phase.spacing).around(lesion[first].mask, 0.0, 2, widest_mm)
    image = prepare(given.image, phase, grid, given.masks.liver_background())
    divided = features.model_copy(
        update={"regions": [habitats.within], "ring_mm": [widest_mm] if widest_mm else [], "band_mm": []}
    )
    slice_mm = max(given.image.GetSpacing())
    within = inside(build_regions(lesion[first], given.masks, image, divided, phase, slice_mm)[0].mask)
    centre = centre_mm(lesion[first].mask)
    columns = [sitk.GetArrayViewFromImage(image)[within]]
    for name in habitats.phases[1:]:
        other = images[name]
        away_mm = centre_mm(lesion[name].mask) - centre
        moved = replace(grid, origin_mm=tuple((np.array(grid.origin_mm) + away_mm).tolist()))
        seen = prepare(other.image, features.phases[name], moved, other.masks.liver_background())
        columns.append(sitk.GetArrayViewFromImage(seen)[within])
    return Voxels(within, np.column_stack(columns).astype(np.float64), image, centre)


def with_the_majority(labels: np.ndarray, number: int, sigma_voxels: np.ndarray) -> np.ndarray:
    """Every voxel in the label that most voxels around it have; 0 stays outside and has no vote."""
    if not sigma_voxels.any():
        return labels
    votes = [
        gaussian_filter((labels == n).astype(np.float64), sigma_voxels, mode="constant")
        for n in range(1, number + 1)
    ]
    smooth = 1 + np.argmax(np.round(votes, 9), axis=0)  # a tie must not hang on the last bit
    return np.where(labels > 0, smooth, 0).astype(labels.dtype)
