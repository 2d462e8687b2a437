"""Row sets: what is trained on what, named the same way by both sides.

A split is a text: `final` (all rows), `kfold/REPEAT/FOLD`, `leave_one_hospital_out/HOSPITAL`, and those that keep
hospitals whole: `leave_group_out/GROUP` and `external` (common/whole_hospitals.py). Where something is tuned,
every one of these has folds of its own within its training rows: `SPLIT/inner/FOLD`. A scheme is what the held-out rows
of several splits are evaluated as: `apparent`, `kfold/REPEAT`, `leave_one_hospital_out`, `leave_group_out`,
`external`. A label says what is
evaluated: a scheme, perhaps another model than the study's first (`kfold/0@clinical`), perhaps one class of several
(`kfold/0#ICC`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from common.query import LEAVE_OUT
from common.study import Study
from common.whole_hospitals import (
    EXTERNAL,
    LEAVE_GROUP_OUT,
    external_is_a_total,
    splits_of_whole_hospitals,
    trains,
)

FINAL = "final"
APPARENT = "apparent"
LEAVE_ONE_HOSPITAL_OUT = LEAVE_OUT.rstrip("/")
INNER = "/inner/"


@dataclass(frozen=True)
class Label:
    """A scheme, by one model of the study (empty: its first), for one class (empty: the only one)."""

    scheme: str
    model: str = ""
    level: str = ""

    def __str__(self) -> str:
        return self.scheme + (f"@{self.model}" if self.model else "") + (f"#{self.level}" if self.level else "")

    @staticmethod
    def read(text: str) -> "Label":
        """The label that is written so."""
        rest, _, level = text.partition("#")
        scheme, _, model = rest.partition("@")
        return Label(scheme, model, level)


def labels_of(study: Study) -> tuple[str, ...]:
    """Everything that a study evaluates: every scheme by every model, for every class but the reference."""
    return _labels(study, schemes_of(study))


def without_class(label: str) -> str:
    """The label of the same scheme and model, whatever class it is about."""
    read = Label.read(label)
    return str(Label(read.scheme, read.model))


def external_labels_of(study: Study) -> tuple[str, ...]:
    """The labels of the external hospitals, even where they are too few for a total: they say figures in clear."""
    return _labels(study, (EXTERNAL,) if study.validation.external else ())


def _labels(study: Study, schemes: tuple[str, ...]) -> tuple[str, ...]:
    levels = (
        study.variable(study.outcome_columns()[0]).levels or [] if study.outcome.kind == "multiclass" else [""]
    )
    if study.model.kind == "ordinal":
        levels = levels[1:]
    return tuple(
        str(Label(scheme, model, level)) for model in study.models() for scheme in schemes for level in levels
    )


def splits_of(study: Study, roster: Iterable[str]) -> tuple[str, ...]:
    """All splits of a study, in the order in which arrays hold them: the outer ones, then those within them."""
    outer = outer_splits_of(study, roster)
    inner = range(study.inner_folds())
    return (*outer, *(f"{split}{INNER}{fold}" for split in outer for fold in inner))


def is_repeat(scheme: str) -> bool:
    """Whether a scheme judges the same patients again, by other folds."""
    kind, _, number = scheme.partition("/")
    return kind == "kfold" and number != "0"


def outer_splits_of(study: Study, roster: Iterable[str]) -> tuple[str, ...]:
    """The splits whose models are judged or released."""
    validation = study.validation
    splits = [FINAL]
    if validation.folds:
        splits += [f"kfold/{r}/{f}" for r in range(validation.repeats) for f in range(validation.folds)]
    if validation.leave_one_hospital_out:
        splits += [f"{LEAVE_OUT}{hospital}" for hospital in sorted(roster) if trains(study, hospital)]
    return (*splits, *splits_of_whole_hospitals(study))


def schemes_of(study: Study) -> tuple[str, ...]:
    """All schemes of a study: each gives every patient one score."""
    validation = study.validation
    schemes = [APPARENT]
    if validation.folds:
        schemes += [f"kfold/{r}" for r in range(validation.repeats)]
    if validation.leave_one_hospital_out:
        schemes.append(LEAVE_ONE_HOSPITAL_OUT)
    if validation.leave_groups_out:
        schemes.append(LEAVE_GROUP_OUT)
    if validation.external and external_is_a_total(study):
        schemes.append(EXTERNAL)
    return tuple(schemes)


def splits_of_scheme(scheme: str, splits: Iterable[str]) -> tuple[str, ...]:
    """The splits whose held-out rows make up a scheme."""
    if scheme == APPARENT:
        return (FINAL,)
    if scheme == EXTERNAL:
        return (EXTERNAL,)
    return tuple(split for split in splits if split.startswith(f"{scheme}/"))
