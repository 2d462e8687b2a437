"""Figures of held-out scores on a hospital's own patients, and the difference of two on the same patients.

AUCs by the paired test of DeLong (1988, doi:10.2307/2531595), C-indices by patients' own shares of won pairs. Of
several classes, each against the others: the mean of their AUCs, a patient's part in it being the mean of its parts in
each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from client.concordance import harrell

NORMAL_95 = 1.959963984540054
Judged = tuple[np.ndarray, np.ndarray]
"""Scores, and outcomes: 0 and 1; or times and events, two columns."""


@dataclass(frozen=True)
class Figure:
    """An AUC or C-index with its 95 % interval."""

    value: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Difference:
    """The federation's figure less the own model's, on the same patients."""

    value: float
    low: float
    high: float
    p: float


def figure_of(score: np.ndarray, outcome: np.ndarray) -> Figure:
    """The AUC with DeLong's error, or Harrell's C."""
    return mean_figure([(score, outcome)])


def mean_figure(judged: Sequence[Judged]) -> Figure:
    """The mean figure of several scores of the same patients, each of a class of its own."""
    value, own = _mean(judged)
    error = float(np.sqrt(own @ own))
    return Figure(value, max(0.0, value - NORMAL_95 * error), min(1.0, value + NORMAL_95 * error), error)


def mean_difference(first: Sequence[Judged], second: Sequence[Judged]) -> Difference:
    """The first scores' mean figure less the second's on the same patients; a normal interval, and a two-sided p."""
    (one, own), (other, others) = _mean(first), _mean(second)
    value, apart = one - other, own - others
    error = float(np.sqrt(apart @ apart))
    p = 2 * float(norm.sf(abs(value) / error)) if error > 0 else 1.0
    return Difference(value, value - NORMAL_95 * error, value + NORMAL_95 * error, p)


def _mean(judged: Sequence[Judged]) -> tuple[float, np.ndarray]:
    """The mean figure, and every patient's part in it about its mean: what its variance is made of."""
    values, parts = zip(*(_parts(*one) for one in judged), strict=True)
    own: np.ndarray = np.mean(parts, axis=0)
    return float(np.mean(values)), own


def _parts(score: np.ndarray, outcome: np.ndarray) -> tuple[float, np.ndarray]:
    if outcome.ndim == 1:
        positive, negative = score[outcome == 1], score[outcome == 0]
        together = rankdata(np.concatenate([positive, negative]))
        m, n = len(positive), len(negative)
        below = (together[:m] - rankdata(positive)) / n
        above = 1.0 - (together[m:] - rankdata(negative)) / m
        value = float(below.mean())
        parts = np.zeros(len(score))
        parts[outcome == 1], parts[outcome == 0] = _about(value, below), _about(value, above)
        return value, parts
    found = harrell(outcome[:, 0], outcome[:, 1], score)
    return found.value, (found.own_won - found.value * found.own_pairs) / found.pairs


def _about(value: float, part: np.ndarray) -> np.ndarray:
    """Placements about their mean, scaled to their mean's error; of a class of one patient as far as can be."""
    if len(part) == 1:
        return np.array([0.5])
    scaled: np.ndarray = (part - value) / np.sqrt(len(part) * (len(part) - 1))
    return scaled
