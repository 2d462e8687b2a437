"""Two models' risks of an event at a horizon, side by side: mirrored by server/evaluation/horizon_comparison.py."""

import numpy as np

from client.queries.comparison import Pairs
from client.queries.horizon import share_below
from client.queries.registry import Parameters, Schemes, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer


class PairedAtHorizon(Parameters):
    """The labels, and which of them are held against each other."""

    schemes: Schemes
    pairs: Pairs


@query(
    "paired_at_horizon",
    PairedAtHorizon,
    leaves="For two models, patients weighted for those who were lost: the hospital's part of both within-hospital "
    "AUCs and of the error of their difference; for patients with and without the event by the horizon, sums of "
    "weights, and of the difference of the two predicted risks and its square.",
)
def paired_at_horizon(rows: Rows, parameters: PairedAtHorizon) -> Answer:
    """Per pair (a, b): pairs, won by a and by b, variance; a class Σw, Σwd, Σw², Σw²d, Σw²d², d = p_b − p_a."""
    within = np.zeros((len(parameters.pairs), 4))
    by_class = np.zeros((len(parameters.pairs), 2, 5))
    for k, (a, b) in enumerate(parameters.pairs):
        first, outcome = rows.probabilities(parameters.schemes[a])
        second, _ = rows.probabilities(parameters.schemes[b])
        weight = rows.weights(parameters.schemes[a])
        if weight is None:
            raise HospitalError(Code.BAD_PARAMETERS, f"query {rows.query.name!r}: the outcome is at no horizon")
        rows.refuse_weights_on_few_patients(weight[weight > 0])
        for kind in (0, 1):
            w, d = weight[outcome == kind], (second - first)[outcome == kind]
            by_class[k, kind] = w.sum(), w @ d, w @ w, w**2 @ d, w**2 @ d**2
        within[k] = _within(first, second, outcome, weight)
    return Answer(sums={"within": within, "by_class": by_class})


def _within(
    first: np.ndarray, second: np.ndarray, outcome: np.ndarray, weight: np.ndarray
) -> tuple[float, float, float, float]:
    """DeLong's placements of both models in one hospital, with weights taken as known."""
    case, control = outcome == 1, outcome == 0
    w, v = weight[case], weight[control]
    pairs = float(w.sum() * v.sum())
    if not pairs:
        return 0.0, 0.0, 0.0, 0.0
    below = [share_below(risk[control], v, risk[case]) for risk in (first, second)]
    above = [share_below(-risk[case], w, -risk[control]) for risk in (first, second)]
    won_a, won_b = (float(w @ placed) for placed in below)
    apart = (won_b - won_a) / pairs
    variance = w**2 @ (below[1] - below[0] - apart * v.sum()) ** 2
    variance += v**2 @ (above[1] - above[0] - apart * w.sum()) ** 2
    return pairs, won_a, won_b, float(variance)
