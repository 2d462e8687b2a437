"""One grid of times for every split of a study: sums over two grids could be subtracted, down to one patient's."""

from collections.abc import Sequence

from client.gate_rules.memory import Earlier
from common.errors import Code, HospitalError
from common.query import SMALLEST_ROW_SET, Query


def check_grid(query: Query, same: Sequence[Earlier], smallest: int) -> None:
    """Refuse cells of times that are too many for thirty patients in each, or other than those asked before.

    Parameters
    ----------
    smallest
        Patients in the smallest row set.
    """
    if "ends" not in query.parameters:
        return
    asked = dict(zip(query.splits, query.parameters["ends"], strict=True))
    most = max((len(ends) for ends in asked.values()), default=0)
    if most > max(1, smallest // SMALLEST_ROW_SET):
        raise HospitalError(
            Code.CLOSE_EDGES,
            f"query {query.name!r}: {most} cells of times for {smallest} patients; on average {SMALLEST_ROW_SET} must "
            "leave in each",
        )
    for earlier in same:
        before = earlier.parameters["ends"]
        if not isinstance(before, list):
            continue
        for split, ends in zip(earlier.splits, before, strict=True):
            if split in asked and list(asked[split]) != list(ends):
                raise HospitalError(
                    Code.CLOSE_EDGES,
                    f"query {query.name!r}: {split} was asked on another grid of times before; a study has one",
                    split,
                )
