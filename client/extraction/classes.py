"""PyRadiomics' feature classes on one region of one (filtered) image.

Every class of PyRadiomics discretises the region anew, with Python's own minimum and maximum over all voxels. Here
it is done once a region, after the number of grey levels has been checked: with too many of them PyRadiomics
does not return.
"""

import logging
import warnings
from typing import Any

import numpy as np
import SimpleITK as sitk
from radiomics import imageoperations
from radiomics.firstorder import RadiomicsFirstOrder
from radiomics.glcm import RadiomicsGLCM
from radiomics.gldm import RadiomicsGLDM
from radiomics.glrlm import RadiomicsGLRLM
from radiomics.glszm import RadiomicsGLSZM
from radiomics.ngtdm import RadiomicsNGTDM

from client.cannot_extract import CannotExtract
from client.cohort.grids import bounding_box
from client.extraction.shape import shape_class
from client.preprocessing import Image, inside
from common.features import Features, Phase

# After the import, which sets a level of its own. What is below an error is said by our own checks.
logging.getLogger("radiomics").setLevel(logging.ERROR)


class _SharedGreyLevels:
    """Takes the discretised region from the caller instead of computing it in every class."""

    settings: dict[str, Any]
    coefficients: dict[str, Any]

    def _applyBinning(self, matrix: np.ndarray) -> np.ndarray:
        levels: np.ndarray = self.settings["grey_levels"]
        self.coefficients["grayLevels"] = present = self.settings["present"]
        self.coefficients["Ng"] = int(present[-1])
        return levels


_CLASSES: dict[str, Any] = {
    name: type(original.__name__, (_SharedGreyLevels, original), {"__module__": original.__module__})
    for name, original in {
        "firstorder": RadiomicsFirstOrder,
        "glcm": RadiomicsGLCM,
        "glrlm": RadiomicsGLRLM,
        "glszm": RadiomicsGLSZM,
        "gldm": RadiomicsGLDM,
        "ngtdm": RadiomicsNGTDM,
    }.items()
}


def feature_names_of(feature_class: str, dimension: int) -> list[str]:
    """<class>_<feature> of all features that a class computes, in its order; shape is shape2D in two dimensions."""
    extractor = shape_class(dimension) if feature_class == "shape" else _CLASSES[feature_class]
    name = "shape2D" if feature_class == "shape" and dimension == 2 else feature_class
    return [f"{name}_{feature}" for feature, deprecated in extractor.getFeatureNames().items() if not deprecated]


def shape_features(mask: Image) -> dict[str, float]:
    """shape_<feature> (3-D) or shape2D_<feature> of a region's mask."""
    shape = shape_class(mask.GetDimension())
    name = "shape" if mask.GetDimension() == 3 else "shape2D"
    part = _crop(mask, mask)
    return _computed(name, shape(part, part, label=1))


def intensity_features(
    image: Image, mask: Image, filter_name: str, features: Features, phase: Phase
) -> dict[str, float]:
    """<class>_<feature> of a region for every class but shape.

    Parameters
    ----------
    image
        Filtered, on the same grid as the mask.
    mask
        The voxels whose intensities count, after resegmentation.
    """
    image, mask = _crop(image, mask), _crop(mask, mask)
    shown = inside(mask)
    values = sitk.GetArrayViewFromImage(image)[shown]
    levels = np.zeros(shown.shape, dtype=int)
    levels[shown] = grey_levels(values, filter_name, features, phase)
    settings = {**phase.bins, "label": 1, "grey_levels": levels, "present": np.unique(levels[shown])}
    found: dict[str, float] = {}
    for name in features.classes:
        if name != "shape":
            found |= _computed(name, _CLASSES[name](image, mask, **settings))
    return found


def grey_levels(values: np.ndarray, filter_name: str, features: Features, phase: Phase) -> np.ndarray:
    """The grey level of every voxel, from 1; CannotExtract where there are too many of them, or only one."""
    if not np.isfinite(values).all():
        raise CannotExtract(
            f"{int((~np.isfinite(values)).sum())} of {len(values)} voxels of the {filter_name} image are no numbers "
            "(NaN or infinite): repair the image at its source, or leave the patient out"
        )
    low, high = values.min(), values.max()
    width = phase.bins.get("binWidth")
    if width is not None and (high - low) / width >= features.maximum_bins:
        raise CannotExtract(
            f"the {filter_name} image runs from {low:g} to {high:g}, more than {features.maximum_bins} grey levels of "
            f"width {width:g}: choose a larger bin_width, or bin_count, or normalise the image"
        )
    # Only the two ends matter, and Python's minimum over all voxels takes longer than the features.
    edges = imageoperations.getBinEdges(np.array([low, high]), **phase.bins)
    levels = np.digitize(values, edges)
    if filter_name == "original" and levels.min() == levels.max():
        said = f"holds {low:g} everywhere" if low == high else f"runs from {low:g} to {high:g} only"
        raise CannotExtract(
            f"the image {said}, one grey level: choose a smaller bin_width, or bin_count, or check the image"
        )
    return levels


def _crop(image: Image, mask: Image) -> Image:
    low, high = bounding_box(mask)
    size = (high - low + 1).astype(int).tolist()
    return sitk.RegionOfInterest(image, size, low.astype(int).tolist())


def _computed(name: str, extractor: Any) -> dict[str, float]:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty directions and flat regions become NaN, which is recorded
        computed = extractor.execute()
    return {f"{name}_{feature}": float(np.real(value)) for feature, value in computed.items()}
