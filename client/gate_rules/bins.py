"""Counts of features in bins of fixed edges: not so many bins that a count would be one patient's."""

from typing import Any

import numpy as np

from client.queries.redundancy import FEWEST_BINS
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL
from common.room import Room

PATIENTS_A_BIN = 3
"""As with edges that are asked for (edges.py): a third of the patients."""


def check_bins(rows: Rows, asked: Any, room: Room) -> None:
    """Refuse too many bins, and totals of more patients than there are."""
    name = rows.query.name
    if name == "class_histograms":
        _few(rows, asked.bins, max(2, room.most_of_smaller_class // SMALLEST_CELL))
    elif name == "rank_histograms":
        _few(rows, asked.bins, max(FEWEST_BINS, room.patients // PATIENTS_A_BIN))
    elif name == "rank_products":
        _few(rows, asked.counts.shape[1], max(FEWEST_BINS, room.patients // PATIENTS_A_BIN))
        # More patients than there are would leave room for ranks that are made up.
        for split, counts in zip(rows.query.splits, asked.counts, strict=True):
            largest = float(np.max(counts.sum(axis=0), initial=0.0))
            if largest > room.patients:
                raise _refused(rows, f"{split}: ranks among {largest:g} patients, there are {room.patients}")
    elif name == "survival_bootstrap":
        for scheme, exits in zip(asked.schemes, asked.exits, strict=True):
            if exits.sum() > room.patients:
                raise _refused(rows, f"{scheme}: {exits.sum():g} patients in the table, there are {room.patients}")


def _few(rows: Rows, bins: int, allowed: int) -> None:
    if bins > allowed:
        raise _refused(rows, f"{bins} bins, at most {allowed} are allowed with so many patients")


def _refused(rows: Rows, found: str) -> HospitalError:
    return HospitalError(Code.CLOSE_EDGES, f"query {rows.query.name!r}: {found}")
