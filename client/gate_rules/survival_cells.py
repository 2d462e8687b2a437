"""Cells of time, and of time by score: so few that five patients of all hospitals fall into each on average.

Months are whole by the queries' own schema; how many patients lie between two no hospital knows, so the number counts.
"""

from collections.abc import Callable, Mapping

import numpy as np

from client.rows import Rows
from common.errors import Code, HospitalError
from common.months import MONTHS_A_QUARTER
from common.outcomes import TimedOutcome
from common.query import SMALLEST_CELL, SMALLEST_DIFFERENCE
from common.room import Room

MOST_GROUPS = 3


def check_cells_of_time(rows: Rows, room: Room) -> None:
    """Refuse a question of more cells of months (by bins of score, by risk groups) than the patients allow."""
    count = CELLS.get(rows.query.name)
    if count is None:
        return
    cells, allowed = count(rows, room)
    if cells > allowed:
        raise HospitalError(
            Code.CLOSE_EDGES,
            f"query {rows.query.name!r}: {cells} cells of time and score, at most {allowed} are allowed "
            f"({SMALLEST_CELL} patients a cell)",
        )


def _months(rows: Rows) -> int:
    return len(rows.query.parameters["months"]) + 1


def _by_time(rows: Rows, room: Room) -> tuple[int, int]:
    return _months(rows), room.patients // SMALLEST_CELL


def _by_ten(rows: Rows, room: Room) -> tuple[int, int]:
    """The study's own horizons are as many as they are: they were fixed before anybody was counted."""
    fewest = min(room.fewest(rows.study, split, training=True) for split in rows.query.splits)
    outcome = rows.study.outcome
    horizons = outcome.horizons_months if isinstance(outcome, TimedOutcome) else []
    chosen = [month for month in rows.query.parameters["months"] if month not in horizons]
    if any(month % MONTHS_A_QUARTER for month in chosen):
        raise HospitalError(
            Code.CLOSE_EDGES,
            f"query {rows.query.name!r}: cells end at horizons of the study and at quarters of a year, not at {chosen}",
        )
    return 1 + len(chosen), max(2, fewest // SMALLEST_DIFFERENCE)


def _by_training_set(rows: Rows, room: Room) -> tuple[int, int]:
    fewest = min(room.fewest(rows.study, split, training=True) for split in rows.query.splits)
    return _months(rows), fewest // SMALLEST_CELL


def _by_group(rows: Rows, room: Room) -> tuple[int, int]:
    groups = rows.query.arrays["cuts"].shape[2] + 1
    if groups > MOST_GROUPS:
        return groups * room.patients, 0
    return groups * _months(rows), room.patients // SMALLEST_CELL


def _by_score(rows: Rows, room: Room) -> tuple[int, int]:
    bins = max(1 + len(np.unique(edges[edges < 1.0])) for edges in rows.query.arrays["edges"])
    return bins * _months(rows), max(2, room.most_of_smaller_class // SMALLEST_CELL)


CELLS: Mapping[str, Callable[[Rows, Room], tuple[int, int]]] = {
    "survival_counts": _by_time,
    "censoring": _by_training_set,
    "baseline_hazard": _by_ten,
    "survival_order": _by_score,
    "survival_bootstrap": _by_score,
    "survival_risk": _by_group,
}
