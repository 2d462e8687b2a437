"""How long patients were followed and what happened, by months: mirrored by server/evaluation/survival_curves.py."""

from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field, StrictInt

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.months import LAST_MONTH, cell_of
from common.query import SMALLEST_FOR_A_MEDIAN, Answer, Disclosed, two_significant

FOLLOW_UP = "follow_up"


def _rising(months: tuple[int, ...]) -> tuple[int, ...]:
    if not months or any(b <= a for a, b in pairwise(months)):
        raise ValueError("months must rise, and there must be one")
    return months


Months = Annotated[
    tuple[Annotated[StrictInt, Field(ge=1, le=LAST_MONTH)], ...],
    Field(max_length=LAST_MONTH),
    AfterValidator(_rising),
]
"""Whole, rising numbers of months: nothing finer can be asked."""


class Exits(Parameters):
    """Nothing: every month is counted."""


class SurvivalCounts(Parameters):
    """The months that end a cell; the last cell has no end."""

    months: Months


@query(
    "exits", Exits, leaves="How many patients were last seen or had their event in each month, not which of them."
)
def exits(rows: Rows, _: Exits) -> Answer:
    """Σ of exits by month, without looking at what happened."""
    months = tuple(range(1, LAST_MONTH + 1))
    training = next(rows.chosen())[1]
    return Answer(sums={"exits": counted(rows.cohort.outcome[training, 0], months)})


@query(
    "survival_counts",
    SurvivalCounts,
    leaves="By cells of a month and more: how many had the event, a competing event, or were last seen. In clear, "
    "with ten patients and more: this hospital's median follow-up, two significant digits.",
)
def survival_counts(rows: Rows, parameters: SurvivalCounts) -> Answer:
    """Σ of events, competing events and censorings by cell."""
    training = next(rows.chosen())[1]
    time, event = rows.cohort.outcome[training].T
    competing = rows.cohort.competing[training]
    sums = {
        "events": counted(time[event == 1], parameters.months),
        "competing": counted(time[competing], parameters.months),
        "censored": counted(time[(event == 0) & ~competing], parameters.months),
    }
    median = reverse_median(time, (event == 0) & ~competing) if len(time) >= SMALLEST_FOR_A_MEDIAN else None
    medians = {} if median is None else {FOLLOW_UP: two_significant(median)}
    return Answer(sums=sums, disclosed=Disclosed(medians=medians))


def counted(time: np.ndarray, months: tuple[int, ...]) -> np.ndarray:
    """How many times fall into each cell."""
    return np.bincount(cell_of(time, months), minlength=len(months) + 1).astype(np.float64)


def reverse_median(time: np.ndarray, censored: np.ndarray) -> float | None:
    """Median follow-up by the reverse Kaplan–Meier curve; None where it is not reached."""
    share = 1.0
    for t in np.unique(time[censored]):
        # Events come before censorings of the same day, so they have left the reverse risk set.
        at_risk = int(((time > t) | ((time == t) & censored)).sum())
        share *= 1.0 - int(((time == t) & censored).sum()) / at_risk
        if share <= 0.5:
            return float(t)
    return None
