"""How well the models' own patients can be told from others: mirrored by server/evaluation/membership.py."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from client.membership import Attacked, attack, caught, won
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.auditing import ASKED_TOGETHER, accuses
from common.errors import Code, HospitalError
from common.query import SMALLEST_CELL, Answer
from common.splits import splits_of


def _of_the_audit(shares: tuple[float, ...]) -> tuple[float, ...]:
    if shares not in ASKED_TOGETHER:
        raise ValueError(f"{shares}: expected one of {ASKED_TOGETHER}")
    return shares


Allowed = Annotated[tuple[float, ...], AfterValidator(_of_the_audit)]


class Membership(Parameters):
    """At which shares of false accusations hospitals accuse: those at which three have patients enough.

    Every model of the study's k-fold is attacked.
    """

    allowed: Allowed


@query(
    "membership",
    Membership,
    leaves="How often an attacker who knows patients' rows ranks one that a fold's model was trained on above one that "
    "was held out, of how many pairs, and the variance; and of 50 patients and more, how many are accused of having "
    "been trained on, rightly and wrongly; fewer than five different ones count as none.",
)
def membership(rows: Rows, asked: Membership) -> Answer:
    """Won pairs, pairs and variance within this hospital; accusations at two shares of false ones."""
    attacked = attacked_here(rows)
    pairs, accused = np.zeros(3), np.zeros((len(asked.allowed), 5))
    found = won(attacked)
    if found is not None:
        pairs[:] = [found.value * found.pairs, found.pairs, found.variance * found.pairs**2]
    for index, allowed in enumerate(asked.allowed):
        if not accuses(len(rows.cohort.ids), allowed):
            continue
        who = caught(attacked, allowed)
        if who is None:
            continue
        accused[index, [0, 2]] = who.members, who.others
        # A model by which nearly all are alike accuses the few who are not, or nobody: by their outcome.
        if who.patients >= SMALLEST_CELL:
            accused[index, [1, 3, 4]] = who.accused_members, who.accused_others, who.variance
    return Answer(sums={"pairs": pairs, "accused": accused})


def first_model(rows: Rows) -> Callable[[str], np.ndarray]:
    """The linear predictor of every patient by the study's first model as fitted in a split."""
    return lambda split: rows.linear_predictors(split)[:, 0]


def attacked_here(rows: Rows) -> Attacked:
    """The attack on every model of the study's k-fold by this hospital's own patients."""
    splits = splits_of(rows.study, rows.query.roster)
    outcome = rows.cohort.outcome
    attacked = None
    if outcome.ndim == 1 and np.isin(outcome, (0, 1)).all():
        attacked = attack(splits, first_model(rows), rows.members.training, outcome, rows.site.name)
    if attacked is None:
        raise HospitalError(Code.BAD_PARAMETERS, "the attack needs models of a k-fold and an outcome of 0 and 1")
    return attacked
