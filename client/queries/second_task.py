"""How a network's second head orders this hospital's patients: mirrored by server/evaluation/second_task.py."""

import numpy as np

from client.concordance import harrell
from client.queries.discrimination import auc_and_variance
from client.queries.registry import Parameters, Schemes, query
from client.rows import Rows
from client.second_outcome import second_outcome
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL, Answer
from common.splits import Label, labels_of, without_class


class SecondTask(Parameters):
    """The schemes to judge, by the first model or another; the outcome's classes are not told apart here."""

    schemes: Schemes


@query(
    "second_task",
    SecondTask,
    leaves="Per scheme: patients whose second outcome is known and how many of them had it, and the hospital's part of "
    "the within-hospital AUC or C. Below five of either kind: zeros.",
)
def second_task(rows: Rows, asked: SecondTask) -> Answer:
    """Per label: patients, events; won pairs, all pairs and their spread, within this hospital."""
    known = second_outcome(rows.study, rows.cohort)
    if known is None or rows.views.chain(str(rows.query.view))[0].step != "network":
        raise HospitalError(
            Code.BAD_PARAMETERS, "query 'second_task': the study's networks have no second outcome"
        )
    counts, within = np.zeros((len(asked.schemes), 2)), np.zeros((len(asked.schemes), 3))
    judged_labels = {without_class(label) for label in labels_of(rows.study)}
    for k, name in enumerate(asked.schemes):
        label = Label.read(name)
        if name not in judged_labels:
            raise HospitalError(Code.BAD_PARAMETERS, f"the study does not evaluate {name[:80]!r}")
        judged = rows.judged(name) & ~np.isnan(known[:, -1])
        outcome, line = known[judged], _held_out(rows, label)[judged]
        events = int((outcome[:, -1] == 1).sum()) if len(outcome) else 0
        if min(events, len(outcome) - events) < SMALLEST_CELL:
            continue
        counts[k], within[k] = (len(outcome), events), _pairs(line, outcome)
    return Answer(sums={"counts": counts, "within": within})


def _pairs(line: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Won pairs, all pairs, and the variance of the won ones' share times pairs²."""
    if outcome.shape[1] == 2:
        found = harrell(outcome[:, 0], outcome[:, 1], line)
        return np.array([found.won, found.pairs, found.spread])
    value, variance = auc_and_variance(line, outcome[:, 0])
    had = float((outcome[:, 0] == 1).sum())
    pairs = had * (len(line) - had)
    return np.array([value * pairs, pairs, variance * pairs**2])


def _held_out(rows: Rows, label: Label) -> np.ndarray:
    """Every patient's line by the network that did not see the patient; NaN for who is not judged."""
    from client.networks.scoring import second_lines  # PyTorch is there only where a study has a network

    found = np.full(len(rows.cohort.ids), np.nan)
    model = rows.study.models().index(label.model)
    for split, chosen in rows.held_out_of(label.scheme):
        lines = second_lines(rows.parent_matrix(split), rows.fitted(split), rows.views.own_state)
        found[chosen] = lines[chosen, model]
    return found
