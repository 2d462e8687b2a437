"""The study's model, fitted for every problem and put into words where it cannot be.

What is fitted, what leaves and how exact it is stands with each family: server/methods/logistic.py, multinomial.py,
ordinal.py, cox.py, cox_shared.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import StudyStopped
from common.study import Study
from server.federation import Federation
from server.methods.pipeline import Prepared
from server.methods.problems import Fits, Problem, family_of, fit_problems, penalties


@dataclass(frozen=True)
class Fitted:
    """A fitted model for every problem.

    Parameters
    ----------
    lines
        Problems × lines × (1 + columns), on standardised columns: linear predictors with their intercepts. One line;
        for multinomial regression one for every class but the reference, for the proportional-odds model one for
        every level but the lowest: log odds of this level or a higher one. A Cox model's intercept is 0.
    own_units
        The same on the columns in their own units.
    """

    lines: np.ndarray
    own_units: np.ndarray
    optimum: Fits

    @property
    def standardised(self) -> np.ndarray:
        """The first line of every problem."""
        return self.lines[:, 0]

    @property
    def original(self) -> np.ndarray:
        """The first line of every problem, in own units."""
        return self.own_units[:, 0]


def fit(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    problems: Sequence[Problem],
    strength: np.ndarray | None = None,
) -> Fitted:
    """Fit problems by the study's family and penalty.

    Parameters
    ----------
    strength
        λ of every problem; left out: the study's.
    """
    width = len(prepared.columns)
    chosen = np.full(len(problems), float(study.model.strength)) if strength is None else strength
    l1, l2 = penalties(study, chosen)
    family = family_of(federation, study, prepared.view, problems)
    fits = fit_problems(federation, study, prepared.view, problems, l1, l2, width, family)
    explain_failure(fits, prepared.columns)
    lines = _lines(study, fits, width)
    at = [federation.splits.index(problem.split) for problem in problems]
    return Fitted(
        lines=lines,
        own_units=_in_own_units(lines, prepared, at),
        optimum=fits,
    )


def _lines(study: Study, fits: Fits, width: int) -> np.ndarray:
    heads, slopes = np.split(fits.beta, [fits.family.intercepts], axis=1)
    slopes = slopes.reshape(len(fits.beta), fits.family.blocks, width)
    if study.model.kind == "ordinal":
        heads, slopes = -heads, np.repeat(slopes, study.lines(), axis=1)
    if study.model.kind == "cox":
        heads = np.zeros((len(fits.beta), 1))
    return np.concatenate([heads[:, :, None], slopes], axis=2)


def _in_own_units(lines: np.ndarray, prepared: Prepared, at: list[int]) -> np.ndarray:
    """β_j / spread_j, and the intercept that belongs to it."""
    used = prepared.used[at][:, None, :]
    spread = np.where(used, prepared.spread[at][:, None, :], 1.0)
    slopes = np.where(used, lines[:, :, 1:] / spread, 0.0)
    intercept = lines[:, :, 0] - (slopes * prepared.centre[at][:, None, :]).sum(axis=2)
    return np.concatenate([intercept[:, :, None], slopes], axis=2)


def explain_failure(fits: Fits, columns: Sequence[str]) -> None:
    """Stop in words when there is no optimum, or none that can be trusted."""
    for k, problem in enumerate(fits.problems):
        split = problem.split
        if fits.rank_lost[k]:
            involved = ", ".join(_collinear(fits, columns, k))
            raise StudyStopped(
                f"split {split}: {fits.rank_lost[k]} columns are combinations of others ({involved}), so "
                "their coefficients are not determined: take some out of predictors, or set model.penalty: ridge"
            )
        if fits.separated[k]:
            slopes = np.abs(fits.beta[k, fits.family.intercepts :].reshape(fits.family.blocks, -1)).max(axis=0)
            names = ", ".join(columns[j] for j in np.argsort(-slopes)[:3])
            raise StudyStopped(
                f"split {split}: perfect separation: the columns predict the outcome without error (foremost "
                f"{names}), and the coefficients grow without end: set model.penalty: ridge, or take out a column "
                "that already holds the outcome"
            )
        if not fits.converged[k]:
            raise StudyStopped(
                f"split {split}: the fit did not converge in {fits.rounds} rounds: set model.penalty: ridge or "
                "raise model.strength"
            )


def _collinear(fits: Fits, columns: Sequence[str], k: int) -> list[str]:
    """The columns that carry the weakest direction of the second derivatives."""
    own, slopes = fits.problems[k].columns, slice(fits.family.intercepts, None)
    curved = fits.hessian[k][slopes, slopes]
    scale = np.sqrt(np.maximum(np.diag(curved), 1e-300))
    _, vectors = np.linalg.eigh(curved / np.outer(scale, scale))
    weakest = np.abs(vectors[:, 0]).reshape(fits.family.blocks, -1).max(axis=0)
    return [columns[own[j]] for j in np.argsort(-weakest)[:6] if weakest[j] > 0.1]
