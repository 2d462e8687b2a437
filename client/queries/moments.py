"""Counts, sums and sums of squares of columns: mean and variance in two rounds without cancellation."""

import numpy as np

from client.queries.registry import Parameters, per_split, query
from client.rows import Rows
from client.view_bounds import LARGEST
from common.query import Answer


class Moments(Parameters):
    """Where to centre each column (splits × columns), from an earlier total; zero in the first round."""

    centre: per_split(-LARGEST, LARGEST, "columns")  # type: ignore[valid-type]


@query("moments", Moments, leaves="Per column and fold: number of known values, their sum, their sum of squares.")
def moments(rows: Rows, parameters: Moments) -> Answer:
    """Σ1, Σ(x − c) and Σ(x − c)² over the known values of every column."""
    known, first, second = [], [], []
    for matrix, centre in zip(rows.matrices(), parameters.centre, strict=True):
        deviation = matrix - centre
        present = ~np.isnan(deviation)
        deviation = np.where(present, deviation, 0.0)
        known.append(present.sum(axis=0))
        first.append(deviation.sum(axis=0))
        second.append((deviation**2).sum(axis=0))
    return Answer(sums={"known": np.array(known, float), "first": np.array(first), "second": np.array(second)})
