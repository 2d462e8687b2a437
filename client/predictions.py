"""From a model's linear predictors to scores, probabilities and outcomes, one class at a time.

Binary and survival: one linear predictor η; p = 1/(1 + e^−η) where the outcome is binary. Multinomial: η_k against the
first class, p = softmax(0, η). Ordinal: η_k = logit P(class ≥ k), so that a level stands for 'this class or a higher
one'.
"""

import numpy as np
from scipy.special import expit, logsumexp

from common.errors import Code, HospitalError
from common.study import Study


def score(study: Study, lines: np.ndarray, level: str) -> np.ndarray:
    """What orders the patients: a logit of the level's probability, or the linear predictor itself."""
    if study.outcome.kind != "multiclass":
        return lines[:, 0]
    k = _number(study, level)
    if study.model.kind == "ordinal":
        return lines[:, k - 1]
    every = np.column_stack([np.zeros(len(lines)), lines])
    others = np.delete(every, k, axis=1)
    scored: np.ndarray = every[:, k] - logsumexp(others, axis=1)
    return scored


def probability(study: Study, lines: np.ndarray, level: str) -> np.ndarray:
    """The predicted probability of the event, of a class, or of this class or a higher one."""
    predicted: np.ndarray = expit(score(study, lines, level))
    return predicted


def outcome(study: Study, known: np.ndarray, level: str) -> np.ndarray:
    """The outcomes that belong to a score."""
    if study.outcome.kind != "multiclass":
        return known
    k = _number(study, level)
    return (known >= k if study.model.kind == "ordinal" else known == k).astype(np.float64)


def _number(study: Study, level: str) -> int:
    levels = study.variable(study.outcome_columns()[0]).levels or []
    if level not in levels:
        raise HospitalError(Code.BAD_PARAMETERS, f"the outcome has no class {level!r}")
    return levels.index(level)
