"""A hospital's own model of an outcome of several classes: multinomial ridge regression on its own patients.

Gaps and scales as in client/own_models.py; the study's strength where its penalty is a ridge of a given one, else the
strength that cross-validation within the training folds prefers. A class that a training fold lacks has probability 0
there. Everything here stays where the rows are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from client.own_models import INNER_FOLDS, STRENGTHS, Fold, in_span_of, in_words, prepared
from common.study import Study

SMALLEST = 1e-6
"""What a probability of 0 counts as in a likelihood."""


@dataclass(frozen=True)
class OwnProbabilities:
    """Held-out probabilities, patients × levels, and the models' penalty in words."""

    levels: tuple[str, ...]
    probabilities: np.ndarray
    ordinal: bool
    penalty: str

    def of(self, level: str) -> np.ndarray:
        """The probability of a level; of an ordinal outcome, of this level or a higher one."""
        k = self.levels.index(level)
        found: np.ndarray = self.probabilities[:, k:].sum(axis=1) if self.ordinal else self.probabilities[:, k]
        return found


def own_class_probabilities(
    study: Study, matrix: np.ndarray, outcome: np.ndarray, folds: Sequence[Fold]
) -> OwnProbabilities:
    """Every patient's probabilities by a model of the other folds' patients.

    Parameters
    ----------
    matrix
        Columns of the study's design, with gaps.
    outcome
        The number of each patient's level.
    """
    model = study.model
    levels = tuple(study.variable(study.outcome_columns()[0]).levels or [])
    given = float(model.strength) if model.penalty == "ridge" and model.strength != "cross-validated" else 0.0
    found = np.full((len(outcome), len(levels)), np.nan)
    for training, held_out in folds:
        x = in_span_of(training, prepared(matrix[training], matrix))[:, 1:]
        strength = given or _best_strength(x[training], outcome[training])
        found[held_out] = _probabilities(x[training], outcome[training], x[held_out], strength, len(levels))
    return OwnProbabilities(levels, found, model.kind == "ordinal", in_words(given))


def _probabilities(x: np.ndarray, y: np.ndarray, new: np.ndarray, strength: float, levels: int) -> np.ndarray:
    found = np.zeros((len(new), levels))
    classes = np.unique(y).astype(int)
    if len(classes) == 1:
        found[:, classes[0]] = 1.0
        return found
    fitted = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000).fit(x, y)
    found[:, classes] = fitted.predict_proba(new)
    return found


def _best_strength(x: np.ndarray, y: np.ndarray) -> float:
    """The λ with the best likelihood of held-out training patients; rare classes are dealt out with the largest."""
    values, places, counts = np.unique(y, return_inverse=True, return_counts=True)
    strata = np.where(counts[places] < INNER_FOLDS, int(np.argmax(counts)), places)
    worth = np.zeros(len(STRENGTHS))
    for training, held_out in StratifiedKFold(INNER_FOLDS).split(x, strata):
        for k, strength in enumerate(STRENGTHS):
            risk = _probabilities(x[training], places[training], x[held_out], float(strength), len(values))
            worth[k] += np.log(np.maximum(risk[np.arange(len(held_out)), places[held_out]], SMALLEST)).sum()
    return float(STRENGTHS[int(np.argmax(worth))])
