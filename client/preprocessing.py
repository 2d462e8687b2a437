"""An image and its masks, brought to the grid and the grey scale that features are computed on.

PyRadiomics' own resampling misses most of IBSI's reference values; ours follows the IBSI reference manual
(arXiv:1612.07003, sections 2.4 to 2.6): a grid that shares its centre with the image (IBSI code 3UAD), linear
interpolation, CT rounded to whole HU, masks interpolated linearly and cut at one half.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid, difference
from common.features import NYUL_PERCENTILES, Phase

INSIDE = 0.5 - 1e-6
"""A voxel belongs to a resampled mask from one half on; the margin is for the interpolator's rounding."""
Image = Any  # SimpleITK has no types


def check_same_grid(image: Image, mask: Image, name: str) -> None:
    """CannotExtract unless a mask of zeros and ones lies on the image's own grid."""
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetDimension() not in (2, 3):
        found = f"{image.GetDimension()}-D with {image.GetNumberOfComponentsPerPixel()} channels"
        raise CannotExtract(f"the image is {found}: give a grey image of two or three dimensions")
    if apart := difference(Grid.of(image), Grid.of(mask)):
        raise CannotExtract(
            f"the mask of the {name} does not lie on the image's grid: {apart}: export both from one series"
        )
    values = np.unique(sitk.GetArrayViewFromImage(mask))
    if not np.isin(values, (0, 1)).all():
        raise CannotExtract(
            f"the mask of the {name} holds {', '.join(f'{v:g}' for v in values[:6])}: "
            "a mask is 0 outside and 1 inside; name the label that is meant, or export it again"
        )


def resample_image(image: Image, grid: Grid, interpolation: str = "linear") -> Image:
    """An image on another grid, as 64-bit floats; beyond the border the nearest voxel counts."""
    interpolator = {"linear": sitk.sitkLinear, "bspline": sitk.sitkBSpline3}[interpolation]
    return _resample(image, grid, interpolator, sitk.sitkFloat64)


def resample_mask(mask: Image, grid: Grid) -> Image:
    """A mask on another grid: linear interpolation, inside from one half on (IBSI, section 2.6)."""
    fractions = _resample(mask, grid, sitk.sitkLinear, sitk.sitkFloat32)
    inside = sitk.GetArrayViewFromImage(fractions) >= INSIDE
    return like(inside, fractions)


def _resample(image: Image, grid: Grid, interpolator: Any, pixel: Any) -> Image:
    if (part := _part(image, grid)) is not None:
        return sitk.Cast(part, pixel)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(grid.size)
    resampler.SetOutputSpacing(grid.spacing_mm)
    resampler.SetOutputOrigin(grid.origin_mm)
    resampler.SetOutputDirection(grid.direction)
    resampler.SetInterpolator(interpolator)
    resampler.SetOutputPixelType(pixel)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return resampler.Execute(image)


def _part(image: Image, grid: Grid) -> Image | None:
    """The voxels themselves where a grid is a part of the image's own; interpolation would blur the last digit."""
    own = Grid.of(image)
    if own.spacing_mm != grid.spacing_mm or own.direction != grid.direction:
        return None
    offset = np.array(image.TransformPhysicalPointToContinuousIndex(grid.origin_mm))
    first = np.rint(offset).astype(int)
    if np.abs(offset - first).max() > 1e-6 or (first < 0).any() or (first + grid.size > own.size).any():
        return None
    return sitk.RegionOfInterest(image, grid.size, first.tolist())


def like(array: np.ndarray, image: Image) -> Image:
    """An array as an image on the grid of another; booleans become a mask."""
    made = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    made.CopyInformation(image)
    return made


def inside(mask: Image) -> np.ndarray:
    """A mask as a boolean array (z, y, x)."""
    found: np.ndarray = sitk.GetArrayViewFromImage(mask) != 0
    return found


