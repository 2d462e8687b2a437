"""Fits under a whole grid of penalties, for every fold at once, with few second derivatives.

Every problem (split, columns) is fitted at each λ of its own grid. Newton's method would ask for second derivatives at
every λ in every round; here a problem is asked for them once without slopes and then at a few λ of its grid, and
between these they are interpolated in log λ. Each λ is corrected by what its own last step found (BFGS), so that a
gradient a round is enough; a step that does not raise its objective is halved. Rounds: 7–18 for all λ, folds and
columns together, 4–8 gradients a λ. What leaves: per problem and λ a log-likelihood and a gradient, at some λ the
triangle of second derivatives too, about 20 a problem in all, as masked totals. Exact: within 1e-6 of the pooled
optimum at every λ (tests/server/test_path.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.study import Study
from server.federation import Federation
from server.methods.family import Family, Problem, Question
from server.methods.messages import MOST_NUMBERS
from server.methods.newton import LONGEST_STEP, ROUNDING, shortened
from server.methods.problems import family_of, penalties, spread_out
from server.methods.sparse import corner_step

CLOSE_ENOUGH = 1e-6
"""The last step is taken without asking again: what is left is less than it."""
MOST_ROUNDS = 40
ANCHORS = 6
ANCHORED_ROUNDS = (0, 1, 3)
"""Second derivatives are asked at the first guess, and again nearer the optimum."""
LEAST_SHARE = 1e-3
"""Ridge has no λ that empties the model; its largest is that of an elastic net of this share."""
_REMEMBERED = 8


@dataclass(frozen=True)
class Null:
    """Every problem without slopes: the best intercepts, and what is found there.

    Parameters
    ----------
    largest
        The λ from which on the study's penalty leaves no slope: max_j |∂ℓ/∂β_j| / share.
    """

    family: Family
    beta: list[np.ndarray]
    likelihood: np.ndarray
    gradient: list[np.ndarray]
    hessian: list[np.ndarray]
    largest: np.ndarray

    def some(self, chosen: slice) -> "Null":
        """A part of the problems."""
        return Null(
            self.family,
            self.beta[chosen],
            self.likelihood[chosen],
            self.gradient[chosen],
            self.hessian[chosen],
            self.largest[chosen],
        )


@dataclass(frozen=True)
class Path:
    """Coefficients of every problem at every λ of its grid.

    Parameters
    ----------
    beta
        Problems × λ × (intercepts + blocks × width of the view).
    short
        Problems × λ × the longest coefficients: the same as a query takes them, 0 beyond a problem's own.
    converged
        Problems × λ.
    """

    strengths: np.ndarray
    beta: np.ndarray
    short: np.ndarray
    rounds: int
    converged: np.ndarray


def without_slopes(federation: Federation, study: Study, view: str, problems: Sequence[Problem]) -> Null:
    """Two exchanges (a Cox model: one): the best intercepts, then gradients and second derivatives there."""
    family = family_of(federation, study, view, problems)
    heads = {problem.split: family.start for problem in problems}
    if family.intercepts:
        bare = [Problem(split, ()) for split in heads]
        value, gradient, _ = family.sums(Question(federation, view, bare, [family.start] * len(bare), ()))
        heads = {p.split: family.null(float(v), g) for p, v, g in zip(bare, value, gradient, strict=True)}
    beta = [np.concatenate([heads[p.split], np.zeros(family.length(p) - family.intercepts)]) for p in problems]
    value, gradient, hessian = family.sums(Question(federation, view, problems, beta, range(len(problems))))
    share = max(LEAST_SHARE, float(penalties(study, 1.0)[0]))
    largest = [float(np.abs(g[family.intercepts :]).max(initial=0.0)) / share for g in gradient]
    return Null(family, beta, value, list(gradient), list(hessian), np.array(largest))


def grid(largest: np.ndarray, number: int, smallest_share: float) -> np.ndarray:
    """Problems × λ, falling evenly in log λ from the largest to a share of it."""
    falling = np.geomspace(1.0, smallest_share, number)
    found: np.ndarray = np.maximum(largest, 1e-12)[:, None] * falling
    return found


@dataclass
class _Point:
    """One λ of one problem on its way."""

    problem: int
    number: int
    l1: np.ndarray
    l2: np.ndarray
    beta: np.ndarray
    gradient: np.ndarray
    objective: float
    proposed: np.ndarray
    close_enough: float
    done: bool = False
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def take(self, value: float, gradient: np.ndarray) -> bool:
        """What was found at the proposed coefficients; whether it is an improvement."""
        reached = self.worth(value, self.proposed)
        if reached < self.objective - ROUNDING * max(1.0, abs(self.objective)):
            self._remember(gradient)  # it still tells how curved the way is
            self.proposed = (self.beta + self.proposed) / 2
            return False
        self._remember(gradient)
        self.beta, self.gradient, self.objective = self.proposed, gradient, reached
        return True

    def worth(self, value: float, beta: np.ndarray) -> float:
        return value - float(self.l1 @ np.abs(beta)) - 0.5 * float(self.l2 @ beta**2)

    def _remember(self, gradient: np.ndarray) -> None:
        moved, fallen = self.proposed - self.beta, self.gradient - gradient
        if moved @ fallen > 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(fallen)):
            self.pairs = [*self.pairs, (moved, fallen)][-_REMEMBERED:]

    def propose(self, hessian: np.ndarray, allowed: Callable[[np.ndarray], bool]) -> None:
        """The maximum of the model at these coefficients; near enough, it is the last word."""
        for moved, fallen in self.pairs:
            pushed = hessian @ moved
            hessian = (
                hessian
                + np.outer(fallen, fallen) / float(moved @ fallen)
                - np.outer(pushed, pushed) / float(moved @ pushed)
            )
        step = corner_step(hessian, self.gradient, self.beta, self.l1, self.l2)
        longest = float(np.abs(step).max(initial=0.0))
        self.done = longest <= self.close_enough
        step *= min(1.0, LONGEST_STEP / max(longest, LONGEST_STEP))
        self.proposed = shortened(self.beta, step, allowed)[1]
        if self.done:
            self.beta = self.proposed


def path(
    federation: Federation,
    study: Study,
    view: str,
    problems: Sequence[Problem],
    strengths: np.ndarray,
    width: int,
    null: Null | None = None,
    close_enough: float = CLOSE_ENOUGH,
    most_rounds: int = MOST_ROUNDS,
) -> Path:
    """Fit every problem at every λ of its grid.

    Parameters
    ----------
    strengths
        Problems × λ, falling.
    width
        How many columns the view has.
    null
        The same problems without slopes, where they were asked already.
    close_enough
        How long the last step of a coefficient may be.
    most_rounds
        After how many exchanges a λ that is not there yet is taken as it is.
    """
    start = null or without_slopes(federation, study, view, problems)
    family, number = start.family, strengths.shape[1]
    points = [
        _point(family, study, problem, k, j, start, strengths, close_enough)
        for k, problem in enumerate(problems)
        for j in range(number)
    ]
    anchors: list[dict[int, np.ndarray]] = [{-1: hessian} for hessian in start.hessian]
    wanted = _anchored([family.length(problem) for problem in problems], number)
    for point in points:
        point.propose(start.hessian[point.problem], family.allowed)
    rounds = 0
    while rounds < most_rounds and (asked := [p for p in points if not p.done]):
        curved = [i for i, p in enumerate(asked) if p.number in wanted] if rounds in ANCHORED_ROUNDS else []
        of, at = [problems[p.problem] for p in asked], [p.proposed for p in asked]
        values, gradients, hessians = family.sums(Question(federation, view, of, at, curved))
        rounds += 1
        improved = [p.take(float(value), g) for p, value, g in zip(asked, values, gradients, strict=True)]
        for i in curved:
            anchors[asked[i].problem][asked[i].number] = hessians[i]
        for point, better in zip(asked, improved, strict=True):
            if not better:
                point.done = float(np.abs(point.proposed - point.beta).max()) <= close_enough
                continue
            if curved:
                point.pairs = []
            point.propose(_between(anchors[point.problem], point.number), family.allowed)
    longest = max(family.length(problem) for problem in problems)
    short = np.zeros((len(problems), number, longest))
    beta = np.zeros((len(problems), number, family.intercepts + family.blocks * width))
    for point in points:
        short[point.problem, point.number, : len(point.beta)] = point.beta
        beta[point.problem, point.number] = spread_out(family, problems[point.problem], point.beta, width)
    converged = np.array([point.done for point in points]).reshape(len(problems), number)
    return Path(strengths, beta, short, rounds, converged)


def _point(
    family: Family,
    study: Study,
    problem: Problem,
    k: int,
    j: int,
    start: Null,
    strengths: np.ndarray,
    close_enough: float,
) -> _Point:
    l1, l2 = penalties(study, strengths[k, j])
    slopes = family.penalised(problem)
    return _Point(
        problem=k,
        number=j,
        l1=float(l1) * slopes,
        l2=float(l2) * slopes,
        beta=start.beta[k],
        gradient=start.gradient[k],
        objective=float(start.likelihood[k]),
        proposed=start.beta[k],
        close_enough=close_enough,
    )


def _anchored(lengths: Sequence[int], number: int) -> set[int]:
    """The numbers of the λ at which second derivatives are asked, evenly along the grid and at its end."""
    each = sum(length * (length + 1) // 2 for length in lengths)
    anchors = min(number - 1, ANCHORS, max(1, MOST_NUMBERS // max(each, 1)))
    return set(np.linspace(0, number - 1, anchors + 1).round().astype(int).tolist()[1:])


def _between(anchors: dict[int, np.ndarray], number: int) -> np.ndarray:
    """Second derivatives at a λ, from those of the λ on both sides of it."""
    below = max(n for n in anchors if n <= number)
    above = min((n for n in anchors if n >= number), default=below)
    if above == below:
        return anchors[below]
    share = (number - below) / (above - below)
    return (1 - share) * anchors[below] + share * anchors[above]
