"""Nyúl's landmarks, summed: mirrored by server/methods/nyul.py."""

import numpy as np

from client.cohort.samples import LANDMARKS
from client.preparation import samples_of
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import SMALLEST_CELL, Answer

STANDARD_RANGE = (0.0, 100.0)
"""Where the lowest and the highest landmark of every image are moved to."""


class NyulLandmarks(Parameters):
    """Which phases have no scale yet stands in the study."""


@query(
    "nyul_landmarks",
    NyulLandmarks,
    leaves="For each phase that five patients and more have: their number, and the sums of the percentiles of their "
    "images' intensities, each image moved to the range 0 to 100 first.",
)
def nyul_landmarks(rows: Rows, _: NyulLandmarks) -> Answer:
    """Sums over patients of landmarks on the standard range."""
    samples = np.array(samples_of(rows, LANDMARKS))  # patients × phases × percentiles
    present = ~np.isnan(samples).any(axis=2)
    moved = on_standard_range(np.where(present[:, :, None], samples, np.arange(samples.shape[2])))
    enough = present.sum(axis=0) >= SMALLEST_CELL
    return Answer(
        sums={
            "hospitals": enough.astype(np.float64),
            "patients": np.where(enough, present.sum(axis=0), 0).astype(np.float64),
            "landmarks": (moved * (present & enough)[:, :, None]).sum(axis=0),
        }
    )


def on_standard_range(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks, rising along the last axis, moved linearly so that the ends lie at those of the standard range."""
    low, high = STANDARD_RANGE
    first, last = landmarks[..., :1], landmarks[..., -1:]
    moved: np.ndarray = low + (high - low) * (landmarks - first) / (last - first)
    return moved
