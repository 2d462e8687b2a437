"""What one patient brings to what the hospitals learn together: landmarks of intensities, or voxels of the tumour.

Samples are rows in the hospital's store, under names of their own (client/cohort/samples.py reads them); features
cannot be computed before what they are for has been learnt.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.samples import LANDMARKS, VOXELS
from client.extraction.habitats import lesion_voxels
from client.extraction.lesions_by_phase import lesions_by_phase
from client.extraction.phase_images import PhaseImages, with_masks
from client.extraction.results import Extraction, Row
from client.preprocessing import correct_bias, landmarks, norm_region
from common.features import NYUL_PERCENTILES, Features

MOST_VOXELS = 500
"""Of every patient, so that a large tumour does not fill the store; each patient counts as one in the sums."""


def take_samples(images: Mapping[str, PhaseImages], features: Features) -> Extraction:
    """Samples for what an unprepared study learns next; CannotExtract says what is wrong with an image or mask."""
    checked = with_masks(images, features)
    unscaled = features.unscaled_phases()
    return Extraction([_landmarks(checked, features, unscaled) if unscaled else _voxels(checked, features)])


def _landmarks(images: Mapping[str, PhaseImages], features: Features, phases: list[str]) -> Row:
    values: dict[str, float] = {}
    for name in phases:
        found = np.full(len(NYUL_PERCENTILES), np.nan)
        if name in images:
            try:
                found = _landmarks_of(images[name], features, name)
            except CannotExtract as fault:
                raise CannotExtract(f"{name}: {fault}") from None
        values |= {f"{name} {p}": float(value) for p, value in zip(NYUL_PERCENTILES, found, strict=True)}
    return Row(0, values, LANDMARKS)


def _landmarks_of(given: PhaseImages, features: Features, name: str) -> np.ndarray:
    phase = features.phases[name]
    image = correct_bias(given.image) if phase.n4 else given.image
    norm = norm_region(image, phase, given.masks.liver_background())
    found = landmarks(sitk.GetArrayFromImage(image).astype(np.float64), norm)
    if (np.diff(found) <= 0).any():
        raise CannotExtract("two landmarks of the image's intensities coincide: too few grey levels for nyul")
    return found


def _voxels(images: Mapping[str, PhaseImages], features: Features) -> Row:
    habitats = features.habitats
    assert habitats is not None
    chosen = np.empty((0, len(habitats.phases)))
    if all(phase in images for phase in habitats.phases):
        lesions = lesions_by_phase(images, features)
        first = lesions[habitats.phases[0]]
        every = [
            lesion_voxels(images, {phase: lesions[phase][at] for phase in habitats.phases}, features).intensities
            for at in range(len(first))
        ]
        chosen = _some_voxels(np.concatenate(every))
    names = (f"{number} {phase}" for number in range(len(chosen)) for phase in habitats.phases)
    return Row(0, dict(zip(names, chosen.ravel().tolist(), strict=True)), VOXELS)


def _some_voxels(every: np.ndarray) -> np.ndarray:
    """The same voxels every time: the choice hangs on nothing but what they hold."""
    if len(every) <= MOST_VOXELS:
        return every
    digest = hashlib.sha256(np.ascontiguousarray(every, dtype="<f8").tobytes()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    return every[np.sort(rng.choice(len(every), MOST_VOXELS, replace=False))]
