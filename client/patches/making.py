"""One patient's images and masks to a patch: a small volume round the tumour on the patient's own axes."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid, bounding_box
from client.extraction.lesions_by_phase import lesions_by_phase
from client.extraction.phase_images import PhaseImages, with_masks
from client.patches.patch import TUMOUR, Patch
from client.preprocessing import Image, inside, prepare
from client.regions import Lesion, build_regions
from common.patches import Patches, PatchPhase

MOST_SHOWN = 0.99
"""A person is told where less of the tumour than this lies within the patch."""


def make_patch(images: Mapping[str, PhaseImages], patches: Patches) -> Patch:
    """The patch of one patient; CannotExtract says what is wrong with an image or mask, and in which phase.

    Every phase is centred on the tumour as it was drawn there: breath moves the liver between two phases.
    """
    features = patches.as_features()
    present = with_masks(images, features)
    lesions = lesions_by_phase(present, features)
    intensities = np.zeros((len(patches.phases), *patches.shape), dtype=np.float16)
    masks, notes = None, list[str]()
    for number, (name, phase) in enumerate(patches.phases.items()):
        if name not in present:
            continue
        given, lesion = present[name], lesions[name][0]
        wide, cut = _wide_grid(patch_grid(lesion.mask, patches), lesion.mask, patches.ring_mm)
        try:
            image = prepare(given.image, features.phases[name], wide, given.masks.liver_background())
            covered = _covered(Grid.of(given.image), wide)
            intensities[number] = np.where(covered, _in_window(image, phase), 0)[cut].astype(np.float16)
            if masks is None:
                drawn = _masks(lesion, given, image, name, patches) & covered
                masks = drawn[:, *cut]
                notes = _notes(masks[TUMOUR], drawn[TUMOUR])
        except CannotExtract as fault:
            raise CannotExtract(f"{name}: {fault}") from None
    assert masks is not None
    return Patch(intensities, masks, tuple(notes))


def patch_grid(tumour: Image, patches: Patches) -> Grid:
    """The voxels of a patch: along the patient's axes, however the image was taken, with the tumour in the middle."""
    low, high = bounding_box(tumour)
    native = Grid.of(tumour)
    corners = native.position_mm(np.array(list(product(*zip(low, high, strict=True)))))
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    step = patches.spacing_mm
    origin = middle - step * (np.array(patches.size) - 1) / 2
    return Grid(patches.size, (step,) * 3, tuple(origin.tolist()), tuple(np.eye(3).ravel().tolist()))


def _wide_grid(grid: Grid, tumour: Image, ring_mm: float) -> tuple[Grid, tuple[slice, ...]]:
    """A patch's grid, grown until it holds the whole tumour and ring, and where (z, y, x) the patch lies in it.

    Regions are drawn on all of it: a tumour larger than the patch has a ring that the patch does not show.
    """
    low, high = bounding_box(tumour)
    corners = grid.index(Grid.of(tumour).position_mm(np.array(list(product(*zip(low, high, strict=True))))))
    reach = np.maximum(-corners.min(axis=0), corners.max(axis=0) - (np.array(grid.size) - 1))
    more = np.maximum(np.ceil(reach + ring_mm / np.array(grid.spacing_mm) + 1), 0).astype(int)
    origin = grid.position_mm(-more)
    size = tuple((np.array(grid.size) + 2 * more).tolist())
    cut = tuple(slice(n, n + length) for n, length in zip(more[::-1], grid.size[::-1], strict=True))
    return Grid(size, grid.spacing_mm, tuple(origin.tolist()), grid.direction), cut


def _in_window(image: Image, phase: PatchPhase) -> np.ndarray:
    """Intensities with the window's limits at −1 and 1."""
    low, high = phase.limits
    array: np.ndarray = sitk.GetArrayFromImage(image).astype(np.float64)
    return np.clip((array - low) / (high - low), 0, 1) * 2 - 1


def _covered(native: Grid, grid: Grid) -> np.ndarray:
    """Which voxels of a patch (z, y, x) lie within the image; beyond it nothing is known."""
    axes = [np.arange(size, dtype=np.float64) for size in grid.size]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    indices = native.index(grid.position_mm(voxels))
    within = (indices >= -0.5) & (indices <= np.array(native.size) - 0.5)
    return within.all(axis=-1).transpose(2, 1, 0)


def _masks(lesion: Lesion, given: PhaseImages, image: Image, name: str, patches: Patches) -> np.ndarray:
    features = patches.as_features()
    slice_mm = max(given.image.GetSpacing())
    tumour, ring = build_regions(lesion, given.masks, image, features, features.phases[name], slice_mm)
    return np.stack([inside(tumour.mask), inside(ring.mask)])


def _notes(shown: np.ndarray, drawn: np.ndarray) -> list[str]:
    share = shown.sum() / max(drawn.sum(), 1)
    if share >= MOST_SHOWN:
        return []
    return [f"{share:.0%} of the tumour lies within the patch: raise size or spacing_mm of the section patches"]
