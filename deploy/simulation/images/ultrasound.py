"""One synthetic patient under the ultrasound probe: a sector of speckled liver with a tumour, and its masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deploy.simulation.images.fields import correlated, even
from deploy.simulation.images.shapes import Bumps, ellipsoid, random_axes, rough_ellipsoid
from deploy.simulation.images.tumours import shown_size_mm

PIXEL_MM = 0.6
WIDTH_MM, DEPTH_MM = 150.0, 132.0
X_MM, Y_MM = even(-WIDTH_MM / 2, WIDTH_MM / 2, PIXEL_MM), even(0.0, DEPTH_MM, PIXEL_MM)
PROBE_RADIUS_MM = 50.0
HALF_ANGLE = 0.58
RANGE_DB = 55.0
_RING_MM = 7.0


@dataclass(frozen=True)
class Picture:
    """Grey values (rows × columns) and masks of 0 and 1 on the same pixels."""

    grey: np.ndarray
    masks: dict[str, np.ndarray]


def draw_picture(
    rng: np.random.Generator, size_mm: float, shape: Mapping[str, float], factors: Mapping[str, float]
) -> Picture:
    """A B-mode picture; the latent factors change the tumour's and the ring's echoes as they change CT."""
    x, y = X_MM[None, :], Y_MM[:, None]
    away = np.hypot(x, y + PROBE_RADIUS_MM)
    depth = away - PROBE_RADIUS_MM
    sector = (np.abs(np.arctan2(x, y + PROBE_RADIUS_MM)) < HALF_ANGLE) & (depth > 0) & (depth < DEPTH_MM - 4)

    diaphragm = depth - (108 + rng.normal(0, 3) + 0.10 * x + 2.0 * _field(rng, 25.0))
    wall = depth - (16 + rng.normal(0, 2) + 1.0 * _field(rng, 12.0))
    radius_mm = shown_size_mm(size_mm) / 2
    centre = (rng.uniform(-14, 14), rng.uniform(60, 64), 0.0)
    elongation, flatness = (float(np.clip(shape[name], 0.68, 0.98)) for name in ("Elongation", "Flatness"))
    bumps = Bumps(rng, float(np.clip(0.08 + 1.1 * (0.74 - shape["Sphericity"]), 0.0, 0.18)))
    radii = radius_mm * np.array([1.0, elongation, min(flatness, elongation)])
    at = (x, y, np.zeros((1, 1)))
    tumour = rough_ellipsoid(at, centre, radii.tolist(), random_axes(rng), bumps)
    liver = np.maximum(-wall, diaphragm)

    echo_db = -18.0 + 0.8 * _field(rng, 6.0)
    ring = np.clip((2 * _RING_MM - tumour) / _RING_MM, 0, 1)
    echo_db += ring * (-1.0 - 1.5 * factors["ring5mm_attenuation"] + _texture(rng, "ring5mm", factors))
    for _ in range(5):
        vein = ellipsoid(at, (rng.uniform(-60, 60), rng.uniform(35, 95), 0), (*rng.uniform(2.5, 6, 2), 1.0))
        echo_db = np.where((vein < 0) & (tumour > 3), -42.0, echo_db)
    inside = -19.0 + 2.5 * factors["tumour_attenuation"] + _texture(rng, "tumour", factors)
    echo_db = np.where(tumour < 0, inside, echo_db)
    echo_db = np.where(wall < 0, -12.0 + 3.0 * _field(rng, 3.0, 12.0), echo_db)
    echo_db = np.where(diaphragm > 0, -30.0, echo_db)
    echo_db = np.where(np.abs(diaphragm) < 1.5, 0.0, echo_db)
    speckle = np.hypot(_field(rng, 0.5, 1.1), _field(rng, 0.5, 1.1)) / np.sqrt(2)
    seen_db = echo_db - 0.05 * depth + 20 * np.log10(np.maximum(speckle, 1e-3))
    grey = np.where(sector, np.clip(255 * (1 + seen_db / RANGE_DB), 0, 255), 0)
    masks = {"tumour": (tumour < 0) & sector, "liver": (np.minimum(liver, tumour - 2) < 0) & sector}
    return Picture(np.rint(grey).astype(np.uint8), {name: mask.astype(np.uint8) for name, mask in masks.items()})


def _field(rng: np.random.Generator, *sigmas_mm: float) -> np.ndarray:
    """A random field of variance one, correlated over some millimetres (along depth, then across)."""
    axes: Sequence[np.ndarray] = (Y_MM, X_MM)
    sigmas = sigmas_mm if len(sigmas_mm) == len(axes) else sigmas_mm * len(axes)
    return correlated(rng.standard_normal((len(Y_MM), len(X_MM))), axes, sigmas)


def _texture(rng: np.random.Generator, region: str, factors: Mapping[str, float]) -> np.ndarray:
    coarse = _field(rng, 3.0 * float(np.exp(0.25 * factors[f"{region}_coarseness"])))
    detail = _field(rng, 1.0)
    return (
        2.2 * float(np.exp(0.45 * factors[f"{region}_heterogeneity"])) * coarse
        + 1.2 * float(np.exp(0.45 * factors[f"{region}_detail"])) * detail
    )
