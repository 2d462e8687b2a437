"""Models of some hospitals' rows in one place: a hospital's own, and in a simulation all hospitals' pooled.

Ridge logistic regression, or ridge Cox regression with a baseline a hospital; gaps filled with the training folds'
means and columns standardised there. The study's penalty where it is a ridge of a given strength, else the strength
that cross-validation within the training folds prefers. Everything here stays where the rows are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from client.queries.cox import efron
from common.errors import HospitalError
from common.study import Study

STRENGTHS = 10.0 ** np.arange(-1, 5)
INNER_FOLDS = 3
ITERATIONS = 50
Fold = tuple[np.ndarray, np.ndarray]
"""A mask of the patients that a fold trains on, and of those that it holds out."""


@dataclass(frozen=True)
class OwnScores:
    """Linear predictors by models that did not see the patient, and the models' penalty in words."""

    scores: np.ndarray
    penalty: str


def own_scores(
    study: Study,
    matrix: np.ndarray,
    outcome: np.ndarray,
    folds: Sequence[Fold],
    hospitals: np.ndarray | None = None,
) -> OwnScores:
    """Every patient's linear predictor by a model of the other folds' patients.

    Parameters
    ----------
    matrix
        Columns of the study's design, with gaps.
    outcome
        0 and 1; or times and events, two columns.
    hospitals
        Every patient's hospital, where rows of several are pooled: the strata of Cox regression.
    """
    model, strata = study.model, np.zeros(len(outcome)) if hospitals is None else hospitals
    given = float(model.strength) if model.penalty == "ridge" and model.strength != "cross-validated" else 0.0
    scores = np.full(len(outcome), np.nan)
    for training, held_out in folds:
        x = in_span_of(training, prepared(matrix[training], matrix))
        y, h = outcome[training], strata[training]
        scores[held_out] = x[held_out] @ fit(x[training], y, h, given or best_strength(x[training], y, h))
    return OwnScores(scores, in_words(given))


def in_words(given: float) -> str:
    """The penalty: the study's strength, or 0 where it is chosen here."""
    return f"ridge, λ = {given:g}" if given else "ridge, λ by cross-validation"


def prepared(training: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A column of ones; then gaps filled with the training rows' means, and columns standardised there.

    What is constant in the training rows becomes 0.
    """
    known = ~np.isnan(training)
    mean = np.where(known, training, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    spread = np.where(known, training - mean, 0.0).std(axis=0)
    usable = spread > 1e-12 * np.maximum(np.abs(mean), 1.0)
    scaled = np.where(np.isnan(matrix), 0.0, matrix - mean) / np.where(usable, spread, 1.0) * usable
    return np.column_stack([np.ones(len(matrix)), scaled])


def in_span_of(training: np.ndarray, x: np.ndarray) -> np.ndarray:
    """As many columns as training patients at most: a ridge fit is the same in the axes of the training rows."""
    if x.shape[1] - 1 <= training.sum():
        return x
    axes = np.linalg.svd(x[training, 1:], full_matrices=False)[2]
    return np.column_stack([x[:, :1], x[:, 1:] @ axes.T])


def fit(x: np.ndarray, y: np.ndarray, strata: np.ndarray, strength: float) -> np.ndarray:
    """Intercept and slopes; a Cox model has no intercept."""
    if y.ndim == 1:
        found = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=5000).fit(x[:, 1:], y)
        return np.concatenate([found.intercept_, found.coef_[0]])
    return np.concatenate([[0.0], _fit_cox(x[:, 1:], y, strata, strength)])


def _fit_cox(x: np.ndarray, y: np.ndarray, strata: np.ndarray, strength: float) -> np.ndarray:
    """Newton's method with halving on the log-likelihood less ½λ‖β‖²."""
    beta = np.zeros(x.shape[1])
    value, slope, curvature = _cox(x, y, strata, beta)
    for _ in range(ITERATIONS):
        step = np.linalg.solve(curvature + strength * np.eye(len(beta)), slope - strength * beta)
        before = value - strength * (beta @ beta) / 2
        for halving in range(20):
            tried = beta + step / 2**halving
            value, slope, curvature = _cox(x, y, strata, tried)
            if value - strength * (tried @ tried) / 2 >= before:
                break
        beta = tried
        if np.abs(step).max() < 1e-6:  # the next step would be its square
            break
    return beta


def _cox(
    x: np.ndarray, y: np.ndarray, strata: np.ndarray, beta: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    value, slope, curvature = 0.0, np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    linear = x @ beta
    for stratum in np.unique(strata):
        own = strata == stratum
        highest = float(linear[own].max())
        risk = np.exp(linear[own] - highest)
        try:
            more = efron(x[own], y[own], linear[own], risk, highest, curved=True)
        except HospitalError:  # risks further apart than numbers can hold: a step too far, to be halved
            return -np.inf, slope, curvature
        value, slope, curvature = value + more[0], slope + more[1], curvature + more[2]
    return value, slope, curvature


def best_strength(x: np.ndarray, y: np.ndarray, strata: np.ndarray) -> float:
    """The λ with the best likelihood of held-out training patients, partial for survival (Verweij and van
    Houwelingen 1993, doi:10.1002/sim.4780122407)."""
    classes = y if y.ndim == 1 else y[:, 1]
    worth = np.zeros(len(STRENGTHS))
    for training, held_out in StratifiedKFold(INNER_FOLDS).split(x, classes):
        for k, strength in enumerate(STRENGTHS):
            beta = fit(x[training], y[training], strata[training], float(strength))
            if y.ndim == 1:
                linear = x[held_out] @ beta
                worth[k] += float((y[held_out] * linear - np.logaddexp(0.0, linear)).sum())
            else:
                whole = _cox(x[:, 1:], y, strata, beta[1:])[0]
                part = _cox(x[training][:, 1:], y[training], strata[training], beta[1:])[0]
                worth[k] += whole - part if np.isfinite(whole) else -np.inf
    return float(STRENGTHS[int(np.argmax(worth))])
