"""The report's section on the choice of features: what every step left, and how often each feature was chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.query import LEAVE_OUT
from common.splits import FINAL
from common.study import Study
from common.whole_hospitals import LEAVE_GROUP
from server.report.columns import Column, describe
from server.report.words import selection_step

SHOWN = 30
KFOLD = "kfold/"
TESTS = {"t": "t test (F)", "mann-whitney": "Mann–Whitney test", "cox": "Cox model of each feature alone"}


@dataclass(frozen=True)
class Step:
    """A step in words, and the features it left: finally, in folds, leaving hospitals out."""

    title: str
    final: str
    folds: str
    others: str


@dataclass(frozen=True)
class Chosen:
    """A feature, how often it was chosen, and whether the final model has it."""

    column: Column
    times: int
    final: bool


@dataclass(frozen=True)
class Section:
    """What the report says of selection."""

    steps: tuple[Step, ...]
    with_folds: bool
    with_others: bool
    names: tuple[str, ...]
    by_split: tuple[tuple[str, tuple[int, ...]], ...]
    chosen: tuple[Chosen, ...]
    more: int
    training_sets: int
    always: int
    allowed: str
    test: str


def section(results: Mapping[str, Any], study: Study) -> Section | None:
    """None where all features went into the model."""
    found = results.get("selection")
    if found is None:
        return None
    splits = list(found["allowed"])
    folds = [s for s in splits if s.startswith(KFOLD)]
    others = [s for s in splits if s != FINAL and s not in folds]
    final = set(found["final"])
    order = sorted(found["chosen"].items(), key=lambda item: (-item[1], item[0] not in final, item[0]))
    return Section(
        steps=tuple(
            Step(
                selection_step(step["step"]),
                str(step["left"][FINAL]),
                _range([step["left"][s] for s in folds]),
                _range([step["left"][s] for s in others]),
            )
            for step in found["steps"]
        ),
        with_folds=bool(folds),
        with_others=bool(others),
        names=tuple(selection_step(step["step"]) for step in found["steps"]),
        by_split=tuple((_split(s), tuple(step["left"][s] for step in found["steps"])) for s in splits),
        chosen=tuple(Chosen(describe(study, name), times, name in final) for name, times in order[:SHOWN]),
        more=max(0, len(order) - SHOWN),
        training_sets=found["training_sets"],
        always=sum(times == found["training_sets"] for times in found["chosen"].values()),
        allowed=_range(list(found["allowed"].values())),
        test=TESTS.get(found["screening"] or "", ""),
    )


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    least, most = min(numbers), max(numbers)
    return str(least) if least == most else f"{least} to {most}"


def _split(name: str) -> str:
    """A training set in words."""
    if name == FINAL:
        return "all patients (final model)"
    if name.startswith(LEAVE_OUT):
        return f"without {name.removeprefix(LEAVE_OUT)}"
    if name.startswith(LEAVE_GROUP):
        return f"without the group {name.removeprefix(LEAVE_GROUP)}"
    if name.startswith(KFOLD):
        _, repeat, fold = name.split("/")
        return f"repeat {int(repeat) + 1}, without fold {int(fold) + 1}"
    return name
