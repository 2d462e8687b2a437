"""C of the whole federation from a table of time by score, with the interval that surely holds it.

C = concordant / comparable pairs. Pairs within a hospital are counted there, exactly. Pairs of two hospitals come from
the total table less the hospitals' own: the order of patients in different time cells is known, and of different score
bins. What the table leaves open (one bin, one time cell) is taken to be concordant as often as within hospitals, where
it is known; in the certificate it may count either way.
Rounds: one for all labels. What leaves: client/queries/survival.py.
"""

import numpy as np

from common.concordance import (
    ALIKE,
    BOTH_EVENTS,
    CONCORDANT,
    DISCORDANT,
    HIGHER,
    LOWER,
    SAME_BIN,
    pairs_in_table,
)
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate


def overall_concordance(
    weighted: np.ndarray, events: np.ndarray, exits: np.ndarray, own: np.ndarray, within: np.ndarray
) -> tuple[Estimate, tuple[float, float]]:
    """C with its standard error, and its certificate.

    Parameters
    ----------
    weighted, events, exits
        The table: the events' weights (Harrell's C: 1 each), the events, and all patients.
    own
        Pairs of every kind in the hospitals' own tables, summed.
    within
        Of pairs within hospitals: concordant; all; their spread; concordant ones of one bin; concordant, and all, of
        one time cell.
    """
    between = np.maximum(pairs_in_table(weighted, exits, exits - events) - own, 0.0)
    apart = within[1] + between[[CONCORDANT, DISCORDANT, SAME_BIN]].sum()
    if apart <= 0:
        return NOT_ESTIMABLE, (0.0, 1.0)
    lost = between[[BOTH_EVENTS, LOWER, ALIKE]].sum()
    gained = between[[BOTH_EVENTS, ALIKE, HIGHER]].sum()
    sure = within[0] + between[CONCORDANT]
    low, high = sure / (apart + lost), (sure + between[SAME_BIN] + gained) / (apart + gained)
    of_one_bin, of_one_cell, counting = within[3:]
    in_a_cell = [BOTH_EVENTS, LOWER, ALIKE, HIGHER]
    comparable = between[in_a_cell].sum() * _share(counting, own[in_a_cell].sum())
    won = sure + between[SAME_BIN] * _share(of_one_bin, own[SAME_BIN])
    won += comparable * _share(of_one_cell, counting)
    value = float(won / (apart + comparable))
    # Few bins hide how far apart patients are: the error within hospitals is the least that can be claimed.
    error = _error(weighted, events, exits, value)
    if within[1] > 0:
        error = max(error, float(np.sqrt(within[2]) / within[1]))
    return Estimate.normal(value, error), (float(low), float(high))


def _error(weighted: np.ndarray, events: np.ndarray, exits: np.ndarray, value: float) -> float:
    """Standard error of a ratio of pairs, from each patient's own pairs (Hájek's projection)."""
    later = exits[::-1].cumsum(axis=0)[::-1] - exits
    pairs = float((weighted.sum(axis=1) * later.sum(axis=1)).sum())
    if pairs <= 0:
        return 0.0
    earlier = weighted.cumsum(axis=0) - weighted
    higher = earlier[:, ::-1].cumsum(axis=1)[:, ::-1] - earlier / 2
    as_later = higher - value * earlier.sum(axis=1, keepdims=True)
    as_first = later.cumsum(axis=1) - later / 2 - value * later.sum(axis=1, keepdims=True)
    weight = np.divide(weighted, events, out=np.zeros(events.shape), where=events > 0)
    had, had_not = as_later + weight * as_first, as_later
    return float(np.sqrt((events * had**2).sum() + ((exits - events) * had_not**2).sum())) / pairs


def _share(part: float, of: float) -> float:
    """Half, where nobody is there to tell."""
    return float(part / of) if of > 0 else 0.5
