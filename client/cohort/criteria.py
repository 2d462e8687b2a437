"""Which patients meet a study's criteria."""

import numpy as np

from client.cohort.csv_file import normal_text
from client.cohort.decimals import DecimalMarks
from client.cohort.faults import Faults, quoted
from client.cohort.patients_file import NUMERIC, level_indices
from common.errors import Code
from common.study import Criterion
from common.variables import Variable


def describe(criterion: Criterion) -> str:
    """A criterion as a sentence would say it."""
    parts = []
    if criterion.known:
        parts.append("known")
    if criterion.at_least is not None:
        parts.append(f"at least {criterion.at_least:g}")
    if criterion.at_most is not None:
        parts.append(f"at most {criterion.at_most:g}")
    if criterion.one_of is not None:
        parts.append(f"one of {', '.join(criterion.one_of)}")
    return f"{criterion.column} {' and '.join(parts)}"


def meets(criterion: Criterion, variable: Variable, values: np.ndarray, faults: Faults) -> np.ndarray:
    """Whether each patient meets a criterion; a patient whose value is not known does not."""
    met = ~np.isnan(values)
    if criterion.at_least is not None:
        met &= values >= criterion.at_least
    if criterion.at_most is not None:
        met &= values <= criterion.at_most
    if criterion.one_of is not None:
        met &= np.isin(values, _wanted(criterion, variable, faults))
    return met


def _wanted(criterion: Criterion, variable: Variable, faults: Faults) -> list[float]:
    wanted = []
    for level in criterion.one_of or []:
        text = normal_text(level)
        known = DecimalMarks().number(text) if variable.type in NUMERIC else level_indices(variable).get(text)
        if known is None:
            faults.add(
                Code.WRONG_STUDY,
                f"study.yaml: the criterion '{describe(criterion)}' asks for {quoted(level)}, which is no value "
                f"of {criterion.column}; ask the coordinator to correct the study",
            )
        else:
            wanted.append(float(known))
    return wanted
