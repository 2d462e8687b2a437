"""An image and what filters make of it, each computed once for all regions and only as far as they reach.

PyRadiomics filters the whole image again for every region. What a filter shows inside the regions does not change
when the image is cropped, as long as the filter's reach is left around them: eight sigmas for LoG, the filter's
length for wavelets. LoG's recursive Gaussian dies away slowly: rings were up to 5e-4 off at six sigmas, 2e-5 at
eight, 2e-6 at ten (docs/extraction.md).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from radiomics import imageoperations

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.preprocessing import Image, inside, like, resample_image
from client.regions import Region
from common.features import Features

LOG_SIGMAS = 8
WAVELET_VOXELS = 8
WAVELET = "coif1"


def reach(features: Features) -> tuple[float, int]:
    """How far around the regions an image must go on for these filters: in mm, and at least in voxels."""
    log_mm = LOG_SIGMAS * max(features.log_sigma_mm) if "log" in features.filters else 0.0
    return log_mm, WAVELET_VOXELS if {"log", "wavelet"} & set(features.filters) else 1


def filtered(image: Image, regions: Sequence[Region], features: Features) -> Iterator[tuple[str, Image]]:
    """PyRadiomics' name of every filter and its image, around the regions."""
    everywhere = like(np.any([inside(region.mask) for region in regions], axis=0), image)
    if "original" in features.filters:
        yield "original", _around(image, everywhere, 0.0, 1)
    if "log" in features.filters:
        for sigma_mm in features.log_sigma_mm:
            part = _around(image, everywhere, LOG_SIGMAS * sigma_mm, WAVELET_VOXELS)
            made = list(imageoperations.getLoGImage(part, None, sigma=[float(sigma_mm)]))
            if not made:
                raise CannotExtract(
                    f"an image of {part.GetSize()} voxels of {part.GetSpacing()} mm is too small for a LoG filter of "
                    f"{sigma_mm:g} mm: take a smaller log_sigma_mm, or leave the patient out"
                )
            yield made[0][1], made[0][0]
    if "wavelet" in features.filters:
        part = _around(image, everywhere, 0.0, WAVELET_VOXELS)
        for made_image, name, _ in imageoperations.getWaveletImage(part, None, wavelet=WAVELET):
            yield name, made_image


def _around(image: Image, mask: Image, margin_mm: float, margin_voxels: int) -> Image:
    return resample_image(image, Grid.of(image).around(mask, margin_mm, margin_voxels))
