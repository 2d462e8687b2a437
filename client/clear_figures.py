"""Whether a score may be judged in clear: not where the figure would be a table of counts, or rest on a few patients.

A coordinator words the score. One of two values has an AUC that is a point of the hospital's ROC curve; one by which a
patient stands apart from all others has an AUC, and a slope, that is this patient's outcome.
"""

import numpy as np
from scipy.special import expit

from client.rows import effective_size
from common.query import SMALLEST_CELL

FEWEST_SCORES = 10
"""Different ones among a hospital's patients."""


def may_be_judged_in_clear(score: np.ndarray) -> bool:
    """Whether scores are many, and five patients and more stand apart from the median one (in effective size)."""
    distance = np.abs(score - np.median(score)) if len(score) else score
    return len(np.unique(score)) >= FEWEST_SCORES and effective_size(distance) >= SMALLEST_CELL


def centred(score: np.ndarray) -> np.ndarray:
    """Any score between 0 and 1 in the same order, the median at a half: where the order alone counts, far is far."""
    squeezed: np.ndarray = expit(score - np.median(score)) if len(score) else score
    return squeezed
