"""Who was lost, and how well an event at a horizon is predicted: mirrored by server/methods/weighing.py and
server/evaluation/horizon.py."""

import numpy as np
from pydantic import model_validator

from client.clear_figures import may_be_judged_in_clear
from client.queries.discrimination import own_calibration
from client.queries.follow_up import Months, counted
from client.queries.quantiles import few_and_ascending
from client.queries.registry import Parameters, Schemes, bounded_array, query
from client.rows import Rows
from common.errors import Code, HospitalError
from common.outcomes import HorizonOutcome
from common.query import SMALLEST_CLASS_FOR_OWN_AUC, Answer, Disclosed


class Censoring(Parameters):
    """The months that end a cell; the last cell has no end."""

    months: Months


@query(
    "censoring",
    Censoring,
    leaves="Per training set and cell of months: how many patients were last seen without any event, and how many left "
    "in all.",
)
def censoring(rows: Rows, asked: Censoring) -> Answer:
    """Σ of censorings and Σ of exits by cell, for the training rows of every split."""
    if not isinstance(rows.study.outcome, HorizonOutcome):
        raise HospitalError(Code.BAD_PARAMETERS, "censoring: the outcome of the study is no event at a horizon")
    shape = (len(rows.query.splits), len(asked.months) + 1)
    censored, exits = np.zeros(shape), np.zeros(shape)
    for k, (_, chosen) in enumerate(rows.chosen()):
        time, event = rows.cohort.outcome[chosen].T
        lost = (event == 0) & ~rows.cohort.competing[chosen]
        censored[k], exits[k] = counted(time[lost], asked.months), counted(time, asked.months)
    return Answer(sums={"censored": censored, "exits": exits})


class HorizonPredictions(Parameters):
    """The labels to judge and, for each, the inner edges of its bins of predicted risk."""

    schemes: Schemes
    edges: bounded_array(2, 0.0, 1.0)  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _a_row_a_scheme(self) -> "HorizonPredictions":
        if len(few_and_ascending(self.edges)) != len(self.schemes):
            raise ValueError(f"found edges for {len(self.edges)} schemes, expected {len(self.schemes)}")
        return self


@query(
    "horizon_predictions",
    HorizonPredictions,
    leaves="In clear: this hospital's own AUC, calibration slope and intercept, three decimals, with ten and more "
    "known with and without the event by the horizon. As sums: patients and predicted risk in a few bins, weighted "
    "patients with and without the event there, squared error, and the hospital's part of the within-hospital AUC.",
)
def horizon_predictions(rows: Rows, asked: HorizonPredictions) -> Answer:
    """Per label: histograms of everybody and of weighted cases and controls, pairs here, Σ w(p − y)²."""
    found: dict[str, list[np.ndarray]] = {}
    auc: dict[str, tuple[float, float]] = {}
    calibration: dict[str, tuple[float, float]] = {}
    for label, edges in zip(asked.schemes, asked.edges, strict=True):
        risk, outcome = rows.probabilities(label)
        weight = rows.weights(label)
        if weight is None:
            raise HospitalError(Code.BAD_PARAMETERS, "horizon_predictions: the outcome is no event at a horizon")
        rows.refuse_weights_on_few_patients(weight[weight > 0])
        bins = np.searchsorted(edges, risk, side="left")
        case, control = outcome == 1, outcome == 0
        figures = _by_bin(bins, len(edges) + 1, risk, weight, case, control)
        pairs, variance = _pairs(risk, weight, bins, case, control, len(edges) + 1)
        figures["within"] = np.append(pairs, variance)
        figures["known"] = np.array([case.sum(), control.sum()], dtype=np.float64)
        figures["squared_error"] = np.array(float(weight @ np.where(weight > 0, (risk - outcome) ** 2, 0.0)))
        for name, figure in figures.items():
            found.setdefault(name, []).append(figure)
        if min(case.sum(), control.sum()) >= SMALLEST_CLASS_FOR_OWN_AUC and may_be_judged_in_clear(risk):
            auc[label] = (
                round(float(pairs[0] / pairs[1]), 3),
                round(float(np.sqrt(variance)) / float(pairs[1]), 3),
            )
            known, score = weight > 0, rows.scores(label)[0]
            own = own_calibration(score[known], outcome[known], weight[known])
            calibration |= {} if own is None else {label: own}
    return Answer(
        sums={name: np.array(figures) for name, figures in found.items()},
        disclosed=Disclosed(auc=auc, calibration=calibration),
    )


def _by_bin(
    bins: np.ndarray, width: int, risk: np.ndarray, weight: np.ndarray, case: np.ndarray, control: np.ndarray
) -> dict[str, np.ndarray]:
    """By bin: everybody and their predicted risk; weights and their squares of those with and without the event."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(bins, values, minlength=width).astype(np.float64)

    return {
        "patients": total(np.ones(len(bins))),
        "predicted": total(risk),
        "cases": total(weight * case),
        "case_squares": total(weight**2 * case),
        "controls": total(weight * control),
        "control_squares": total(weight**2 * control),
    }


def _pairs(
    risk: np.ndarray, weight: np.ndarray, bins: np.ndarray, case: np.ndarray, control: np.ndarray, width: int
) -> tuple[np.ndarray, float]:
    """Weighted pairs of a case and a control of this hospital, and the variance of how many are won.

    Of the pairs: won; all; won by the bins alone; of one bin; won among these. Variance: DeLong's, weights as known.
    """
    w, v = weight[case], weight[control]
    below = share_below(risk[control], v, risk[case])
    above = v.sum() and share_below(-risk[case], w, -risk[control])
    won, pairs = float(w @ below), float(w.sum() * v.sum())
    if not pairs:
        return np.zeros(5), 0.0
    cases, controls = (np.bincount(bins[of], weight[of], minlength=width) for of in (case, control))
    sure = float(cases @ (np.cumsum(controls) - controls))
    value = won / pairs
    variance = float(w**2 @ (below - value * v.sum()) ** 2) + float(v**2 @ (above - value * w.sum()) ** 2)
    return np.array([won, pairs, sure, float(cases @ controls), won - sure]), variance


def share_below(values: np.ndarray, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The weight of the values below each point, half of it where they are equal."""
    order = np.argsort(values, kind="stable")
    reached = np.concatenate([[0.0], np.cumsum(weights[order])])
    places = [np.searchsorted(values[order], at, side=side) for side in ("left", "right")]
    below: np.ndarray = (reached[places[0]] + reached[places[1]]) / 2
    return below
