"""How alike a few features are, as they are and by rank: mirrored by server/methods/redundancy.py.

These are cross-products: the features are those that screening left, as many as the patients allow.
"""

import numpy as np
from pydantic import Field

from client.queries.registry import ColumnNumbers, Parameters, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer
from harmonization.kruskal import bins, histogram_sums, midranks

MOST_BINS, FEWEST_BINS = 512, 16
MOST_PATIENTS = 1e7


class Few(Parameters):
    """The columns of the view that are asked about, split by split."""

    columns: tuple[ColumnNumbers, ...]


class Ranked(Few):
    """Number of bins; their edges are the quantiles of the standard normal distribution, the same in every study."""

    bins: int = Field(ge=2, le=MOST_BINS)


class RankedOver(Few):
    """With the totals of `rank_histograms`: splits × bins × columns, zero beyond a split's columns."""

    counts: bounded_array(3, 0.0, MOST_PATIENTS)  # type: ignore[valid-type]


@query(
    "rank_histograms",
    Ranked,
    leaves="Per fold: of a few standardised columns, how many patients fall into narrow bins.",
)
def rank_histograms(rows: Rows, asked: Ranked) -> Answer:
    """Counts by bin and column: what midranks over all hospitals are made of."""
    counts = np.zeros((len(rows.query.splits), asked.bins, _widest(rows, asked)))
    for k, matrix in enumerate(rows.matrices()):
        counts[k, :, : len(asked.columns[k])] = _own_counts(matrix[:, list(asked.columns[k])], asked.bins)
    return Answer(sums={"counts": counts})


@query(
    "rank_products",
    RankedOver,
    leaves="Per fold: sums of products of the ranks of a few columns, ranks counted over all hospitals.",
)
def rank_products(rows: Rows, asked: RankedOver) -> Answer:
    """Upper triangle of the cross-products of centred midranks, each divided by the number of patients."""
    _require(asked.counts.shape[0] == len(rows.query.splits), "needs the counts of every split")
    _require(asked.counts.shape[2] == _widest(rows, asked), "needs the counts of every column")
    number, widest = asked.counts.shape[1:]
    _require(2 <= number <= MOST_BINS, f"takes 2 to {MOST_BINS} bins")
    triangle = np.triu_indices(widest)
    products = np.zeros((len(rows.query.splits), len(triangle[0])))
    for k, matrix in enumerate(rows.matrices()):
        width = len(asked.columns[k])
        counts, table = asked.counts[k, :, :width], matrix[:, list(asked.columns[k])]
        patients = counts.sum(axis=0)
        _require((patients == patients[:1]).all(), "has columns of different numbers of patients")
        # Ranks that could be made up would serve to single out a patient; ranks of a total that holds ours cannot.
        _require((counts >= _own_counts(table, number)).all(), "has totals below this hospital's own counts")
        if width and len(table):
            ranks = (midranks({"counts": counts}) - (patients + 1.0) / 2.0) / patients
            own = np.zeros((len(table), widest))
            own[:, :width] = np.take_along_axis(ranks, bins(table, 0.0, 1.0, number), axis=0)
            products[k] = (own.T @ own)[triangle]
    return Answer(sums={"products": products})


@query(
    "feature_products",
    Few,
    leaves="Per fold: sums and sums of products of a few standardised columns.",
)
def feature_products(rows: Rows, asked: Few) -> Answer:
    """Σx and the upper triangle of Σxxᵀ, zero beyond a split's columns."""
    widest = _widest(rows, asked)
    triangle = np.triu_indices(widest)
    first = np.zeros((len(rows.query.splits), widest))
    products = np.zeros((len(rows.query.splits), len(triangle[0])))
    for k, matrix in enumerate(rows.matrices()):
        table = np.zeros((len(matrix), widest))
        table[:, : len(asked.columns[k])] = matrix[:, list(asked.columns[k])]
        first[k] = table.sum(axis=0)
        products[k] = (table.T @ table)[triangle]
    return Answer(sums={"first": first, "products": products})


def _own_counts(table: np.ndarray, number: int) -> np.ndarray:
    return histogram_sums(bins(table, 0.0, 1.0, number), number)["counts"]


def _widest(rows: Rows, asked: Few) -> int:
    _require(len(asked.columns) == len(rows.query.splits), "needs the columns of every split")
    widest = max(map(len, asked.columns), default=0)
    _require(widest > 0, "names no column")
    return widest


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise HospitalError(Code.BAD_PARAMETERS, f"a question about redundant features {rule}")
