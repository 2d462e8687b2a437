"""Hounsfield units of a patient in two phases of contrast; the latent factors become what a radiologist sees.

| latent factor | in the image |
|---|---|
| attenuation | the tumour's enhancement; in the ring, the arterial blush around it |
| heterogeneity | the height of coarse texture |
| coarseness | how far that texture reaches |
| detail | the height of fine texture |
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy.simulation.images.anatomy import FINE, STEP_MM, Anatomy
from deploy.simulation.images.fields import Axes, random_field, share_inside
from deploy.simulation.images.tumours import AROUND_MM, Tumour

AIR_HU, LUNG_HU, FAT_HU = -1000.0, -850.0, -100.0
RING_MM = 7.0
"""Up to here the liver around a tumour is changed wholly, then less and less up to AROUND_MM."""


@dataclass(frozen=True)
class Contrast:
    """Hounsfield units of each tissue in one phase of an average patient."""

    name: str
    liver: float
    tumour: float
    tumour_slope: float
    ring: float
    ring_slope: float
    texture: float
    capsule: float
    portal_vein: float
    hepatic_veins: float
    aorta: float
    cava: float
    kidney: float
    muscle: float
    wall: float


ARTERIAL = Contrast(
    "arterial",
    **{"liver": 66, "tumour": 104, "tumour_slope": 11, "ring": 14, "ring_slope": 10, "texture": 1.0, "capsule": 0},
    **{"portal_vein": 98, "hepatic_veins": 62, "aorta": 290, "cava": 82, "kidney": 165, "muscle": 58, "wall": 60},
)
PORTAL = Contrast(
    "portal",
    **{"liver": 110, "tumour": 72, "tumour_slope": 6, "ring": 2, "ring_slope": 2, "texture": 0.85, "capsule": 16},
    **{
        "portal_vein": 188,
        "hepatic_veins": 178,
        "aorta": 160,
        "cava": 150,
        "kidney": 178,
        "muscle": 62,
        "wall": 75,
    },
)
PHASES = (ARTERIAL, PORTAL)


@dataclass(frozen=True)
class Textures:
    """The patient's own randomness, the same in both phases: one field each, in HU."""

    liver: np.ndarray
    tissue: np.ndarray
    tumours: list[np.ndarray]
    rings: list[np.ndarray]


def draw_textures(rng: np.random.Generator, tumours: list[Tumour], factors: Mapping[str, float]) -> Textures:
    """Texture everywhere; in tumours and around them it follows the latent factors."""
    return Textures(
        liver=4.0 * random_field(rng, FINE, 4.0),
        tissue=8.0 * random_field(rng, FINE, 5.0),
        tumours=[_texture(rng, tumour.axes, "tumour", factors) for tumour in tumours],
        rings=[_texture(rng, tumour.axes, "ring5mm", factors) for tumour in tumours],
    )


def _texture(rng: np.random.Generator, axes: Axes, region: str, factors: Mapping[str, float]) -> np.ndarray:
    height, fine = (12.0, 7.0) if region == "tumour" else (16.0, 7.0)
    coarse = random_field(rng, axes, 4.0 * float(np.exp(0.25 * factors[f"{region}_coarseness"])))
    detail = random_field(rng, axes, 1.6)
    return (
        height * float(np.exp(0.45 * factors[f"{region}_heterogeneity"])) * coarse
        + fine * float(np.exp(0.45 * factors[f"{region}_detail"])) * detail
    )


def enhanced(
    anatomy: Anatomy,
    liver: np.ndarray,
    tumours: list[Tumour],
    factors: Mapping[str, float],
    textures: Textures,
    phase: Contrast,
    late: float,
) -> np.ndarray:
    """Hounsfield units on the fine grid.

    Parameters
    ----------
    liver
        Distance from the liver's border, tumours included.
    late
        How late the phase was taken, in standard deviations: the liver has more contrast, the arteries less.
    """
    hu = np.full(FINE.shape, AIR_HU, dtype=np.float32)
    _fill(hu, anatomy.body, FAT_HU + 0.6 * textures.tissue)
    _fill(hu, np.abs(anatomy.body + anatomy.fat_mm + 7) - 6, phase.muscle + textures.tissue)
    inner = anatomy.body + anatomy.fat_mm + 14
    _fill(hu, np.maximum(inner, anatomy.bowel), 42 + textures.tissue)
    _fill(hu, np.maximum(inner, anatomy.stomach), 22 + textures.tissue)
    _fill(hu, np.maximum(inner, np.abs(anatomy.stomach + 2) - 2), phase.wall)
    _fill(hu, np.maximum(inner, anatomy.gas), -930.0)
    _fill(hu, anatomy.lung, LUNG_HU + 3 * textures.tissue)
    _fill(hu, np.maximum(inner, anatomy.kidney), phase.kidney + textures.tissue)
    _fill(hu, np.maximum(inner, anatomy.kidney + 11), 0.75 * phase.kidney + textures.tissue)
    _fill(hu, anatomy.gallbladder, 9.0)
    _fill(hu, anatomy.spine, 190 + 3 * textures.tissue)
    _fill(hu, np.abs(anatomy.spine + 1.5) - 1.5, 420.0)
    _fill(hu, anatomy.ribs, 360 + 4 * textures.tissue)
    _fill(hu, anatomy.aorta, phase.aorta - 18 * late)
    _fill(hu, anatomy.cava, phase.cava + 5 * late)
    parenchyma = phase.liver + 4 * late
    _fill(hu, liver, parenchyma + textures.liver)
    inside = np.maximum(liver, 0)
    for vein, density in ((anatomy.portal_vein, phase.portal_vein), (anatomy.hepatic_veins, phase.hepatic_veins)):
        _fill(hu, np.maximum(vein, inside), density + 5 * late)
    for tumour, within, around in zip(tumours, textures.tumours, textures.rings, strict=True):
        _grow(hu, liver, tumour, factors, phase, (within, around), late)
    return hu


def _fill(hu: np.ndarray, level: np.ndarray, density: np.ndarray | float) -> None:
    """Put a tissue where its level is negative, in part at its border."""
    share = share_inside(level, STEP_MM)
    hu += share * (density - hu)


def _grow(
    hu: np.ndarray,
    liver: np.ndarray,
    tumour: Tumour,
    factors: Mapping[str, float],
    phase: Contrast,
    textures: tuple[np.ndarray, np.ndarray],
    late: float,
) -> None:
    """A tumour, its capsule, and what it does to the liver around it."""
    within, around = textures
    level, here = tumour.level[tumour.part], hu[tumour.part]
    blush = max(phase.ring + phase.ring_slope * factors["ring5mm_attenuation"], -6.0)
    reach = np.clip((AROUND_MM - level) / (AROUND_MM - RING_MM), 0, 1) * share_inside(liver[tumour.part], STEP_MM)
    here += reach * (blush + phase.texture * around)
    here += phase.capsule * np.exp(-((level / 2.2) ** 2)) * share_inside(liver[tumour.part], STEP_MM)
    density = phase.tumour + phase.tumour_slope * factors["tumour_attenuation"] - 3 * late
    _fill(here, level, density + phase.texture * within)
