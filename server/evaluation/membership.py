"""Whether the models tell who was in the study: a membership-inference audit inside every hospital, summed.

Within each hospital, an attacker who knows a patient's row and outcome ranks the patients by how well a fold's model
knows them (client/membership.py says by which score). Pairs of one that the model was trained on and one that was held
out, in the right order, over all pairs: AUC = Σ_h W_h / Σ_h P_h, its variance Σ_h P_h² v_h / (Σ_h P_h)², v_h by
leaving each patient out in turn. 0.5: the models tell nothing. And the share of members that are accused where 1 % or
10 % false accusations are allowed, each hospital taking its own threshold; v then takes the threshold as given. Three
hospitals must have patients enough for that, by what they signed: fewer would be seen alone.
The final model has no patients that were held out, so the models of the folds stand for it: fitted in the same way,
on (folds − 1)/folds of the patients; more patients are hidden better.
Rounds: 1. What leaves: W, P, P²v and counts of accusations, as masked totals. Exact.
Mirrored by client/queries/membership.py.
"""

from dataclasses import dataclass
from math import sqrt

from common.auditing import ALLOWED, Attack, attack_of, is_audited
from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.study import Study
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.federation import Federation

NOTICEABLE = 0.03
"""Of the AUC above 0.5, as the lower limit of the interval: patients of the study can be told from others."""


@dataclass(frozen=True)
class Accused:
    """How many are found by an attacker who allows a share of false accusations.

    Parameters
    ----------
    wrongly
        The share of others that is accused; near `allowed`.
    members
        Patients times models behind the estimate; 0 where fewer than three hospitals have enough.
    """

    allowed: float
    rightly: Estimate
    wrongly: float | None
    members: int


@dataclass(frozen=True)
class Audited:
    """What the audit found, and a sentence that says so."""

    attack: Attack
    auc: Estimate
    pairs: int
    accused: tuple[Accused, ...]
    sentence: str


def audit(federation: Federation, study: Study, room: Room, view: str) -> Audited | None:
    """Attack the models of the k-fold inside every hospital; None where there are none.

    Parameters
    ----------
    view
        The linear predictor of every split.
    """
    if not is_audited(study):
        return None
    allowed = [share for share in ALLOWED if room.accusing(study, share) >= FEWEST_HOSPITALS]
    sums = federation.ask("membership", view=view, rows="held_out", parameters={"allowed": allowed}).sums
    won, pairs, variance = map(float, sums["pairs"])
    auc = Estimate.normal(won / pairs, sqrt(variance) / pairs) if pairs > 0 else NOT_ESTIMABLE
    accused = []
    found = dict(zip(allowed, sums["accused"].tolist(), strict=True))
    for allowed_share in ALLOWED:
        members, rightly, others, wrongly, error = found.get(allowed_share, [0.0] * 5)
        estimate = Estimate.normal(rightly / members, sqrt(error) / members) if members > 0 else NOT_ESTIMABLE
        accused.append(Accused(allowed_share, estimate, wrongly / others if others > 0 else None, int(members)))
    return Audited(attack_of(study), auc, int(pairs), tuple(accused), _sentence(auc))


def _sentence(auc: Estimate) -> str:
    if auc.value is None or auc.low is None or auc.high is None:
        return "Whether models tell who they were trained on could not be estimated: no hospital has pairs."
    found = (
        "An attacker who knows a patient's row and outcome tells whether a model was trained on that patient with an "
        f"AUC of {auc.value:.2f} (95 % interval {auc.low:.2f} to {auc.high:.2f}; 0.50: not at all)"
    )
    if auc.low <= 0.5 + NOTICEABLE:
        return f"{found}."
    return (
        f"{found}: the model knows its own patients. Name fewer columns, add patients or raise the penalty before "
        "the coefficients are published."
    )
