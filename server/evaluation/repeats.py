"""Repeats of a k-fold: other folds of the same patients, told as one in results.json."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from common.splits import Label
from server.evaluation.discrimination import Estimate

NOT_ESTIMATED = {"value": None, "low": None, "high": None, "standard_error": None}


def kind_of(scheme: str) -> str:
    """What repeats of a scheme have in common: kfold/0 and kfold/1 are kfold."""
    return scheme.partition("/")[0]


def without_repeat(label: str) -> str:
    """What labels of repeats have in common: kfold/0@clinical and kfold/1@clinical are kfold@clinical."""
    read = Label.read(label)
    return str(Label(kind_of(read.scheme), read.model, read.level))


def repeats_of(labels: Iterable[str]) -> dict[str, list[str]]:
    """Labels that are repeats of one another, under what they have in common."""
    named: dict[str, list[str]] = {}
    for label in labels:
        named.setdefault(without_repeat(label), []).append(label)
    return named


def mean_of(repeats: Sequence[Estimate]) -> dict[str, Any]:
    """The mean over repeats of estimate and limits; the repeats judge the same patients, so no error shrinks."""
    if any(r.value is None for r in repeats):
        return dict(NOT_ESTIMATED)
    return {key: float(np.mean([getattr(r, key) for r in repeats])) for key in NOT_ESTIMATED}
