"""The upper abdomen around the liver, without tumours: where each organ is, on a fine grid.

Coordinates are the patient's in millimetres (x to the left, y to the back, z to the head), the spine in the middle
behind. The field of view is cut around the liver: the right side of the body and the air beside it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deploy.simulation.images.fields import Axes, even, random_field
from deploy.simulation.images.shapes import column, ellipsoid, smooth_union, tube

STEP_MM = 2.5
FIELD_OF_VIEW_MM = {"x": (-158.0, 44.0), "y": (-106.0, 76.0), "z": (-62.0, 62.0)}
FINE = Axes(*(even(*FIELD_OF_VIEW_MM[axis], STEP_MM) for axis in "zyx"))
"""The grid on which patients are made; scanners see it through their blur and on a grid of their own."""
FAR_MM = 1e3
"""Where the distance from something small is not worked out, since it is far away."""
BESIDE_A_VESSEL_MM = 8.0


@dataclass(frozen=True)
class Anatomy:
    """Signed distances from the border of each organ on the fine grid, negative inside."""

    body: np.ndarray
    fat_mm: float
    liver: np.ndarray
    portal_vein: np.ndarray
    hepatic_veins: np.ndarray
    aorta: np.ndarray
    cava: np.ndarray
    kidney: np.ndarray
    gallbladder: np.ndarray
    stomach: np.ndarray
    gas: np.ndarray
    lung: np.ndarray
    bowel: np.ndarray
    spine: np.ndarray
    ribs: np.ndarray

    @property
    def vessels(self) -> np.ndarray:
        """The liver's veins."""
        return np.minimum(self.portal_vein, self.hepatic_veins)


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A body of its own for every patient."""
    at = FINE.coordinates()
    x, y, z = at
    flat = np.zeros(FINE.shape, dtype=np.float32)
    fat_mm = float(rng.uniform(8, 20))
    body = column(at, (0, -2), (148, 96)) + flat
    kidney = ellipsoid(at, (-64 + rng.normal(0, 3), 46, -38), (25, 22, 44))
    gallbladder = ellipsoid(at, (-40 + rng.normal(0, 4), -44, -34), (14, 24, 22))
    liver = _liver(rng, kidney, gallbladder)
    cava = column(at, (-18, 28), (12, 9)) + flat
    stomach = ellipsoid(at, (44, -30, 24), (34, 40, 44))
    around = smooth_union(stomach, liver, 1.0)
    lung = np.maximum.reduce([body + 26, 8 - liver, 14 - (z + 0.004 * (x + 70) ** 2) + flat, x + 36 + flat])
    wall = body + fat_mm + 7
    slope = np.mod(z + 0.8 * y - 0.3 * x, 34) - 17
    return Anatomy(
        body=body,
        fat_mm=fat_mm,
        liver=np.maximum(liver, body + fat_mm + 14),
        portal_vein=_portal_vein(rng),
        hepatic_veins=_hepatic_veins(rng),
        aorta=column(at, (14, 32), (10, 10)) + flat,
        cava=cava,
        kidney=kidney,
        gallbladder=gallbladder,
        stomach=stomach,
        gas=np.maximum(stomach + 5, y + 46 + flat),
        lung=lung,
        bowel=np.maximum(9 - around, 2.5 - 4 * random_field(rng, FINE, 9.0)),
        spine=column(at, (0, 60), (21, 19)) + flat,
        ribs=np.hypot(wall / 4, slope / 7) * 5 - 5,
    )


def _liver(rng: np.random.Generator, kidney: np.ndarray, gallbladder: np.ndarray) -> np.ndarray:
    """A large right lobe and a small left one, uneven, that make room for their neighbours."""
    at = FINE.coordinates()
    size = float(rng.normal(1, 0.04))
    right = ellipsoid(at, (-72, -6, 2), (58 * size, 70 * size, 55 * size))
    left = ellipsoid(at, (-8 + rng.normal(0, 4), -46, 12), (48 * size, 26 * size, 32 * size))
    liver = smooth_union(right, left, 26) + 3.0 * random_field(rng, FINE, 16.0)
    spine = column(at, (0, 52), (40, 44)) + np.zeros(FINE.shape)
    return np.maximum.reduce([liver, 5 - kidney, 2 - gallbladder, -spine])


def _branches(rng: np.random.Generator, paths: list[list[tuple[float, ...]]]) -> np.ndarray:
    """Tubes along paths of x, y, z and radius; every point but the first moves a little."""
    nearest = np.full(FINE.shape, FAR_MM)
    for path in paths:
        points = np.array(path)
        points[1:, :3] += rng.normal(0, 4, (len(points) - 1, 3))
        for start, end in pairwise(points):
            reach = start[3] + BESIDE_A_VESSEL_MM
            part, axes = FINE.between(np.minimum(start, end)[:3] - reach, np.maximum(start, end)[:3] + reach)
            level = tube(axes.coordinates(), start[:3], end[:3], start[3], end[3])
            nearest[part] = np.minimum(nearest[part], level)
    return nearest


def _portal_vein(rng: np.random.Generator) -> np.ndarray:
    hilum = (-38.0, -8.0, -8.0, 9.0)
    return _branches(
        rng,
        [
            [(-12.0, 12.0, -46.0, 9), hilum],
            [hilum, (-66, -10, -4, 7.5), (-88, -32, 2, 5.5), (-104, -46, 10, 3.5)],
            [(-66, -10, -4, 7.5), (-90, 16, -8, 5.5), (-110, 26, -14, 3.5)],
            [(-66, -10, -4, 7.5), (-84, -4, -28, 3.5), (-98, -8, -40, 2.5)],
            [hilum, (-24, -30, 6, 5), (0, -48, 12, 4), (20, -52, 14, 2.5)],
        ],
    )


def _hepatic_veins(rng: np.random.Generator) -> np.ndarray:
    mouth = (-20.0, 24.0, 44.0, 7.0)
    return _branches(
        rng,
        [
            [mouth, (-62, 16, 36, 6.5), (-98, 2, 20, 5), (-116, -6, 4, 2.5)],
            [mouth, (-46, -10, 34, 6), (-60, -34, 20, 5), (-66, -52, 4, 2.5)],
            [mouth, (-16, -18, 34, 5.5), (-4, -40, 24, 3.5), (8, -56, 18, 2.5)],
            [(-62, 16, 36, 5.5), (-86, 36, 20, 4.5), (-100, 44, 4, 2.5)],
        ],
    )
