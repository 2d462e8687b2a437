"""A patient's images as they might as well have been: the tumour's mask moved, grown or shrunk, and noise added.

After Zwanenburg et al. 2019 (doi:10.1038/s41598-018-36938-4), whose noise is estimated by Chang et al.'s wavelets
(doi:10.1109/83.862633). Everything happens on the native grid, before what the study does to an image. The mask moves
against the image; moving both together against the grid of resampling would need one interpolation more than a
measurement has, and that smooths texture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pywt
import SimpleITK as sitk
from scipy.ndimage import convolve1d
from scipy.stats import norm

from client.cohort.grids import Grid
from client.extraction.phase_images import PhaseImages
from client.preprocessing import Image, inside, like, resample_mask
from client.regions import Masks, lesions_of
from client.regions.border import border_points_mm, distance_mm
from common.stability import Stability

LEAST_LEFT = 0.5
"""A lesion is shrunk to this share of its voxels at most: of a small one, a millimetre leaves nothing."""
NOISE_MARGIN_MM = 30.0
"""Noise is estimated around the tumour: air has none."""


def perturbed(
    images: Mapping[str, PhaseImages], stability: Stability, content: str, number: int
) -> dict[str, PhaseImages]:
    """The images and masks of one repeated measurement; the same content and number give the same bits.

    Parameters
    ----------
    images
        Every phase with its masks.
    content
        A hash of the patient's images.
    number
        From 1; odd ones grow the tumour, even ones shrink it.
    """
    contour_mm = stability.contour_mm if number % 2 else -stability.contour_mm
    direction = _random(content, number, "translation").normal(size=3)
    found = {}
    for name, given in images.items():
        axes = direction[: given.image.GetDimension()]
        shift_mm = stability.translation_mm * axes / np.linalg.norm(axes)
        lesions = lesions_of(given.masks, "each")
        tumours = [moved_contour(lesion.mask, shift_mm, contour_mm) for lesion in lesions]
        sd = _noise(given, stability)
        image = _with_noise(given.image, sd, _random(content, number, name)) if sd else given.image
        found[name] = replace(given, image=image, masks=replace(given.masks, tumours=tumours))
    return found


def moved_contour(mask: Image, shift_mm: np.ndarray, contour_mm: float) -> Image:
    """A lesion's mask, moved by a vector, then grown by a width or shrunk by a negative one; it is never empty."""
    grid = Grid.of(mask)
    reach_mm = abs(contour_mm)
    part = grid.around(mask, float(np.abs(shift_mm).max()) + reach_mm, 2)
    elsewhere = sitk.Image(mask)
    elsewhere.SetOrigin((np.array(mask.GetOrigin()) + shift_mm).tolist())
    shown = inside(resample_mask(elsewhere, part))
    points_mm = border_points_mm(mask) + shift_mm
    if not shown.any():  # a sliver, moved between voxels
        shown, points_mm = inside(resample_mask(mask, part)), points_mm - shift_mm
    if contour_mm:
        away_mm = distance_mm(points_mm, part, reach_mm)
        shown = shown | (away_mm <= reach_mm) if contour_mm > 0 else _shrunk(shown, away_mm, reach_mm)
    whole = np.zeros(grid.size[::-1], dtype=bool)
    first = np.rint(grid.index(np.array(part.origin_mm))).astype(int)
    whole[tuple(slice(a, a + n) for a, n in zip(first[::-1], part.size[::-1], strict=True))] = shown
    return like(whole, mask)


def _shrunk(shown: np.ndarray, away_mm: np.ndarray, by_mm: float) -> np.ndarray:
    """What lies deeper than a depth; at least half of the voxels, the deepest."""
    left = shown & (away_mm > by_mm)
    least = int(np.ceil(LEAST_LEFT * shown.sum()))
    if left.sum() >= least:
        return left
    depth = np.where(shown, away_mm, -1.0).ravel()
    deepest = np.zeros(depth.shape, dtype=bool)
    deepest[np.argsort(-depth, kind="stable")[:least]] = True
    return deepest.reshape(shown.shape)


def noise_deviation(image: Image, masks: Masks) -> float:
    """The noise around the tumours: the median size of the highest wavelet frequencies, as a standard deviation."""
    shown = masks.tumours[0]
    for tumour in masks.tumours[1:]:
        shown = shown | tumour
    part = Grid.of(image).around(shown, NOISE_MARGIN_MM)
    first = np.rint(Grid.of(image).index(np.array(part.origin_mm))).astype(int)
    voxels = sitk.GetArrayFromImage(sitk.RegionOfInterest(image, part.size, first.tolist())).astype(np.float64)
    high = np.array(pywt.Wavelet("coif1").dec_hi)
    for axis in (-1, -2):  # within slices; between thick ones anatomy would pass for noise
        voxels = convolve1d(voxels, high, axis=axis, mode="reflect")
    return float(np.median(np.abs(voxels)) / norm.ppf(0.75))


def _noise(given: PhaseImages, stability: Stability) -> float:
    return noise_deviation(given.image, given.masks) if stability.noise == "estimated" else stability.noise


def _with_noise(image: Image, deviation: float, random: np.random.Generator) -> Image:
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    voxels += np.float32(deviation) * random.standard_normal(voxels.shape, dtype=np.float32)
    return like(voxels, image)


def _random(content: str, number: int, what: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{content}/{number}/{what}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
