"""How well held-out risks of an event by a horizon order and predict it: mirrored by client/queries/horizon.py.

With weights w of the known patients (server/methods/weighing.py: the curve of the whole cohort, whichever split the
model comes from), AUC = Σ w_i w_j [p_i > p_j] / Σ w_i w_j over pairs of i with the event by then and j surely without
(cumulative/dynamic; a competing event by then is without). Pairs of one hospital are counted there exactly; of pairs
between hospitals, bins settle all but those of one bin: that is the certificate. Brier score Σ w (p − y)²/n; observed
over expected: the cumulative incidence of the cohort (Kaplan–Meier, or Aalen–Johansen with competing events), never a
share of those who were not lost, over the mean predicted risk of everybody, lost or not. Calibration slope and
intercept: weighted logistic regression, its limits widened by √(Σw²/Σw) for the weights; the decision curve's likewise
(server/evaluation/usefulness.py on the weighted histogram). Rounds: 4 for the bins, 1, and those of the calibration.
What leaves: see client/queries/horizon.py. AUC within its certificate; Brier and calibration
exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.query import Arrays, Total
from server.evaluation.calibration import Calibration, calibrate
from server.evaluation.comparison import Pair
from server.evaluation.discrimination import NORMAL_95, NOT_ESTIMABLE, Discrimination, Estimate, roc_points
from server.evaluation.edges import choose_edges
from server.evaluation.horizon_comparison import ComparedAtHorizon, compare_at_horizon
from server.evaluation.survival_horizons import weighted_auc, weighted_curve
from server.evaluation.use import pairs_of
from server.federation import Federation
from server.methods.weighing import Weighing


@dataclass(frozen=True)
class Horizon:
    """How the cohort was followed, and how every label orders and predicts the event by the horizon.

    Parameters
    ----------
    discrimination
        Its `events` are those that are known; `patients` are all, known or not.
    free
        By label, how many are known not to have had the event by the horizon.
    spread
        By label, by how much weights widen an interval.
    """

    weighing: Weighing
    discrimination: dict[str, Discrimination]
    calibration: dict[str, Calibration]
    free: dict[str, int]
    spread: dict[str, float]
    compared: dict[Pair, ComparedAtHorizon]


def judge_horizon(
    federation: Federation,
    view: str,
    labels: tuple[str, ...],
    weighing: Weighing | None,
    thresholds: Sequence[float],
) -> Horizon | None:
    """Judge the held-out risks of every label; None for another outcome.

    Parameters
    ----------
    thresholds
        Of the decision curve: edges of bins where enough patients lie between them.
    """
    if weighing is None:
        return None
    edges = choose_edges(federation, view, labels, np.array(thresholds))
    total = federation.ask(
        "horizon_predictions",
        view=view,
        rows="held_out",
        parameters={"schemes": list(labels)},
        arrays={"edges": edges},
    )
    calibration = calibrate(federation, view, labels)
    return Horizon(
        weighing,
        {label: _judged(label, k, total, edges[k], weighing.incidence) for k, label in enumerate(labels)},
        {label: _widened(calibration[label], _spread(total, k)) for k, label in enumerate(labels)},
        {label: round(float(total.sums["known"][k, 1])) for k, label in enumerate(labels)},
        {label: _spread(total, k) for k, label in enumerate(labels)},
        compare_at_horizon(federation, view, pairs_of(labels)),
    )


def _judged(label: str, k: int, total: Total, edges: np.ndarray, incidence: float) -> Discrimination:
    sums: Arrays = {name: array[k] for name, array in total.sums.items()}
    filled = sums["patients"] > 0
    cases, controls, within = sums["cases"], sums["controls"], sums["within"]
    patients, own = float(sums["patients"].sum()), total.disclosed
    sure = certified(cases, controls, within)
    return Discrimination(
        patients=round(patients),
        events=round(float(sums["known"][0])),
        overall=_overall(sums, sure),
        certified=sure,
        bins=int(filled.sum()),
        within_sites=Estimate.normal(float(within[0] / within[1]), float(np.sqrt(within[5]) / within[1]))
        if within[1] > 0
        else NOT_ESTIMABLE,
        by_site={
            name: Estimate.normal(*said.auc[label]) if label in said.auc else NOT_ESTIMABLE
            for name, said in own.items()
        },
        calibration_by_site={name: said.calibration.get(label) for name, said in own.items()},
        roc=roc_points(cases[filled], controls[filled]),
        curve=weighted_curve(sums["patients"], sums["predicted"], cases, controls),
        brier=float(sums["squared_error"]) / patients,
        observed_to_expected=incidence * patients / float(sums["predicted"].sum()),
        edges=edges,
        histogram=np.stack([controls, cases]),
        pairs=float(within[1]),
    )


def _overall(sums: Arrays, sure: tuple[float, float]) -> Estimate:
    """The middle of the certificate; DeLong's interval reaches beyond both of its ends."""
    cases, controls = (sums["cases"], sums["case_squares"]), (sums["controls"], sums["control_squares"])
    error = weighted_auc(cases, controls, sums["within"][:5]).standard_error
    if error is None:
        return NOT_ESTIMABLE
    low, high = sure
    margin = NORMAL_95 * error
    return Estimate((low + high) / 2, max(0.0, low - margin), min(1.0, high + margin), error)


def _spread(total: Total, k: int) -> float:
    """By how much weights widen an interval (Kish): √(Σw²/Σw), which is √(n Σw²)/Σw where Σw = n."""
    weights = float((total.sums["cases"][k] + total.sums["controls"][k]).sum())
    squares = float((total.sums["case_squares"][k] + total.sums["control_squares"][k]).sum())
    return float(np.sqrt(squares / weights))


def certified(
    cases: np.ndarray, controls: np.ndarray, within: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """Between which numbers the AUC of the pooled risks surely lies: pairs of two hospitals in one bin are open."""
    pairs = float(cases.sum() * controls.sum())
    if not pairs:
        return 0.0, 1.0
    own_won, _, own_sure, own_tied = (float(value) for value in within[:4])
    low = own_won + float(cases @ (np.cumsum(controls) - controls)) - own_sure
    open_pairs = float(cases @ controls) - own_tied
    return low / pairs, min(1.0, (low + open_pairs) / pairs)


def _widened(found: Calibration, factor: float) -> Calibration:
    def widen(triple: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if triple is None:
            return None
        value, low, high = triple
        return value, value - factor * (value - low), value + factor * (high - value)

    return Calibration(widen(found.intercept), widen(found.slope))
