"""A picture of a patient's tumour for the hospital's own page: outlines over the slice; it stays in the hospital."""

import io
from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage

from client.cohort.image_names import CT
from client.cohort.patient_images import Phase

COLOURS: dict[str, tuple[int, int, int]] = {
    "tumour": (230, 60, 50),
    "ring": (255, 190, 40),
    "liver": (70, 150, 230),
    "vessels": (90, 200, 120),
}
_OTHER = (200, 120, 220)
_GREYS = 64  # the eye tells no more apart, and a page of hundreds of pictures stays small
_WINDOW_HU = (-100.0, 250.0)
_MARGIN_MM = 40.0


def thumbnail(phase: Phase, outlines: Mapping[str, sitk.Image] | None = None, size_px: int = 320) -> bytes:
    """A PNG of the slice in which the first outline is largest, cut around it.

    Parameters
    ----------
    outlines
        What to draw: name → mask on the image's grid; a name is coloured by its first word. Default: the tumours
        and the liver.
    size_px
        The longer side.
    """
    if outlines is None:
        outlines = {name: phase.masks[name] for name in [*phase.tumours, "liver"] if name in phase.masks}
    image = _planes(phase.image)
    masks = {name: _planes(mask) > 0 for name, mask in outlines.items()}
    at = len(image) // 2
    if masks:
        first = next(iter(masks.values()))
        at = int(first.sum(axis=(1, 2)).argmax())
    plane = image[at].astype(np.float64)
    shown = {name: mask[at] for name, mask in masks.items()}
    rows, columns = _part_shown(shown, plane.shape, phase.spacing_mm)
    plane, shown = plane[rows, columns], {name: mask[rows, columns] for name, mask in shown.items()}
    take_rows, take_columns = _square_pixels(plane.shape, phase.spacing_mm, size_px)
    picture = _grey(plane, phase.modality)[np.ix_(take_rows, take_columns)]
    for name, mask in reversed(shown.items()):
        large = mask[np.ix_(take_rows, take_columns)]
        outline = large & ~ndimage.binary_erosion(large, border_value=1)
        colour = COLOURS.get(name.replace("_", " ").split()[0], _OTHER)
        picture[outline] = _GREYS + (*COLOURS.values(), _OTHER).index(colour)
    for axis, cosine in ((1, phase.image.GetDirection()[0]), (0, _down(phase.image))):
        if cosine < 0:  # NIfTI often counts from the other side; the patient's right belongs on the left
            picture = np.flip(picture, axis=axis)
    palette = [(grey, grey, grey) for grey in np.linspace(0, 255, _GREYS).round().astype(int).tolist()]
    png = Image.fromarray(np.ascontiguousarray(picture), mode="P")
    png.putpalette([part for colour in (*palette, *COLOURS.values(), _OTHER) for part in colour])
    file = io.BytesIO()
    png.save(file, format="png", optimize=True)
    return file.getvalue()


def _planes(image: sitk.Image) -> np.ndarray:
    voxels = sitk.GetArrayViewFromImage(image)
    return voxels if voxels.ndim == 3 else voxels[None]


def _down(image: sitk.Image) -> float:
    cosines = image.GetDirection()
    return float(cosines[4] if len(cosines) == 9 else cosines[3])


def _part_shown(
    masks: Mapping[str, np.ndarray], shape: tuple[int, ...], spacing_mm: tuple[float, ...]
) -> tuple[slice, slice]:
    """The first outline and a margin; the whole slice where nothing is drawn."""
    first = next(iter(masks.values()), np.zeros(shape, dtype=bool))
    if not first.any():
        return slice(None), slice(None)
    parts = []
    for axis, step in ((0, spacing_mm[1]), (1, spacing_mm[0])):
        marked = np.flatnonzero(first.any(axis=1 - axis))
        margin = round(_MARGIN_MM / step)
        parts.append(slice(max(int(marked[0]) - margin, 0), min(int(marked[-1]) + margin + 1, shape[axis])))
    return parts[0], parts[1]


def _square_pixels(
    shape: tuple[int, ...], spacing_mm: tuple[float, ...], size_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which row and column each pixel of the picture shows."""
    height_mm, width_mm = shape[0] * spacing_mm[1], shape[1] * spacing_mm[0]
    scale = size_px / max(height_mm, width_mm)
    height, width = max(round(height_mm * scale), 1), max(round(width_mm * scale), 1)
    return (
        ((np.arange(height) + 0.5) * shape[0] / height).astype(int),
        ((np.arange(width) + 0.5) * shape[1] / width).astype(int),
    )


def _grey(plane: np.ndarray, modality: str) -> np.ndarray:
    finite = plane[np.isfinite(plane)]
    low, high = _WINDOW_HU
    if modality != CT and finite.size:
        low, high = (float(value) for value in np.percentile(finite, [1, 99]))
    scaled = (np.nan_to_num(plane, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    return (np.clip(scaled, 0, 1) * (_GREYS - 1)).astype(np.uint8)
