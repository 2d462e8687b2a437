"""The parts of an image that features are computed from: tumours, peritumoural rings and bands, liver."""

from client.regions.carrying import Carried, carry_masks
from client.regions.lesions import Lesion, Masks, centre_mm, lesions_of, same_lesions
from client.regions.rings import Region, build_regions

__all__ = [
    "Carried",
    "Lesion",
    "Masks",
    "Region",
    "build_regions",
    "carry_masks",
    "centre_mm",
    "lesions_of",
    "same_lesions",
]
