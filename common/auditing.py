"""What both sides know of audits: whether a study has one of its models, by which attack, and one of its columns."""

from typing import Literal

from common.query import SMALLEST_CELL
from common.study import Study

Attack = Literal["likelihood ratio", "calibrated", "plain"]

ALLOWED = (0.01, 0.1)
"""Shares of false accusations for which the share of members that are found is worked out."""
ASKED_TOGETHER = tuple(ALLOWED[first:] for first in range(len(ALLOWED) + 1))
"""What of these a study may ask: hospitals that have patients enough for one have enough for the larger ones."""


def accuses(patients: int, allowed: float) -> bool:
    """Whether a hospital of so many patients accuses: a threshold between fewer than five would tell on them."""
    return int(allowed * patients) >= SMALLEST_CELL


def is_audited(study: Study) -> bool:
    """Whether a study has what the audit needs: models that hold patients out, and an outcome of 0 and 1.

    A study with differential privacy has a bound that holds for every attack, and no budget for this one.
    """
    private = study.privacy.differential is not None
    return study.validation.folds > 0 and study.outcome.kind == "binary" and not private


def looks_for_leaks(study: Study) -> bool:
    """Whether every column is held against the outcome by itself: where pairs can be counted, exactly."""
    return study.outcome.kind == "binary" and study.privacy.differential is None


def attack_of(study: Study) -> Attack:
    """The strongest attack that the study's models allow (client/membership.py)."""
    if study.validation.repeats > 1:
        return "likelihood ratio"
    return "calibrated" if study.validation.leave_one_hospital_out else "plain"
