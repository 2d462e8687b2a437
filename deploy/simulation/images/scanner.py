"""CT scanners: how each hospital takes and reconstructs its images."""

from dataclasses import dataclass

import numpy as np

from deploy.simulation.clinic import HIGHEST_MVI, LOWEST_MVI
from deploy.simulation.images.anatomy import FIELD_OF_VIEW_MM, FINE
from deploy.simulation.images.fields import Axes, correlated, even, gaussian_weights, through
from deploy.simulation.synthesis import Setting, generator

PIXEL_MM = 3.0
SLICES_MM = (1.5, 3.0, 4.0, 5.0)
"""By the hospital's place, over and over."""
_ALIASING_MM = 1.15
"""A blur narrower than this would show the fine grid's own voxels."""


@dataclass(frozen=True)
class Acquisition:
    """What one scanner at one hospital does to an image.

    Parameters
    ----------
    blur_mm
        Of the reconstruction kernel: the standard deviation of a point in the plane.
    noise_hu, noise_blur_mm
        Standard deviation of the noise, and how far it is correlated in the plane.
    late
        How late after the contrast agent, in the standard deviations of enhancement.py.
    """

    slice_mm: float
    blur_mm: float
    noise_hu: float
    noise_blur_mm: float
    bias_hu: float
    late: float

    @property
    def kernel(self) -> str:
        """The reconstruction kernel's name, as a header would give it."""
        return "sharp" if self.blur_mm < 1.4 else "medium" if self.blur_mm < 1.9 else "soft"


def draw_acquisition(setting: Setting, place: int, mvi_prevalence: float, scanner: str) -> Acquisition:
    """How a hospital images with one of its scanners.

    As with the features that are drawn without images, hospitals that see more microvascular invasion reconstruct
    more softly: a model that tells hospitals apart is misled.
    """
    slice_mm = SLICES_MM[place % len(SLICES_MM)]
    if not setting.hospital_effect:
        return Acquisition(slice_mm=3.0, blur_mm=1.6, noise_hu=9.0, noise_blur_mm=2.2, bias_hu=0.0, late=0.0)
    own = generator(setting.seed, "image acquisition", place)
    model = generator(setting.seed, f"image scanner {scanner}")
    softness = (mvi_prevalence - LOWEST_MVI) / (HIGHEST_MVI - LOWEST_MVI)
    blur = 1.15 + 1.1 * softness + own.normal(0, 0.08) + model.normal(0, 0.08)
    blur_mm = round(float(np.clip(blur, 1.0, 2.5)), 2)
    noise = (14.0 - 6.0 * softness) * np.exp(own.normal(0, 0.08) + model.normal(0, 0.08))
    return Acquisition(
        slice_mm=slice_mm,
        blur_mm=blur_mm,
        noise_hu=round(float(noise), 1),
        noise_blur_mm=round(1.3 * blur_mm, 2),
        bias_hu=round(float(own.normal(0, 2) + model.normal(0, 1)), 1),
        late=round(float(own.normal(0, 0.7)), 2),
    )


def grid_of(acquisition: Acquisition) -> Axes:
    """The voxels that a scanner makes."""
    steps = {"z": acquisition.slice_mm, "y": PIXEL_MM, "x": PIXEL_MM}
    half = {axis: step / 2 for axis, step in steps.items()}
    return Axes(
        *(
            even(FIELD_OF_VIEW_MM[axis][0] + half[axis], FIELD_OF_VIEW_MM[axis][1] - half[axis], steps[axis])
            for axis in "zyx"
        )
    )


def scan(hu: np.ndarray, acquisition: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A volume of the fine grid as the scanner shows it: whole HU, int16."""
    axes = grid_of(acquisition)
    across = float(np.hypot(acquisition.slice_mm / np.sqrt(12), 0.8))
    blurs = [max(blur, _ALIASING_MM) for blur in (across, acquisition.blur_mm, acquisition.blur_mm)]
    seen = through(hu, [gaussian_weights(to, of, blur) for to, of, blur in zip(axes, FINE, blurs, strict=True)])
    blur_mm = acquisition.noise_blur_mm
    noise = correlated(rng.standard_normal(axes.shape, dtype=np.float32), axes, (0.0, blur_mm, blur_mm))
    measured = seen + acquisition.bias_hu + acquisition.noise_hu * noise
    return np.clip(np.rint(measured), -1024, 3071).astype(np.int16)
