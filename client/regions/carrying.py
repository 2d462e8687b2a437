"""A mask drawn on one phase, carried to another by registering the two images.

How far the result can be off is measured, not assumed: the two images are registered both ways, and a point of the
tumour's border that goes there and back should come home. The distance it misses by is the residual (inverse
consistency, doi:10.1109/42.816070); a mask that is less certain than the ring is wide is refused.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk

from client.preprocessing import CannotExtract, Grid, Image, inside, resample_mask

MARGIN_MM = 30.0
"""Registration looks at the tumour and this much around it: the tumour's own breath counts, not the spine's."""
RESIDUAL_PERCENTILE = 95
BORDER_POINTS = 2000


@dataclass(frozen=True)
class Carried:
    """A mask on another phase's grid, and how far off it may be.

    Parameters
    ----------
    residual_mm
        95 % of the tumour's border comes back to within this distance after going there and back.
    moved_mm
        How far the border moved, on average.
    """

    mask: Image
    residual_mm: float
    moved_mm: float
    kind: str


def carry_mask(
    source: Image, target: Image, mask: Image, kind: Literal["rigid", "deformable"], narrowest_ring_mm: float
) -> Carried:
    """A mask of `source` on the grid of `target`; CannotExtract where the residual exceeds the narrowest ring."""
    forth = _register(target, source, mask, kind)  # maps points of target to points of source
    back = _register(source, target, mask, kind)
    border = _border_points(mask)
    there = np.array([back.TransformPoint(point) for point in border])
    home = np.array([forth.TransformPoint(point) for point in there])
    residual_mm = float(np.percentile(np.linalg.norm(home - border, axis=1), RESIDUAL_PERCENTILE))
    moved_mm = float(np.linalg.norm(there - border, axis=1).mean())
    if residual_mm > narrowest_ring_mm:
        raise CannotExtract(
            f"the mask cannot be carried to this phase: {kind} registration is certain to {residual_mm:.1f} mm only, "
            f"and the narrowest ring is {narrowest_ring_mm:g} mm wide: draw the tumour on this phase"
        )
    carried = resample_mask(_through(mask, forth, target), Grid.of(target))
    if not inside(carried).any():
        raise CannotExtract("the carried tumour lies outside this phase's image: draw the tumour on this phase")
    return Carried(carried, residual_mm, moved_mm, kind)


def _through(mask: Image, transform: Any, target: Image) -> Image:
    fractions = sitk.Resample(
        sitk.Cast(mask, sitk.sitkFloat32), target, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32
    )
    return fractions >= 0.5


def _border_points(mask: Image) -> np.ndarray:
    contour = np.argwhere(inside(sitk.LabelContour(mask)))[:, ::-1]
    step = max(1, len(contour) // BORDER_POINTS)
    return np.array([mask.TransformContinuousIndexToPhysicalPoint(point) for point in contour[::step].tolist()])


def _register(fixed: Image, moving: Image, mask: Image, kind: str) -> Any:
    """The transform from points of `fixed` to points of `moving`, by mutual information near the tumour.

    Voxels are sampled on a regular grid, not at random, so that the same images give the same transform.
    """
    near = Grid.of(fixed).around(_on(mask, fixed), MARGIN_MM)
    fixed = sitk.Cast(_cut(fixed, near), sitk.sitkFloat32)
    moving = sitk.Cast(moving, sitk.sitkFloat32)
    euler = sitk.Euler3DTransform() if fixed.GetDimension() == 3 else sitk.Euler2DTransform()
    centre = (np.array(fixed.GetSize()) - 1) / 2
    euler.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint(centre.tolist()))
    method = _method()
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 60, 0.5, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([3, 1.5])
    method.SetInitialTransform(euler, True)
    method.Execute(fixed, moving)
    if kind == "rigid":
        return euler
    return _deform(fixed, moving, euler)


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
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.25)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetNumberOfThreads(1)  # sums in one order: the same transform on every machine
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    return method


def _on(mask: Image, image: Image) -> Image:
    """A mask where it lies on another image's grid, before any registration; where it misses, the mask itself."""
    moved = resample_mask(mask, Grid.of(image))
    return moved if inside(moved).any() else mask


def _cut(image: Image, grid: Grid) -> Image:
    first = np.rint(image.TransformPhysicalPointToContinuousIndex(grid.origin_mm)).astype(int)
    return sitk.RegionOfInterest(image, grid.size, first.tolist())
