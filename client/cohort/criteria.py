"""Which patients meet a study's criteria."""

import numpy as np

from common.criteria import Criterion
from common.variables import Variable


def describe(criterion: Criterion) -> str:
    """A criterion as a sentence would say it."""
    return f"{criterion.column} {criterion.in_words()}"


def meets(criterion: Criterion, variable: Variable, values: np.ndarray) -> np.ndarray:
    """Whether each patient meets a criterion; a patient whose value is not known does not."""
    met = ~np.isnan(values)
    if criterion.at_least is not None:
        met &= values >= criterion.at_least
    if criterion.at_most is not None:
        met &= values <= criterion.at_most
    if criterion.one_of is not None:
        wanted = [value for value in criterion.values(variable).values() if value is not None]
        met &= np.isin(values, wanted)
    return met
