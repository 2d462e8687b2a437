"""A patient measured again, for the stability of features: perturbed images, and a second reader's masks."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from client.cannot_extract import CannotExtract
from client.extraction.patient import extract
from client.extraction.perturbations import perturbed
from client.extraction.phase_images import PhaseImages, with_masks
from client.extraction.results import Row
from client.preprocessing import inside
from client.regions import lesions_of
from common.features import Features
from common.stability import SECOND_READER, Stability

Images = Mapping[str, PhaseImages]


def perturbed_rows(
    images: Images, features: Features, stability: Stability, content: str
) -> tuple[list[Row], list[str]]:
    """The rows of all perturbed measurements, and what to note; none where one of them cannot be computed.

    Parameters
    ----------
    images
        Every phase with its masks.
    content
        A hash of the patient's images, from which the perturbations are drawn.
    """
    rows: list[Row] = []
    for number, name in enumerate(stability.measurements().get("perturbations", ()), 1):
        found, note = _again(images, partial(perturbed, images, stability, content, number), features, name)
        if note:
            return [], [note]
        rows += found
    return rows, []


def second_readers_rows(images: Images, second: Images, features: Features) -> tuple[list[Row], list[str]]:
    """The rows over a second reader's masks, and what to note."""
    found, note = _again(images, partial(with_masks, second, features), features, SECOND_READER)
    return found, [note] if note else []


def _again(
    images: Images, make: Callable[[], Images], features: Features, measurement: str
) -> tuple[list[Row], str]:
    """Rows, or why there are none: the patient keeps the measurement that studies use."""
    try:
        again = make()
        if features.lesions == "largest" and not _same_lesion(images, again):
            return [], f"{measurement}: not measured, the largest tumour is another one there"
        return [Row(row.lesion, row.values, measurement) for row in extract(again, features).rows], ""
    except CannotExtract as fault:
        return [], f"{measurement}: not measured, {fault}"


def _same_lesion(images: Images, again: Images) -> bool:
    """Whether the largest lesions of the first phase overlap."""
    phase = next(iter(images))
    first, second = (lesions_of(found[phase].masks, "largest")[0].mask for found in (images, again))
    return bool(np.any(inside(first) & inside(second)))
