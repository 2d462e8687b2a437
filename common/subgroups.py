"""The section `subgroups` of study.yaml: of which patients the model is also judged by themselves.

The study file alone says who belongs to a subgroup; nothing that is asked during the run can choose other patients.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from common.strict_yaml import Place
from common.variables import NUMERIC, Strict, Variable

MOST_COLUMNS = 12
MOST_CUTS = 4


class Subgroup(Strict):
    """A column that divides the patients: by its levels, or by cut-offs."""

    column: Annotated[str, Field(min_length=1)]
    cut_offs: list[float] = Field(
        [], max_length=MOST_CUTS, description="numbers: where to cut, in the study's unit; [60] is <60 and ≥60"
    )

    def names(self, variable: Variable) -> list[str]:
        """The subgroups, in the order in which arrays hold them."""
        if variable.type not in NUMERIC:
            return list(variable.levels or ["0", "1"])
        cuts = [f"{cut:g}" for cut in self.cut_offs]
        between = [f"{low} to <{high}" for low, high in pairwise(cuts)]
        return [f"<{cuts[0]}", *between, f"≥{cuts[-1]}"]


def unfit(
    subgroups: Sequence[Subgroup], variable: Callable[[str], Variable], never: Iterable[str]
) -> Iterator[tuple[Place, str]]:
    """Subgroups that could not be formed, each with its place.

    Parameters
    ----------
    never
        Columns that are no subgroup: the patients' ids and the outcome.
    """
    if len(subgroups) > MOST_COLUMNS:
        yield ("subgroups",), f"{len(subgroups)} columns: name at most {MOST_COLUMNS}"
    names = [subgroup.column for subgroup in subgroups]
    for index, subgroup in enumerate(subgroups):
        column, cuts, place = subgroup.column, subgroup.cut_offs, ("subgroups", index)
        if column in never:
            yield (*place, "column"), f"{column} is the outcome or the patients' id, and no subgroup: take it out"
        elif column in names[:index]:  # two cuts a hair apart would show the few patients between them
            yield (*place, "column"), f"{column} stands here twice: keep one"
        elif variable(column).type in NUMERIC and not cuts:
            yield (*place, "cut_offs"), f"{column} is a number: say where to cut, e.g. cut_offs: [60]"
        elif variable(column).type not in NUMERIC and cuts:
            yield (*place, "cut_offs"), f"{column} has levels and is divided by them: take cut_offs out"
        elif cuts != sorted(set(cuts)):
            yield (*place, "cut_offs"), "cut-offs must rise"