def prepare(image: Image, phase: Phase, grid: Grid, liver: Image | None = None) -> Image:
    """An image as its phase asks: bias field, normalisation, resampling, HU rounding and window.

    Parameters
    ----------
    image
        As it was read; bias field and normalisation look at all of it.
    grid
        Where the result is wanted: a part of ``Grid.of(image).with_spacing(phase.spacing)``.
    liver
        The liver without tumours on the image's grid, for ``normalise_over: liver``.
    """
    if phase.n4:
        image = correct_bias(image)
    if phase.norm != "none":
        norm = norm_region(image, phase, liver)
        array = sitk.GetArrayFromImage(image).astype(np.float64)
        if phase.norm == "z-score":
            array = z_score(array, norm) * phase.z_scale
        else:
            array = nyul(array, norm, phase.nyul_landmarks or [])
        image = like(array, image)
    image = resample_image(image, grid, phase.interpolation)
    if phase.modality != "CT":
        return image
    array = sitk.GetArrayFromImage(image)
    if phase.round_hu:
        array = np.rint(np.round(array, 6))  # what lies halfway must not hang on the interpolator's last bit
    if phase.window_hu is not None:
        array = np.clip(array, *phase.window_hu)
    return like(array, image)


def norm_region(image: Image, phase: Phase, liver: Image | None) -> np.ndarray:
    """The voxels whose intensities are the norm; `liver` is without tumours, on the image's grid."""
    return inside(liver) if phase.normalise_over == "liver" and liver is not None else body(image)


def body(image: Image) -> np.ndarray:
    """What is not air around the patient: above Otsu's threshold of the image."""
    bright: np.ndarray = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1, 200)) != 0
    return bright


def correct_bias(image: Image, shrink: int = 4) -> Image:
    """N4 (doi:10.1109/TMI.2010.2046908): the field is estimated on every fourth voxel and divided out everywhere."""
    image = sitk.Cast(image, sitk.sitkFloat32)
    mask = like(body(image), image)
    factors = [max(1, min(shrink, size // 16)) for size in image.GetSize()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 50, 50])
    n4.Execute(sitk.Shrink(image, factors), sitk.Shrink(mask, factors))
    return image / sitk.Cast(sitk.Exp(n4.GetLogBiasFieldAsImage(image)), sitk.sitkFloat32)


def z_score(array: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over the voxels of `norm`."""
    values = array[norm]
    deviation = values.std() if values.size else 0.0
    if not deviation > 0:
        raise CannotExtract(
            f"the region that intensities are normalised over has {values.size} voxels of one value: check the image"
        )
    normalised: np.ndarray = (array - values.mean()) / deviation
    return normalised


def landmarks(array: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Intensities at Nyúl's percentiles; the mean over patients is a standard scale."""
    if not norm.any():
        raise CannotExtract("the region that intensities are normalised over is empty: check the image")
    return np.percentile(array[norm], NYUL_PERCENTILES)


def nyul(array: np.ndarray, norm: np.ndarray, standard: Sequence[float]) -> np.ndarray:
    """Intensities moved to a standard scale, linearly between landmarks; beyond them the outer slopes go on."""
    found, wanted = landmarks(array, norm), np.asarray(standard, dtype=float)
    if (np.diff(found) <= 0).any():
        raise CannotExtract("two landmarks of the image's intensities coincide: too few grey levels for nyul")
    moved = np.interp(array, found, wanted)
    slopes = np.diff(wanted) / np.diff(found)
    below, above = array < found[0], array > found[-1]
    moved[below] = wanted[0] + slopes[0] * (array[below] - found[0])
    moved[above] = wanted[-1] + slopes[-1] * (array[above] - found[-1])
    return moved


def resegment(image: Image, mask: Image, phase: Phase) -> Image:
    """A mask without the intensities that the phase leaves out: by range, then by sigmas of what is left (IBSI)."""
    if phase.keep_range is None and phase.keep_sigmas is None:
        return mask
    shown = inside(mask)
    values = sitk.GetArrayViewFromImage(image)[shown]
    kept = np.ones(len(values), dtype=bool)
    if phase.keep_range is not None:
        kept &= (values >= phase.keep_range[0]) & (values <= phase.keep_range[1])
    if phase.keep_sigmas is not None and kept.any():
        mean, reach = values[kept].mean(), phase.keep_sigmas * values[kept].std()
        kept &= np.abs(values - mean) <= reach
    array = np.zeros(shown.shape, dtype=bool)
    array[shown] = kept
    return like(array, image)
