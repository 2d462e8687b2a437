"""How many columns a cross-product may have for its patients, N ≥ 3(q + 1), and how often they are asked about.

Two Newton Hessians over no more patients than columns give back every row; three patients a column, and three for the
intercept, leave too few equations for that (docs/security.md). Hospitals hold to it, each with a number of patients of
its own where its site.yaml raises that; the coordinator asks for no more than would be answered.
"""

from typing import overload

import numpy as np
from numpy.typing import NDArray

PATIENTS_PER_COLUMN = 3
PATIENTS_PER_TIME = 3


def patients_needed(columns: int, per_column: int = PATIENTS_PER_COLUMN) -> int:
    """Patients that a cross-product of so many columns takes, an intercept not counted."""
    return per_column * (columns + 1)


@overload
def columns_allowed(patients: int) -> int: ...
@overload
def columns_allowed(patients: NDArray[np.int64]) -> NDArray[np.int64]: ...
def columns_allowed(patients: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
    """Columns that a cross-product over so many patients may have; below zero: not even an intercept's sums."""
    return patients // PATIENTS_PER_COLUMN - 1


def times_allowed(patients: int) -> int:
    """How often the same patients may be asked about: every round, iteration, edge or set of rows is an equation."""
    return patients // PATIENTS_PER_TIME
