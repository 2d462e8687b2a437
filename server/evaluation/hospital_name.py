"""The AUC of the hospital's name alone: every patient's score is the share of patients with the outcome there.

AUC = Σ over pairs of hospitals with a higher and a lower share of n₁(higher)·n₀(lower), ties half, over n₁n₀: exact,
from what the roll call disclosed; nothing is asked. Hospitals' shares differ by chance too, the more the smaller they
are, so the AUC stands beside what it would be if the same number of outcomes fell to patients by lot.

Where numbers with the outcome are suppressed, the AUC is known within limits: the lowest and highest over all numbers
that the report's reader could still think possible, so that no more is said than that reader knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from common.query import SMALLEST_CELL

MOST_SUPPRESSED = 4
LOTS = 2000


@dataclass(frozen=True)
class HospitalName:
    """How well the name alone ranks: between `low` and `high`, which agree where nothing is suppressed."""

    low: float
    high: float
    by_chance: float
    by_chance_high: float


def auc_of_the_name(
    patients: Mapping[str, int], events: Mapping[str, int | None], total: int
) -> HospitalName | None:
    """How well the hospital's name tells who has the outcome; None where too much is suppressed or one class is empty.

    Parameters
    ----------
    patients, events
        By hospital of the roster, as the report shows them: None where suppressed.
    total
        Events of all.
    """
    names = sorted(patients)
    sizes = np.array([patients[name] for name in names])
    if not 0 < total < sizes.sum():
        return None
    shown = [events[name] for name in names]
    hidden = shown.count(None)
    if hidden > MOST_SUPPRESSED:
        return None
    possible = [auc_of_shares(sizes, filled) for filled in _filled(sizes, shown, total)]
    if not possible:
        return None
    lots = np.random.default_rng(0).multivariate_hypergeometric(sizes, total, size=LOTS)
    drawn = np.array([auc_of_shares(sizes, lot) for lot in lots])
    return HospitalName(
        low=min(possible),
        high=max(possible),
        by_chance=float(drawn.mean()),
        by_chance_high=float(np.quantile(drawn, 0.95)),
    )


def auc_of_shares(sizes: np.ndarray, events: np.ndarray) -> float:
    """The AUC of the hospitals' shares of events."""
    share, others = events / sizes, sizes - events
    higher = (share[:, None] > share[None, :]) + 0.5 * (share[:, None] == share[None, :])
    return float(events @ higher @ others) / float(events.sum() * others.sum())


def _filled(sizes: np.ndarray, shown: Sequence[int | None], total: int) -> Iterator[np.ndarray]:
    """All numbers of events that agree with what is shown; of two hidden ones, one may hide the other and be any."""
    hidden = [h for h, number in enumerate(shown) if number is None]
    known = np.array([number or 0 for number in shown])
    if not hidden:
        yield known
        return
    small = [_small(int(sizes[h])) for h in hidden]
    any_number = len(hidden) == 2
    free = [range(sizes[h] + 1) if any_number else sorted(few) for h, few in zip(hidden, small, strict=True)]
    for chosen in product(*free[:-1]):
        given = [*chosen, total - int(known.sum()) - sum(chosen)]
        suppressed = [number in few for number, few in zip(given, small, strict=True)]
        if 0 <= given[-1] <= sizes[hidden[-1]] and (any(suppressed) if any_number else all(suppressed)):
            filled = known.copy()
            filled[hidden] = given
            yield filled


def _small(size: int) -> frozenset[int]:
    """The numbers that a hospital suppresses."""
    ends = [*range(SMALLEST_CELL), *range(size - SMALLEST_CELL + 1, size + 1)]
    return frozenset(n for n in ends if 0 <= n <= size)
