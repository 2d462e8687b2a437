"""Tumour, peritumoural rings and bands, liver: the parts of an image that features are computed from.

Distances are measured in mm from the tumour's border (border.py): on 5 mm slices a ring made by dilating voxels is
three times too large.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.preprocessing import Image, inside, like, resample_mask
from client.regions.border import TIE_MM, border_points_mm, distance_mm
from client.regions.lesions import Lesion, Masks
from common.features import Features, Phase


@dataclass(frozen=True)
class Region:
    """One region on the grid of the prepared image.

    Parameters
    ----------
    name
        As in the names of features: tumour, ring5mm, tumour-and-ring5mm, band3mm, liver, liver-background.
    kept
        The share of the geometric region that is left after exclusions.
    excluded
        The share that each exclusion took, in the order of taking: outside_liver, other_lesions, vessels,
        below_hu, above_hu.
    notes
        What a person should know, e.g. slices thicker than the ring is wide.
    optional
        Patients may be without it, so what cannot be computed is left empty.
    """

    name: str
    mask: Image
    voxels: int
    volume_mm3: float
    kept: float = 1.0
    excluded: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    optional: bool = False


def build_regions(
    lesion: Lesion, masks: Masks, image: Image, features: Features, phase: Phase, slice_mm: float
) -> list[Region]:
    """The regions of one lesion, in the order of ``features.drawn_regions()``.

    Parameters
    ----------
    image
        The prepared image; its grid reaches beyond the tumour by the widest ring at least.
    slice_mm
        The native image's largest voxel edge, for the note on thick slices.
    """
    build = _Builder(lesion, masks, image, features, phase, slice_mm)
    widths: dict[str, Sequence[float | None]] = {
        "ring": features.ring_mm,
        "tumour-and-ring": features.ring_mm,
        "band": features.band_mm,
    }
    wanted = [(kind, width) for kind in features.regions for width in widths.get(kind, [None])]
    names = features.drawn_regions()
    return [build.region(name, kind, width) for name, (kind, width) in zip(names, wanted, strict=True)]


class _Builder:
    """The arrays that the regions of one lesion share."""

    def __init__(
        self, lesion: Lesion, masks: Masks, image: Image, features: Features, phase: Phase, slice_mm: float
    ) -> None:
        self.image, self.features, self.slice_mm = image, features, slice_mm
        self.grid = Grid.of(image)
        self.voxel_mm3 = float(np.prod(self.grid.spacing_mm))
        self.masks, self.lesion = masks, lesion
        self.tumour = self._on_grid(lesion.mask)
        if not self.tumour.any():
            raise CannotExtract(
                f"lesion {lesion.number} is thinner than a voxel of {self.grid.spacing_mm} mm and vanished in "
                "resampling: take smaller voxels (spacing_mm), or leave the lesion out"
            )
        self.liver = None if masks.liver is None else self._on_grid(masks.liver)
        self.others = None if lesion.others is None else self._on_grid(lesion.others) & ~self.tumour
        self.exclusions = self._exclusions(phase)
        self._distance_mm: np.ndarray | None = None

    def _on_grid(self, mask: Image) -> np.ndarray:
        return inside(resample_mask(mask, self.grid))

    @property
    def distance_mm(self) -> np.ndarray:
        """Distance to the tumour's border, inside as outside; infinite where no ring or band reaches."""
        if self._distance_mm is None:
            reach_mm = max((*self.features.ring_mm, *self.features.band_mm))
            self._distance_mm = distance_mm(border_points_mm(self.lesion.mask), self.grid, reach_mm)
        return self._distance_mm

    def _exclusions(self, phase: Phase) -> list[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
        """What is taken out of a ring, in this order; each says which voxels of an outer part go."""
        rules, masks = self.features.ring_rules, self.masks
        found: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = []
        if rules.clip_to_liver:
            found.append(("outside_liver", lambda ring: ring & ~self._liver()))
        if rules.exclude_lesions and self.others is not None:
            others = self.others
            found.append(("other_lesions", lambda ring: ring & others))
        if rules.exclude_vessels and masks.vessels is not None:
            vessels = self._on_grid(masks.vessels)
            found.append(("vessels", lambda ring: ring & vessels))
        if phase.modality == "CT":
            hu = sitk.GetArrayViewFromImage(self.image)
            low, high = rules.lowest_hu, rules.highest_hu
            if low is not None:
                found.append(("below_hu", lambda ring: ring & (hu < low)))
            if high is not None:
                found.append(("above_hu", lambda ring: ring & (hu > high)))
        return found

    def _liver(self) -> np.ndarray:
        if self.liver is None:
            raise CannotExtract(
                "the study asks for the liver (a region, clip_to_liver or normalise_over) and there is no mask of "
                "it: give liver.nii.gz, or leave the patient out"
            )
        return self.liver

    def region(self, name: str, kind: str, width_mm: float | None) -> Region:
        """One region by its kind; the width is a ring's or a band's."""
        if kind == "tumour":
            return self._made(name, self.tumour)
        if kind == "liver":
            return self._made(name, self._liver())
        if kind == "liver-background":
            background = self._liver() & ~self.tumour
            return self._made(name, background if self.others is None else background & ~self.others)
        assert width_mm is not None
        return self._around(name, kind, width_mm)

    def _around(self, name: str, kind: str, width_mm: float) -> Region:
        close = self.distance_mm <= width_mm + TIE_MM
        ring = close & ~self.tumour
        left, excluded = ring.copy(), {}
        if not ring.any():
            raise CannotExtract(
                f"{name} has no voxel: the voxels of {self.grid.spacing_mm} mm are larger than its width; "
                "take smaller voxels (spacing_mm) or a wider ring"
            )
        for reason, exclusion in self.exclusions:
            gone = exclusion(left)
            excluded[reason] = float(gone.sum() / ring.sum())
            left &= ~gone
        kept = float(left.sum() / ring.sum())
        notes = []
        if self.slice_mm > width_mm:
            notes.append(f"slices of {self.slice_mm:g} mm are thicker than {name} is wide")
        if kept < 0.5:
            notes.append(f"{kept:.0%} of {name} is left after exclusions")
        if _touches_border(ring):
            notes.append(f"{name} reaches the border of the image")
        if kind == "tumour-and-ring":
            left |= self.tumour
        elif kind == "band":
            left |= self.tumour & close
        return self._made(name, left, kept, excluded, tuple(notes))

    def _made(
        self,
        name: str,
        array: np.ndarray,
        kept: float = 1.0,
        excluded: dict[str, float] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Region:
        voxels, least = int(array.sum()), self.features.minimum_voxels
        if voxels < least:
            lost = ", ".join(f"{reason} took {share:.0%}" for reason, share in (excluded or {}).items() if share)
            raise CannotExtract(
                f"{name} has {voxels} voxels of {self.grid.spacing_mm} mm{f' ({lost})' if lost else ''}, "
                f"{least} are asked for (minimum_voxels): check the masks, or leave the patient out"
            )
        mask = like(array, self.image)
        return Region(name, mask, voxels, voxels * self.voxel_mm3, kept, excluded or {}, notes)


def _touches_border(array: np.ndarray) -> bool:
    return any(array.take((0, -1), axis=axis).any() for axis in range(array.ndim))
