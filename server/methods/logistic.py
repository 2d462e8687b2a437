"""Logistic regression, unpenalised or ridge, equal to the pooled fit: mirrored by client/queries/logistic.py.

Maximises Σ [yη − log(1 + e^η)] − ½λ‖β‖², η = β₀ + xᵀβ, on standardised columns; the intercept is free (λ is
scikit-learn's 1/C). Rounds: 6–10 Newton steps for all folds together. What leaves: per fold the log-likelihood,
its gradient (1 + p) and the triangle of second derivatives ((1 + p)(2 + p)/2), as masked totals.
Exact: within 1e-8 of scikit-learn on the pooled rows (tests/server/test_logistic.py).
"""

from dataclasses import dataclass

import numpy as np

from common.errors import StudyStopped
from common.study import Study
from server.federation import Federation
from server.methods.newton import Optimum, maximise
from server.methods.pipeline import Prepared


@dataclass(frozen=True)
class Fitted:
    """A fitted linear model for every split, on standardised columns and in the columns' own units."""

    standardised: np.ndarray
    original: np.ndarray
    optimum: Optimum


def fit_logistic(federation: Federation, study: Study, prepared: Prepared) -> Fitted:
    """Fit every split of the study."""
    strength = 0.0 if study.model.penalty == "none" else float(study.model.strength)
    width = 1 + len(prepared.columns)
    penalty = np.full(width, strength)
    penalty[0] = 0.0
    active = np.column_stack([np.ones(len(federation.splits), bool), prepared.used])

    def evaluate(beta: np.ndarray, problems: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        splits = [federation.splits[k] for k in problems]
        sums = federation.ask("logistic", view=prepared.view, splits=splits, arrays={"beta": beta}).sums
        return sums["likelihood"], sums["gradient"], unpack_triangle(sums["hessian"], width)

    optimum = maximise(evaluate, active, penalty)
    _explain_failure(optimum, federation.splits, prepared)
    return Fitted(standardised=optimum.beta, original=_in_own_units(optimum.beta, prepared), optimum=optimum)


def unpack_triangle(packed: np.ndarray, width: int) -> np.ndarray:
    """Symmetric matrices from their upper triangles."""
    full = np.zeros((len(packed), width, width))
    rows, columns = np.triu_indices(width)
    full[:, rows, columns] = packed
    full[:, columns, rows] = packed
    return full


def _in_own_units(beta: np.ndarray, prepared: Prepared) -> np.ndarray:
    """β_j / spread_j, and the intercept that belongs to it."""
    used = prepared.used
    slopes = np.where(used, beta[:, 1:] / np.where(used, prepared.spread, 1.0), 0.0)
    intercept = beta[:, 0] - (slopes * prepared.centre).sum(axis=1)
    return np.column_stack([intercept, slopes])


def _explain_failure(optimum: Optimum, splits: tuple[str, ...], prepared: Prepared) -> None:
    """Stop in words when there is no optimum, or none that can be trusted."""
    for k, split in enumerate(splits):
        if optimum.rank_lost[k]:
            involved = ", ".join(_collinear(optimum.hessian[k], prepared, k))
            raise StudyStopped(
                f"split {split}: {optimum.rank_lost[k]} columns are combinations of others ({involved}), so "
                "their coefficients are not determined: take some out of predictors, or set model.penalty: ridge"
            )
        if optimum.separated[k]:
            largest = np.argsort(-np.abs(optimum.beta[k, 1:]))[:3]
            names = ", ".join(prepared.columns[j] for j in largest)
            raise StudyStopped(
                f"split {split}: perfect separation: the columns predict the outcome without error (foremost "
                f"{names}), and the coefficients grow without end: set model.penalty: ridge, or take out a column "
                "that already holds the outcome"
            )
        if not optimum.converged[k]:
            raise StudyStopped(
                f"split {split}: the fit did not converge in {optimum.rounds} rounds: set model.penalty: ridge or "
                "raise model.strength"
            )


def _collinear(hessian: np.ndarray, prepared: Prepared, k: int) -> list[str]:
    """The columns that carry the weakest direction of the second derivatives."""
    used = np.flatnonzero(prepared.used[k])
    curved = hessian[1:, 1:][np.ix_(used, used)]
    scale = np.sqrt(np.maximum(np.diag(curved), 1e-300))
    _, vectors = np.linalg.eigh(curved / np.outer(scale, scale))
    weakest = np.abs(vectors[:, 0])
    return [prepared.columns[j] for j in used[np.argsort(-weakest)][:6] if weakest[np.searchsorted(used, j)] > 0.1]
