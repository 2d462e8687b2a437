"""Concordance of a score with survival times, exactly, among a hospital's own patients.

Harrell's C: of the pairs of which one had the event first (before the other's event or last contact, or on the same
day as the other's last contact), the share in which that one has the higher score; equal scores count half.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Concordance:
    """Concordant and all pairs, weighted, and what the variance of their ratio is made of.

    Parameters
    ----------
    spread
        Σᵢ (Aᵢ − C Bᵢ)², Aᵢ and Bᵢ patient i's own concordant and all pairs: over pairs², the variance of C.
    undecided
        What a table of time by score leaves open: concordant pairs of one score bin in different time cells;
        concordant pairs, and all pairs, of one time cell.
    own_won, own_pairs
        A and B: they never leave a hospital.
    """

    won: float
    pairs: float
    spread: float
    undecided: tuple[float, float, float]
    own_won: np.ndarray
    own_pairs: np.ndarray

    @property
    def value(self) -> float:
        """C."""
        return self.won / self.pairs


def harrell(time: np.ndarray, event: np.ndarray, score: np.ndarray) -> Concordance:
    """Count the pairs for Harrell's C, where no table stands beside it."""
    nowhere = np.zeros(len(time), dtype=np.int64)
    return concordance(time, event, score, np.ones(len(time)), nowhere, nowhere)


def concordance(
    time: np.ndarray,
    event: np.ndarray,
    score: np.ndarray,
    weight: np.ndarray,
    cells: np.ndarray,
    bins: np.ndarray,
) -> Concordance:
    """Count the pairs.

    Parameters
    ----------
    weight
        Of the pairs in which a patient is the first: 1 for Harrell's C. Uno's C weights by the inverse square of the
        probability of being followed so long.
    cells, bins
        Every patient's place in the table.
    """
    patients = len(time)
    own_won, own_pairs = np.zeros(patients), np.zeros(patients)
    had = event == 1
    undecided = np.zeros(3)
    for i in np.flatnonzero(had):
        w = float(weight[i])
        if w == 0.0:
            continue
        later = (time > time[i]) | ((time == time[i]) & ~had)
        won = w * ((score[later] < score[i]) + 0.5 * (score[later] == score[i]))
        own_won[i] += won.sum()
        own_won[later] += won
        own_pairs[i] += w * int(later.sum())
        own_pairs[later] += w
        here, near = cells[later] == cells[i], bins[later] == bins[i]
        undecided += [won[near & ~here].sum(), won[here].sum(), w * int(here.sum())]
    won_all, pairs = float(own_won.sum()) / 2, float(own_pairs.sum()) / 2
    spread = 0.0 if not pairs else float(((own_won - won_all / pairs * own_pairs) ** 2).sum())
    left = (float(undecided[0]), float(undecided[1]), float(undecided[2]))
    return Concordance(won_all, pairs, spread, left, own_won, own_pairs)
