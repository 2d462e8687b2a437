"""Pairs of patients as a table of time by score tells them: who certainly had the event first, and with which score.

A pair counts when one had the event before the other's last contact. Patients of different time cells are in a known
order; those of one cell may be in any, or not count. In one bin of the score, either may have the higher.
"""

import numpy as np

CONCORDANT, DISCORDANT, SAME_BIN, BOTH_EVENTS, LOWER, ALIKE, HIGHER = range(7)


def pairs_in_table(events: np.ndarray, exits: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """How many pairs of a table are of each kind.

    Parameters
    ----------
    events
        Time cells × score bins: patients with the event, or their weights.
    exits, censored
        All patients, and those without the event, unweighted.

    Returns
    -------
    Of different time cells: concordant, discordant, of one score bin. Of one time cell: both with the event; one with
    it in a lower bin than the other's, in the same, in a higher one.
    """
    later = exits[::-1].cumsum(axis=0)[::-1] - exits
    under = later.cumsum(axis=1) - later
    concordant, tied = float((events * under).sum()), float((events * later).sum())
    every = float((events.sum(axis=1) * later.sum(axis=1)).sum())
    a_cell = events.sum(axis=1)
    both = float((a_cell * np.maximum(a_cell - 1, 0)).sum()) / 2
    below = censored.cumsum(axis=1) - censored
    alike, higher = float((events * censored).sum()), float((events * below).sum())
    lower = float((events.sum(axis=1) * censored.sum(axis=1)).sum()) - alike - higher
    return np.array([concordant, every - concordant - tied, tied, both, lower, alike, higher])


def part_in_table(events: np.ndarray, exits: np.ndarray, own_events: np.ndarray, own_exits: np.ndarray) -> float:
    """One hospital's part in the C of a table: how C moves, to first order, with the hospital's weight.

    Pairs are those of different time cells, equal bins won by half. The parts of all hospitals add up to 0.
    """
    won, pairs = _won_and_all(events, exits)
    if pairs <= 0:
        return 0.0
    as_first, as_later = _won_and_all(own_events, exits), _won_and_all(events, own_exits)
    own_won, own_pairs = as_first[0] + as_later[0], as_first[1] + as_later[1]
    return (own_won - won / pairs * own_pairs) / pairs


def _won_and_all(first: np.ndarray, exits: np.ndarray) -> tuple[float, float]:
    """Pairs of a patient who had the event and one who left in a later cell: won, and all."""
    later = exits[::-1].cumsum(axis=0)[::-1] - exits
    under = later.cumsum(axis=1) - later / 2
    return float((first * under).sum()), float((first.sum(axis=1) * later.sum(axis=1)).sum())
