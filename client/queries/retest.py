"""Agreement of test and retest, before and after harmonisation: Lin's concordance from sums."""

import numpy as np

from client.queries.registry import Parameters, bounded_array, query
from client.retest import measured_twice
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer
from common.splits import FINAL
from harmonization.agreement import pair_sums
from harmonization.arrays import Sums


class Retest(Parameters):
    """The view after harmonisation, the features' column numbers, and where they are centred."""

    after: str
    features: tuple[int, ...]
    offset: bounded_array(1, -1e300, 1e300)  # type: ignore[valid-type]


@query(
    "retest",
    Retest,
    leaves="From a hospital that trains: for each feature that ten patients and more have in two measurements, before "
    "and after harmonisation, the number of pairs and the sums, squares and products of both. Otherwise zeros.",
)
def retest(rows: Rows, asked: Retest) -> Answer:
    """Sums over pairs, by the final model."""
    if rows.query.splits != (FINAL,) or rows.query.view is None:
        raise HospitalError(Code.BAD_PARAMETERS, "test and retest are asked of the final model, before and after")
    sums: Sums = {}
    chosen = list(asked.features)
    for when, view in (("before", rows.query.view), ("after", asked.after)):
        first, second = measured_twice(rows, view)
        for key, value in pair_sums(first[:, chosen], second[:, chosen], asked.offset).items():
            sums[f"{when}_{key}"] = np.asarray(value)
    return Answer(sums=sums)
