"""Fits of Cox regression with a baseline a hospital: mirrored by server/methods/cox.py."""

from dataclasses import dataclass

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
    """Efron's partial likelihood of one stratum: Σ events [η_i − log of what is left of their risk set]."""
    if not (outcome[:, 1] == 1).any():
        columns = matrix.shape[1]
        return 0.0, np.zeros(columns), np.zeros((columns, columns))
    sets = risk_sets(matrix, outcome, risk)
    likelihood = float(linear[outcome[:, 1] == 1].sum() - (np.log(sets.left) + highest).sum())
    plain = np.ones(len(sets.left))
    return likelihood, sets.score(plain), sets.information(plain) if curved else np.zeros((0, 0))


@dataclass(frozen=True)
class RiskSets:
    """What is left of the risk set of every event, the latest patients first.

    With d events at one time, the l-th of them leaves l/d of the events' own risk out of the risk set:
    S0 − l/d·D0.

    Parameters
    ----------
    x, weight, time, event
        Patients: columns, risk, time, and whether they had the event.
    times, tied
        The times of events, ascending, and the number of each event's time.
    at, share, left, mean
        By event: the number of its time, l/d, what is left of S0, and the mean of the columns there.
    """

    x: np.ndarray
    weight: np.ndarray
    time: np.ndarray
    event: np.ndarray
    times: np.ndarray
    tied: np.ndarray
    at: np.ndarray
    share: np.ndarray
    left: np.ndarray
    mean: np.ndarray

    def score(self, counts: np.ndarray) -> np.ndarray:
        """Σ over events of (x − mean), events of one time counting alike: as `counts`, an entry an event, says."""
        of_time = np.zeros(len(self.times))
        of_time[self.at] = counts
        score: np.ndarray = of_time[self.tied] @ self.x[self.event] - counts @ self.mean
        return score

    def information(self, counts: np.ndarray) -> np.ndarray:
        """Σ over events of the variance of x in its risk set, counted likewise.

        As sums over patients: Xᵀdiag(w)X − Σ_l x̄ x̄ᵀ, where w is a patient's risk times the hazard gathered up to its
        time.
        """
        hazard = np.bincount(self.at, weights=counts / self.left, minlength=len(self.times))
        reached = np.searchsorted(self.times, self.time, side="right")
        gathered = np.concatenate([[0.0], np.cumsum(hazard)])[reached]
        own = np.bincount(self.at, weights=counts * self.share / self.left, minlength=len(self.times))
        gathered[self.event] -= own[self.tied]
        weighted = self.x * (self.weight * gathered)[:, None]
        information: np.ndarray = weighted.T @ self.x - (self.mean * counts[:, None]).T @ self.mean
        return information


def risk_sets(matrix: np.ndarray, outcome: np.ndarray, risk: np.ndarray) -> RiskSets:
    """The risk sets of one stratum's events; there must be one."""
    order = np.argsort(-outcome[:, 0], kind="stable")
    x, weight, time = matrix[order], risk[order], outcome[order, 0]
    event = outcome[order, 1] == 1
    times = np.unique(time[event])
    last = np.searchsorted(-time, -times, side="right")  # patients at risk: the first so many, latest times first
    s0 = np.concatenate([[0.0], np.cumsum(weight)])[last]
    s1 = np.vstack([np.zeros(x.shape[1]), np.cumsum(x * weight[:, None], axis=0)])[last]
    tied = np.searchsorted(times, time[event])
    count = np.bincount(tied, minlength=len(times))
    d0 = np.bincount(tied, weights=weight[event], minlength=len(times))
    d1 = np.zeros((len(times), x.shape[1]))
    np.add.at(d1, tied, x[event] * weight[event, None])
    at = np.repeat(np.arange(len(times)), count)
    share = (np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)) / count[at]
    left = s0[at] - share * d0[at]
    if left.min() < SMALLEST_RISK:
        raise HospitalError(Code.BAD_PARAMETERS, "the coefficients put risks further apart than numbers can hold")
    mean = (s1[at] - share[:, None] * d1[at]) / left[:, None]
    return RiskSets(x, weight, time, event, times, tied, at, share, left, mean)
