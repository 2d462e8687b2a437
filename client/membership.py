"""How well somebody who knows a patient's row can tell whether a fold's model was trained on that patient.

Attack: of every model of a k-fold, the hospital's own patients are members (trained on) or not (held out). A model
knows its members a little better, so the attacker looks at the margin m = (2y − 1)η: the log-odds that the model gives
to what truly happened (Carlini et al. 2022, doi:10.1109/SP46214.2022.9833649, scaled confidence), less the mean of the
model's margins over the patients with the same outcome, which a fold's share of events moves for all of them alike.
How hard a patient is for any model is taken out with models at hand, the same number for members and for others:

    likelihood ratio   two repeats or more: (m − (μ₁ + μ₀)/2)(μ₁ − μ₀)/σ², μ₁ and μ₀ the patient's mean margins by the
                       other repeats' models that did and did not train on it, σ² the spread about them
    calibrated         one repeat and a model without this hospital: m − the margin by that model
    plain              one repeat alone: m

A patient is held out once a repeat and trained on otherwise, so ease shared by all models cancels: 0.5 means nothing.
Nothing here leaves by itself: client/queries/membership.py says what does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from common.auditing import Attack
from common.query import LEAVE_OUT

SMALLEST_SPREAD = 1e-9
"""Of margins; below it, models agree on a patient and their difference is rounding."""


@dataclass(frozen=True)
class Attacked:
    """Every model's attack on every patient: scores and membership, models × patients."""

    attack: Attack
    splits: tuple[str, ...]
    score: np.ndarray
    member: np.ndarray


@dataclass(frozen=True)
class Won:
    """Pairs of a member and another patient that the attack puts in the right order, summed over the models.

    Parameters
    ----------
    value, variance
        The AUC, and its variance by leaving each patient out in turn: a patient is in the pairs of every model.
    by_patient
        Each patient's share of won pairs, as member and as non-member: above 0.5 the attack knows it.
    """

    pairs: int
    value: float
    variance: float
    by_patient: np.ndarray


@dataclass(frozen=True)
class Caught:
    """Whom an attacker accuses who allows a share of false accusations; counts of patients times models."""

    allowed: float
    members: int
    accused_members: int
    others: int
    accused_others: int
    variance: float
    """Of `accused_members`, the patients taken as drawn at random and the threshold as given."""
    patients: int
    """Different ones who are accused by any model."""

    @property
    def found(self) -> float:
        """Share of members that are accused."""
        return self.accused_members / self.members


def attack(
    splits: tuple[str, ...],
    linear_predictor: Callable[[str], np.ndarray],
    training: Callable[[str], np.ndarray],
    outcome: np.ndarray,
    own: str,
) -> Attacked | None:
    """Attack every model of the k-fold on one hospital's patients; None where no model of a k-fold is there.

    Parameters
    ----------
    splits
        The splits that models were fitted for.
    linear_predictor, training
        Of all patients by the model of one split; a mask of those that it trains on.
    own
        The hospital's name: a model may have been fitted without it.
    """
    repeats: dict[str, list[str]] = {}
    for split in splits:
        kind, _, rest = split.partition("/")
        repeat, _, fold = rest.partition("/")
        if kind == "kfold" and fold.isdecimal():
            repeats.setdefault(repeat, []).append(split)
    if not repeats:
        return None

    def margin(split: str) -> np.ndarray:
        return _margin(linear_predictor(split), outcome)

    margins = {r: np.array([margin(s) for s in folds]) for r, folds in repeats.items()}
    members = {r: np.array([training(s) for s in folds]) for r, folds in repeats.items()}
    without = f"{LEAVE_OUT}{own}"
    chosen: Attack = "plain"
    scores: Mapping[str, np.ndarray] = margins
    if len(repeats) > 1:
        chosen, scores = "likelihood ratio", _likelihood_ratios(margins, members)
    elif without in splits:
        chosen, scores = "calibrated", {r: found - margin(without) for r, found in margins.items()}
    names = tuple(split for folds in repeats.values() for split in folds)
    return Attacked(chosen, names, np.concatenate(list(scores.values())), np.concatenate(list(members.values())))


def _margin(linear_predictor: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Every patient's margin by one model, about the mean of its class."""
    margin = (2.0 * outcome - 1.0) * linear_predictor
    for value in np.unique(outcome):
        margin[outcome == value] -= margin[outcome == value].mean()
    return margin


def _likelihood_ratios(
    margins: Mapping[str, np.ndarray], members: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Every model judged with the models of the other repeats, of which as many trained on any patient."""
    scores = {}
    for target, margin in margins.items():
        others = [r for r in margins if r != target]
        seen = np.concatenate([margins[r] for r in others])
        trained = np.concatenate([members[r] for r in others])
        knows, not_knows = _mean(seen, trained), _mean(seen, ~trained)
        spread = (np.where(trained, seen - knows, seen - not_knows) ** 2).mean(axis=0)
        # The patients' median spread steadies that of each, which rests on a few models.
        spread = spread + max(float(np.median(spread)), SMALLEST_SPREAD**2)
        scores[target] = (margin - (knows + not_knows) / 2) * (knows - not_knows) / spread
    return scores


def _mean(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.where(chosen, values, 0.0).sum(axis=0) / np.maximum(chosen.sum(axis=0), 1)
    return mean


def won(attacked: Attacked) -> Won | None:
    """The AUC of the attack within this hospital; None where no model has both members and others here."""
    patients = attacked.member.shape[1]
    own_won, own_pairs = np.zeros(patients), np.zeros(patients)
    for score, member in zip(attacked.score, attacked.member, strict=True):
        inside, outside = int(member.sum()), int((~member).sum())
        if not inside or not outside:
            continue
        together = rankdata(score)
        own_won[member] += together[member] - rankdata(score[member])
        own_won[~member] += inside - (together[~member] - rankdata(score[~member]))
        own_pairs[member] += outside
        own_pairs[~member] += inside
    total_won, total = float(own_won.sum()) / 2, float(own_pairs.sum()) / 2
    if not total:
        return None
    left = total - own_pairs
    if patients < 2 or not (left > 0).all():
        variance = 0.25
    else:
        without = (total_won - own_won) / left
        variance = float((patients - 1) / patients * ((without - without.mean()) ** 2).sum())
    shares = own_won / np.maximum(own_pairs, 1)
    return Won(pairs=round(total), value=total_won / total, variance=variance, by_patient=shares)


def caught(attacked: Attacked, allowed: float) -> Caught | None:
    """Accuse whoever scores above the threshold that `allowed` of this hospital's non-members exceed.

    None where that share of the patients is not even one.
    """
    others = attacked.score[~attacked.member]
    may = int(np.floor(allowed * others.size))
    if may < 1 or not attacked.member.any():
        return None
    threshold = np.sort(others)[others.size - may - 1]
    accused = attacked.score > threshold
    as_member = attacked.member.sum(axis=0)
    rightly = (accused & attacked.member).sum(axis=0)
    share = rightly.sum() / as_member.sum()
    return Caught(
        allowed=allowed,
        members=int(as_member.sum()),
        accused_members=int(rightly.sum()),
        others=int(others.size),
        accused_others=int((accused & ~attacked.member).sum()),
        variance=float(((rightly - share * as_member) ** 2).sum()),
        patients=int(accused.any(axis=0).sum()),
    )
