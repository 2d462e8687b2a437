"""Columns that rest on too few patients, mostly two-valued ones: found from counts, before any cross-product.

With fewer than five carriers a product of the column with another is those patients' own values. The carriers are
the sum of the known values, so imputed values count for nobody. A column that nobody declared to be two-valued is
found by its sums: Σ(x − a)² = Σ(x − a) holds for values a and a + 1 alone (a = 0: 0/1; a = 1: coded 1/2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.query import SMALLEST_CELL
from common.study import Study
from common.variables import INDICATOR

ROUNDING = 1e-9


@dataclass(frozen=True)
class Rare:
    """Which columns are left out of every cross-product, in every split, and why."""

    columns: np.ndarray
    notes: tuple[str, ...]


def rare_columns(
    study: Study, columns: Sequence[str], known: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Rare:
    """Columns that one to four patients have or have not, or know, in all rows or a training set.

    Parameters
    ----------
    known, first, second
        Number, sum and sum of squares of the known values: splits × columns, of the columns as they came.
    """
    two_valued, carriers = _carriers(study, columns, known, first, second)
    fewer = np.minimum(carriers, known - carriers)
    # A column that all rows or none of a training set have is constant there and shows nobody.
    scarce = (two_valued & (fewer > 0.5) & (fewer < SMALLEST_CELL - 0.5)).any(axis=0)
    hardly_known = ((known > 0.5) & (known < SMALLEST_CELL - 0.5)).any(axis=0)
    rare = scarce | hardly_known
    notes = []
    for j in np.flatnonzero(rare):
        reason = (
            f"known for fewer than {SMALLEST_CELL} patients in total, or in a training set"
            if hardly_known[j]
            else f"fewer than {SMALLEST_CELL} patients in total, or in a training set, differ from the rest"
        )
        notes.append(f"{columns[j]}: {reason}; left out of the model and of what comes before it")
    for name in dict.fromkeys((*study.predictors.clinical, *study.preserved())):
        levels = [columns.index(c) for c in study.variable(name).columns(name) if c.startswith(f"{name}=")]
        notes += _widen_reference(columns, levels, known, carriers, rare)
    return Rare(rare, tuple(notes))


def _carriers(
    study: Study, columns: Sequence[str], known: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which columns hold two values, and how many patients have the higher one."""
    declared = np.array([_declared(study, column) for column in columns], dtype=bool)
    two_valued, carriers = declared, first
    for low in (0.0, 1.0):
        above = first - low * known
        squares = second - 2 * low * first + low**2 * known
        found = (np.abs(squares - above) <= ROUNDING * above).all(axis=0) & ~two_valued
        two_valued, carriers = two_valued | found, np.where(found, above, carriers)
    return two_valued, carriers


def _declared(study: Study, column: str) -> bool:
    """Whether the study says that a column is 0 or 1: an indicator, a level of a category, a binary column."""
    clinical = {*study.predictors.clinical, *study.preserved()}
    if column.endswith(INDICATOR):
        return column.removesuffix(INDICATOR) in clinical
    if column in clinical:
        return study.variable(column).type == "binary"
    return "=" in column and column.partition("=")[0] in clinical


def _widen_reference(
    columns: Sequence[str], levels: Sequence[int], known: np.ndarray, carriers: np.ndarray, rare: np.ndarray
) -> list[str]:
    """Leave out a category's smallest levels until those that no column names have five patients or none.

    The sums over the levels without a column are what the total less the other levels leaves.
    """
    notes = []
    while kept := [j for j in levels if not rare[j]]:
        rest = known[:, kept[0]] - carriers[:, kept].sum(axis=1)
        if not ((rest > 0.5) & (rest < SMALLEST_CELL - 0.5)).any():
            break
        smallest = min(kept, key=lambda j: carriers[0, j])
        rare[smallest] = True
        notes.append(
            f"{columns[smallest]}: counted with the category's other levels, which fewer than {SMALLEST_CELL} "
            "patients have; left out of the model"
        )
    return notes
