"""How a survival model does among some patients: mirrored by server/evaluation/survival_subgroups.py.

Who belongs to a subgroup, and which hospitals take part in it, client/queries/subgroups.py says; one whose sum of risks
rests on few patients takes no part in a label.
"""

import numpy as np
from pydantic import model_validator

from client.concordance import harrell
from client.queries.registry import Schemes, query
from client.queries.subgroups import Numbers, compares, divided
from client.queries.survival import Censoring
from client.queries.survival_risk import Baselines, by_own_fold, risks
from client.rows import Rows
from common.months import in_days
from common.query import Answer


class SurvivalSubgroupSums(Censoring, Baselines):
    """Which labels, which of the study's subgroups, and in which of them patients are compared in pairs.

    The risk is that at the one horizon of `horizons`.
    """

    schemes: Schemes
    subgroups: Numbers
    compared: Numbers

    @model_validator(mode="after")
    def _one_horizon(self) -> "SurvivalSubgroupSums":
        if len(self.horizons) != 1:
            raise ValueError(f"found {len(self.horizons)} horizons, expected one")
        return self


@query(
    "survival_subgroup_sums",
    SurvivalSubgroupSums,
    leaves="Per evaluated model and subgroup, from a hospital with five such patients or more: patients, events, "
    "predicted and observed risk at one horizon, squared error, and pairs within the hospital where it has five "
    "patients with and five without the event.",
)
def survival_subgroup_sums(rows: Rows, parameters: SurvivalSubgroupSums) -> Answer:
    """Per label and subgroup: n, Σ event, Σ risk, Σ w·event by then, Σ w·error²; won pairs, pairs, spread."""
    chosen = divided(rows)
    shape = len(parameters.schemes), len(parameters.subgroups)
    judged, within = np.zeros((*shape, 5)), np.zeros((*shape, 3))
    until = float(in_days(parameters.horizons)[0])
    for k, label in enumerate(parameters.schemes):
        score, outcome = rows.scores(label)
        if not len(score):
            continue
        time, event = outcome[:, 0], outcome[:, 1]
        scored, _, hazard = by_own_fold(rows, parameters, label)
        risk = risks(hazard[scored], score)[:, 0]
        if rows.rests_on_few_patients(risk):
            continue
        weights = parameters.weights(rows, time, until)
        case = np.where((time <= until) & (event == 1), weights, 0.0)
        error = case * (1.0 - risk) ** 2 + np.where(time > until, weights, 0.0) * risk**2
        by_patient = np.array([np.ones(len(time)), event, risk, case, error])
        for j, number in enumerate(parameters.subgroups):
            own = chosen[number][scored]
            judged[k, j] = by_patient[:, own].sum(axis=1)
            if number in parameters.compared and compares(outcome[own]):
                within[k, j] = _pairs(time[own], event[own], score[own])
    return Answer(sums={"judged": judged, "within": within})


def _pairs(time: np.ndarray, event: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    found = harrell(time, event, score)
    return found.won, found.pairs, found.spread
