"""Row sets: what is trained on what, named the same way by both sides.

A split is a text: `final` (all rows), `kfold/REPEAT/FOLD`, `leave_one_hospital_out/HOSPITAL`. A scheme is what
the held-out rows of several splits are evaluated as: `apparent`, `kfold/REPEAT`, `leave_one_hospital_out`.
"""

from collections.abc import Iterable

from common.query import LEAVE_OUT
from common.study import Study

FINAL = "final"
APPARENT = "apparent"
LEAVE_ONE_HOSPITAL_OUT = LEAVE_OUT.rstrip("/")


def splits_of(study: Study, roster: Iterable[str]) -> tuple[str, ...]:
    """All splits of a study, in the order in which arrays hold them."""
    validation = study.validation
    splits = [FINAL]
    if validation.folds:
        splits += [f"kfold/{r}/{f}" for r in range(validation.repeats) for f in range(validation.folds)]
    if validation.leave_one_hospital_out:
        splits += [f"{LEAVE_OUT}{hospital}" for hospital in sorted(roster)]
    return tuple(splits)


def schemes_of(study: Study) -> tuple[str, ...]:
    """All schemes of a study: each gives every patient one score."""
    validation = study.validation
    schemes = [APPARENT]
    if validation.folds:
        schemes += [f"kfold/{r}" for r in range(validation.repeats)]
    if validation.leave_one_hospital_out:
        schemes.append(LEAVE_ONE_HOSPITAL_OUT)
    return tuple(schemes)


def splits_of_scheme(scheme: str, splits: Iterable[str]) -> tuple[str, ...]:
    """The splits whose held-out rows make up a scheme."""
    if scheme == APPARENT:
        return (FINAL,)
    return tuple(split for split in splits if split.startswith(f"{scheme}/"))
