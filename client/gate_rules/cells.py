"""No sum of one to four of this hospital's own patients, where it would stand by itself."""

from typing import Any

import numpy as np

from client.gate_rules.declared import Declared
from client.rows import Rows
from common.errors import Code, HospitalError
from common.splits import FINAL


def check_cells(rows: Rows, asked: Any, declared: Declared) -> None:
    """Refuse sums by cells of which this hospital fills one with a few patients: it may be the only one there."""
    least = rows.site.file.policy.minimum_cell
    for counts in declared.cells(rows, asked):
        few = counts[(counts > 0) & (counts < least)]
        if len(few):
            raise _small(rows, f"a cell of {int(few.min())} patients", least)


def check_own_cells(rows: Rows) -> None:
    """The same for the classes and every two-valued column, where all sums could be told to be this hospital's."""
    least = rows.site.file.policy.minimum_cell
    _, classes = np.unique(rows.members.classes, return_counts=True)
    if classes.min() < least:
        raise _small(rows, f"an outcome of {classes.min()} patients", least)
    if rows.query.view is None:
        return
    root = rows.views.chain(rows.query.view)[-1]
    design = rows.views.matrix(root.hash, FINAL)
    for j in np.flatnonzero(_in_use(rows, design.shape[1])):
        values, counts = np.unique(design[~np.isnan(design[:, j]), j], return_counts=True)
        if len(values) == 2 and counts.min() < least:
            name = root.parameters["columns"][j]
            raise _small(rows, f"{name} tells {counts.min()} patients from the others", least)


def _in_use(rows: Rows, width: int) -> np.ndarray:
    """Which columns of the design the view does not take out."""
    top = rows.views.chain(str(rows.query.view))[0]
    spread = top.arrays.get("spread")
    if spread is None or spread.shape[1] != width:
        return np.ones(width, dtype=bool)
    used: np.ndarray = (spread > 0).any(axis=0)
    return used


def _small(rows: Rows, found: str, least: int) -> HospitalError:
    return HospitalError(
        Code.SMALL_CELL,
        f"query {rows.query.name!r}: {found} here, fewer than {least} (policy: minimum_cell); merge levels or take the "
        "column out of the study",
    )
