"""Fits of many problems at once: every fold, set of columns and penalty in the same exchanges.

A problem is a split and the columns that take part. Maximises the family's log-likelihood less a penalty
λ·share‖β‖₁ + ½λ(1 − share)‖β‖² on standardised columns, intercepts free; share is 1 for the LASSO and 0 for ridge.
Newton's method, with corners where share > 0; rounds 5–12 for all problems together. What leaves: what the family
says (server/methods/logistic.py and its neighbours), per problem. Exact: equal to the pooled fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.study import Study
from server.federation import Federation
from server.methods.cox import COX
from server.methods.cox_shared import shared_baseline
from server.methods.family import Family, Problem, Question
from server.methods.logistic import LOGISTIC
from server.methods.multinomial import multinomial
from server.methods.newton import Sums, climb
from server.methods.ordinal import ordinal


@dataclass(frozen=True)
class Fits:
    """The optimum of every problem.

    Parameters
    ----------
    beta
        Problems × (intercepts + blocks × width of the view), 0 for columns that take no part.
    gradient, hessian
        Of every problem, over its own coefficients, at the optimum and without the penalty.
    rank_lost
        How many of a problem's columns are combinations of others.
    """

    problems: tuple[Problem, ...]
    family: Family
    beta: np.ndarray
    likelihood: np.ndarray
    gradient: list[np.ndarray]
    hessian: list[np.ndarray]
    rounds: int
    converged: np.ndarray
    separated: np.ndarray
    rank_lost: np.ndarray


def family_of(federation: Federation, study: Study, view: str, problems: Sequence[Problem]) -> Family:
    """The family that a study names; a shared baseline first settles its grid of times."""
    if study.model.kind == "multinomial":
        return multinomial(study.lines() + 1)
    if study.model.kind == "ordinal":
        return ordinal(study.lines() + 1)
    if study.model.kind == "cox":
        if study.model.baseline == "shared":
            return shared_baseline(federation, view, [problem.split for problem in problems])
        return COX
    return LOGISTIC


def penalties(study: Study, strength: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ·share and λ·(1 − share) by the study's penalty."""
    share = {"none": 0.0, "ridge": 0.0, "lasso": 1.0, "elastic-net": study.model.lasso_share}[study.model.penalty]
    used = np.asarray(strength, dtype=np.float64) * (study.model.penalty != "none")
    return used * share, used * (1.0 - share)


def fit_problems(
    federation: Federation,
    study: Study,
    view: str,
    problems: Sequence[Problem],
    l1: np.ndarray,
    l2: np.ndarray,
    width: int,
    family: Family | None = None,
) -> Fits:
    """Fit every problem under its own penalties.

    Parameters
    ----------
    l1, l2
        λ·share and λ·(1 − share), one of each a problem.
    width
        How many columns the view has.
    """
    family = family or family_of(federation, study, view, problems)
    free = [family.penalised(problem) for problem in problems]

    def evaluate(beta: list[np.ndarray], asked: list[int]) -> Sums:
        chosen = [problems[k] for k in asked]
        return family.sums(Question(federation, view, chosen, beta, range(len(asked))))

    optimum = climb(
        evaluate,
        [np.concatenate([family.start, np.zeros(family.length(p) - family.intercepts)]) for p in problems],
        [float(strength) * slopes for strength, slopes in zip(l1, free, strict=True)],
        [float(strength) * slopes for strength, slopes in zip(l2, free, strict=True)],
        family.allowed,
    )
    return Fits(
        problems=tuple(problems),
        family=family,
        beta=np.array([spread_out(family, p, b, width) for p, b in zip(problems, optimum.beta, strict=True)]),
        likelihood=optimum.likelihood,
        gradient=optimum.gradient,
        hessian=optimum.hessian,
        rounds=optimum.rounds,
        converged=optimum.converged,
        separated=optimum.separated,
        rank_lost=optimum.rank_lost,
    )


def spread_out(family: Family, problem: Problem, beta: np.ndarray, width: int) -> np.ndarray:
    """A problem's coefficients over all columns of the view."""
    slopes = np.zeros((family.blocks, width))
    slopes[:, list(problem.columns)] = beta[family.intercepts :].reshape(family.blocks, -1)
    return np.concatenate([beta[: family.intercepts], slopes.ravel()])
