"""The second outcome of a network (`network.also`), as its head is trained and judged on it."""

import numpy as np

from client.cohort.cohort import Cohort
from common.query import SMALLEST_CELL
from common.study import Study


def second_outcome(study: Study, cohort: Cohort) -> np.ndarray | None:
    """Patients × 1 (0 and 1), or × 2 (days and event), NaN where it is not known; None: the study has none.

    A hospital in which fewer than five patients have it, or have it not, counts as one where nobody's is known: its
    part of a sum would be that of a few.
    """
    also = None if study.network is None else study.network.also
    if also is None:
        return None
    found = np.column_stack([cohort.columns[column] for column in also.columns()])
    found[np.isnan(found).any(axis=1)] = np.nan
    had, had_not = (found[:, -1] == 1).sum(), (found[:, -1] == 0).sum()
    return found if min(had, had_not) >= SMALLEST_CELL else np.full(found.shape, np.nan)
