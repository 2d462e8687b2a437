"""Fits of Cox regression with a baseline a hospital: mirrored by server/methods/cox.py."""

import numpy as np

from client.queries.problems import Contribution, One, Problems, sums_of
from client.queries.registry import query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer

SMALLEST_RISK = 1e-100
"""Of the highest risk of a hospital: what lies below it, summed over a risk set, is rounding."""


def length(columns: int) -> int:
    """A slope a column: the baseline is the hospital's own and is never estimated."""
    return columns


@query(
    "cox",
    Problems,
    leaves="Per fold and set of columns: this hospital's own partial log-likelihood at the current coefficients, its "
    "gradient and, where they are asked, second derivatives; no time of any event.",
)
def cox(rows: Rows, parameters: Problems) -> Answer:
    """The hospital's partial log-likelihood, its gradient and negative second derivatives, for every problem."""
    return sums_of(rows, parameters, length, contribution)


def contribution(rows: Rows, one: One) -> Contribution:
    """What one problem adds; refuses coefficients that let few patients carry all risk sets."""
    linear = one.matrix @ one.beta
    highest = float(linear.max()) if len(linear) else 0.0
    risk = np.exp(linear - highest)
    rows.refuse_weights_on_few_patients(risk)
    return efron(one.matrix, one.outcome, linear, risk, highest, curved=one.curved)


def efron(
    matrix: np.ndarray, outcome: np.ndarray, linear: np.ndarray, risk: np.ndarray, highest: float, *, curved: bool
) -> Contribution:
    """Efron's partial likelihood of one stratum.

    With d events at one time, the l-th of them leaves l/d of the events' own risk out of the risk set:
    Σ_l log(S0 − l/d·D0). As sums over patients the second derivatives are Xᵀdiag(w)X − Σ_l x̄ x̄ᵀ, where w is a
    patient's risk times the hazard gathered up to its time.
    """
    columns = matrix.shape[1]
    order = np.argsort(-outcome[:, 0], kind="stable")
    x, weight, time = matrix[order], risk[order], outcome[order, 0]
    event = outcome[order, 1] == 1
    if not event.any():
        return 0.0, np.zeros(columns), np.zeros((columns, columns))
    times = np.unique(time[event])
    last = np.searchsorted(-time, -times, side="right")  # patients at risk: the first so many, latest times first
    s0 = np.concatenate([[0.0], np.cumsum(weight)])[last]
    s1 = np.vstack([np.zeros(columns), np.cumsum(x * weight[:, None], axis=0)])[last]
    tied = np.searchsorted(times, time[event])
    count = np.bincount(tied, minlength=len(times))
    d0 = np.bincount(tied, weights=weight[event], minlength=len(times))
    d1 = np.zeros((len(times), columns))
    np.add.at(d1, tied, x[event] * weight[event, None])
    at = np.repeat(np.arange(len(times)), count)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)) / count[at]
    left = s0[at] - share * d0[at]
    if left.min() < SMALLEST_RISK:
        raise HospitalError(Code.BAD_PARAMETERS, "the coefficients put risks further apart than numbers can hold")
    mean = (s1[at] - share[:, None] * d1[at]) / left[:, None]
    likelihood = float(linear[outcome[:, 1] == 1].sum() - (np.log(left) + highest).sum())
    gradient = x[event].sum(axis=0) - mean.sum(axis=0)
    if not curved:
        return likelihood, gradient, np.zeros((0, 0))
    hazard = np.bincount(at, weights=1.0 / left, minlength=len(times))
    gathered = np.concatenate([[0.0], np.cumsum(hazard)])[np.searchsorted(times, time, side="right")]
    own = np.bincount(at, weights=share / left, minlength=len(times))
    gathered[event] -= own[tied]
    return likelihood, gradient, (x * (weight * gathered)[:, None]).T @ x - mean.T @ mean
