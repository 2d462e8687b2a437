"""A picture of where a network looked: attention over the slice that holds most of it; it stays in the hospital."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from client.cohort.thumbnails import COLOURS
from client.patches.patch import RING, TUMOUR, Patch
from common.whole_files import whole_bytes

HEAT = np.array((255, 90, 0), dtype=np.float64)
STRONGEST = 0.6
"""How much of the picture the strongest attention covers."""


def overlay(patch: Patch, heat: np.ndarray, phase: int = 0, size_px: int = 320) -> bytes:
    """A PNG: grey image, attention in orange, outlines of tumour and ring; the patient's right is on the left.

    Parameters
    ----------
    heat
        z × y × x, not negative.
    """
    at = _slice_shown(patch, heat)
    grey = (patch.intensities[phase, at].astype(np.float64) + 1) * 127.5
    enlarge = max(1, round(size_px / max(grey.shape)))
    grey = np.kron(grey, np.ones((enlarge, enlarge)))
    strength = ndimage.zoom(heat[at].astype(np.float64), enlarge, order=1, grid_mode=True, mode="nearest")
    strength = np.clip(strength / max(float(heat.max()), 1e-12), 0, 1)[..., None] * STRONGEST
    picture = grey[..., None] * (1 - strength) + HEAT * strength
    for name, number in (("ring", RING), ("tumour", TUMOUR)):
        large = np.kron(patch.masks[number, at], np.ones((enlarge, enlarge))) > 0
        picture[large & ~ndimage.binary_erosion(large, border_value=1)] = COLOURS[name]
    file = io.BytesIO()
    Image.fromarray(picture.round().clip(0, 255).astype(np.uint8)).save(file, format="png", optimize=True)
    return file.getvalue()


def write_overlay(folder: Path, patient: str, picture: bytes) -> Path:
    """Keep a patient's picture in a folder of the hospital's own, which nobody else may read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{patient}.png"
    with whole_bytes(path) as file:
        file.write(picture)
    return path


def _slice_shown(patch: Patch, heat: np.ndarray) -> int:
    """The slice with most attention; without any, the one that shows most of the tumour."""
    weight = heat if heat.any() else patch.masks[TUMOUR]
    return int(weight.sum(axis=(1, 2)).argmax())
