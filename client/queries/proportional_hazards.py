"""Whether relative hazards stay what they are: mirrored by server/evaluation/proportional_hazards.py."""

import numpy as np

from client.queries.cox import length, risk_sets
from client.queries.problems import Coefficients, One, each
from client.queries.registry import query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.months import DAYS_A_MONTH, mid_month
from common.query import Answer


@query(
    "proportional_hazards",
    Coefficients,
    leaves="Per model: the gradient and the second derivatives of this hospital's own partial log-likelihood at the "
    "final coefficients, with every event counted once as it is and weighted by the logarithm of its month.",
)
def proportional_hazards(rows: Rows, parameters: Coefficients) -> Answer:
    """Per problem: Σ r, Σ g r; upper triangles of Σ V, Σ g V, Σ g² V over events, g the logarithm of the month.

    r is an event's columns less their mean over its risk set, V their variance there (Efron's rule for ties).
    """
    if rows.query.rows != "training":
        raise HospitalError(
            Code.BAD_PARAMETERS, f"query {rows.query.name!r}: a model is tested on the rows that it is fitted to"
        )
    scores: dict[int, np.ndarray] = {}
    triangles: dict[int, np.ndarray] = {}
    for k, one in each(rows, parameters, length):
        score, information = by_time(rows, one)
        scores[k] = score.ravel()
        upper = np.triu_indices(len(one.beta))
        triangles[k] = np.concatenate([matrix[upper] for matrix in information])
    order = range(len(parameters.of))
    return Answer(
        sums={
            "score": np.concatenate([scores[k] for k in order]),
            "information": np.concatenate([triangles[k] for k in order]),
        }
    )


def by_time(rows: Rows, one: One) -> tuple[np.ndarray, np.ndarray]:
    """Score (2 × columns) and information (3 × columns × columns) with weights 1, g and 1, g, g²."""
    columns = len(one.beta)
    linear = one.matrix @ one.beta
    risk = np.exp(linear - (float(linear.max()) if len(linear) else 0.0))
    rows.refuse_weights_on_few_patients(risk)
    if not (one.outcome[:, 1] == 1).any():
        return np.zeros((2, columns)), np.zeros((3, columns, columns))
    sets = risk_sets(one.matrix, one.outcome, risk)
    g = np.log(mid_month(sets.times) / DAYS_A_MONTH)[sets.at]
    return (
        np.array([sets.score(g**power) for power in (0, 1)]),
        np.array([sets.information(g**power) for power in (0, 1, 2)]),
    )
