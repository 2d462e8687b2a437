"""One grid of times for every split of a study: sums over two grids could be subtracted, down to one patient's."""

from collections.abc import Sequence

from client.gate_rules.memory import Earlier
from common.errors import Code, HospitalError
from common.query import Query


def check_grid(query: Query, same: Sequence[Earlier]) -> None:
    """Refuse cells of times other than those in which a split was asked before."""
    if "ends" not in query.parameters:
        return
    asked = dict(zip(query.splits, query.parameters["ends"], strict=True))
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
