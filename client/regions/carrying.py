"""Masks drawn on one phase, carried to another by registering the two images.

How far the result can be off is measured, not assumed: the images are registered both ways, and a point of the
tumours' border that goes there and back should come home (inverse consistency, doi:10.1109/42.816070). Two ways back
start from places that are off by more than what is allowed, on opposite sides, so that images which cannot be
registered, where the optimiser stays near its start or comes to rest anywhere, do not look consistent: of 120 pairs of
unrelated images one way back found 4 consistent to 3 mm, both together none. What comes back too far off is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.preprocessing import Image, inside, like, resample_image
from client.regions.lesions import Masks

MARGIN_MM = 30.0
"""Registration looks at the tumours and this much around them: the liver's own breath counts, not the spine's."""
FAR_MM = 75.0
"""In the other image this much, since what is near in the one may have moved in the other."""
RESIDUAL_PERCENTILE = 95
BORDER_POINTS = 2000
START_OFF = 1.5
"""The ways back start this many times the allowed residual away."""
LEAST_START_OFF_MM = 6.0
VOXEL_MM = {2: 1.0, 3: 2.0}
"""Voxels of the registered image by its dimension: as long as wide, or thick slices would leave nothing to shrink."""
TISSUE_MADS = 6.0
"""Intensities this many median absolute deviations (4 standard deviations) from the median count as tissue."""


@dataclass(frozen=True)
class Carried:
    """Masks on another phase's grid, and how far off they may be.

    Parameters
    ----------
    residual_mm
        95 % of the tumours' border comes back to within this distance after going there and back, by either way.
    moved_mm
        How far the border moved, on average.
    """

    masks: Masks
    residual_mm: float
    moved_mm: float


def carry_masks(
    source: Image, target: Image, masks: Masks, kind: Literal["rigid", "deformable"], allowed_mm: float
) -> Carried:
    """Tumours, liver and vessels of `source` on the grid of `target`, all through one transform.

    Raises
    ------
    CannotExtract
        Where the residual exceeds `allowed_mm`, or a tumour comes to lie outside the image.
    """
    if source.GetDimension() != target.GetDimension():
        raise CannotExtract(
            f"the masks were drawn on an image of {source.GetDimension()} dimensions and this has "
            f"{target.GetDimension()}: draw the tumour on this phase"
        )
    drawn = like(np.any([inside(tumour) for tumour in masks.tumours], axis=0), masks.tumours[0])
    border_mm = _border_mm(drawn)
    try:
        with _one_thread():
            forth = _register(target, source, drawn, kind, 0.0)  # maps points of target to points of source
            off_mm = max(START_OFF * allowed_mm, LEAST_START_OFF_MM)
            backs = [_register(source, target, drawn, kind, side * off_mm) for side in (1.0, -1.0)]
    except RuntimeError:  # ITK: the images do not overlap, or are smaller than registration can use
        raise CannotExtract(
            f"the mask cannot be carried to this phase: {kind} registration finds no overlap with the image that it "
            "was drawn on: check that both show the same part of the body, or draw the tumour on this phase"
        ) from None
    theres_mm = [_moved(border_mm, back) for back in backs]
    homes_mm = [_moved(there_mm, forth) for there_mm in theres_mm]
    residual_mm = max(
        float(np.percentile(np.linalg.norm(home_mm - border_mm, axis=1), RESIDUAL_PERCENTILE))
        for home_mm in homes_mm
    )
    moved_mm = float(np.linalg.norm(theres_mm[0] - border_mm, axis=1).mean())
    if residual_mm > allowed_mm:
        raise CannotExtract(
            f"the mask cannot be carried to this phase: {kind} registration is certain to {residual_mm:.1f} mm only, "
            f"{allowed_mm:g} mm are allowed (the narrowest ring's width): draw the tumour on this phase, or leave the "
            "patient out"
        )
    tumours = [_through(tumour, forth, target) for tumour in masks.tumours]
    if not all(inside(tumour).any() for tumour in tumours):
        raise CannotExtract("a carried tumour lies outside this phase's image: draw the tumour on this phase")
    liver, vessels = (
        None if mask is None else _through(mask, forth, target) for mask in (masks.liver, masks.vessels)
    )
    return Carried(Masks(tumours, liver, vessels), residual_mm, moved_mm)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads add up in another order each time, and a registration's steps make much of a last digit.

    The metric has threads of its own, which only the global number reaches. What is left differs by some 0.1 mm between
    two runs; the store keeps what was computed.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _moved(points_mm: np.ndarray, transform: Any) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in points_mm.tolist()])


def _through(mask: Image, transform: Any, target: Image) -> Image:
    fractions = sitk.Resample(
        sitk.Cast(mask, sitk.sitkFloat32), target, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32
    )
    return fractions >= 0.5


def _border_mm(mask: Image) -> np.ndarray:
    contour = np.argwhere(inside(sitk.LabelContour(mask)))[:, ::-1]
    step = max(1, len(contour) // BORDER_POINTS)
    return Grid.of(mask).position_mm(contour[::step])


def _register(fixed: Image, moving: Image, drawn: Image, kind: str, off_mm: float) -> Any:
    """The transform from points of `fixed` to points of `moving`, by mutual information near the tumours."""
    dimension = fixed.GetDimension()
    near = Grid.of(fixed).around(drawn, MARGIN_MM).with_spacing(VOXEL_MM[dimension])
    far = Grid.of(moving).around(drawn, FAR_MM).with_spacing(VOXEL_MM[dimension])
    fixed, moving = _tissue(fixed, drawn, near), _tissue(moving, drawn, far)
    euler = sitk.Euler3DTransform() if dimension == 3 else sitk.Euler2DTransform()
    centre = (np.array(near.size) - 1) / 2
    euler.SetCenter(near.position_mm(centre).tolist())
    euler.SetTranslation([off_mm / dimension**0.5] * dimension)
    method = _method()
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 100, 0.5, 1e-6)
    reach_mm = float(np.linalg.norm(np.array(near.size) * near.spacing_mm)) / 4
    turns = 3 if dimension == 3 else 1
    method.SetOptimizerScales([reach_mm**2] * turns + [1.0] * dimension)  # ITK's own estimate draws lots
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([3, 1.5])
    method.SetInitialTransform(euler, True)
    method.Execute(fixed, moving)
    return euler if kind == "rigid" else _deform(fixed, moving, euler)


def _deform(fixed: Image, moving: Image, rigid: Any) -> Any:
    """B-splines with a control point every 25 mm or so, on top of the rigid transform."""
    extent_mm = np.array(fixed.GetSize()) * np.array(fixed.GetSpacing())
    mesh = np.maximum(np.round(extent_mm / 25), 2).astype(int).tolist()
    splines = sitk.BSplineTransformInitializer(fixed, mesh)
    method = _method()
    method.SetOptimizerAsLBFGSB(
        gradientConvergenceTolerance=1e-4, numberOfIterations=20, maximumNumberOfFunctionEvaluations=60
    )
    method.SetShrinkFactorsPerLevel([2])
    method.SetSmoothingSigmasPerLevel([1.5])
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(splines, True)
    method.Execute(fixed, moving)
    both = sitk.CompositeTransform(fixed.GetDimension())
    both.AddTransform(rigid)
    both.AddTransform(splines)  # the last one added is applied first
    return both


def _method() -> Any:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.NONE)  # every voxel: ITK jitters even a regular sample
    method.SetInterpolator(sitk.sitkLinear)
    method.SetNumberOfThreads(1)
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    return method


def _tissue(image: Image, drawn: Image, grid: Grid) -> Image:
    """An image on a grid, clipped to what tissue near the tumours shows.

    Air, bone and metal would leave liver and tumour a few of the histogram's bins.
    """
    near = sitk.GetArrayViewFromImage(resample_image(image, Grid.of(image).around(drawn, MARGIN_MM)))
    median = float(np.median(near))
    reach = TISSUE_MADS * float(np.median(np.abs(near - median)))
    image = resample_image(image, grid)
    if reach > 0:
        image = sitk.Clamp(image, lowerBound=median - reach, upperBound=median + reach)
    return sitk.Cast(image, sitk.sitkFloat32)
