"""What a family of models is to whoever fits it: its coefficients, and how the hospitals are asked."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from server.federation import Federation
from server.methods.messages import MOST_NUMBERS
from server.methods.newton import Sums


@dataclass(frozen=True)
class Problem:
    """One fit: the training rows of a split, and the view's columns that take part, ascending."""

    split: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Family:
    """A family of models.

    Parameters
    ----------
    query
        The name of its query.
    start
        Intercepts or thresholds to begin with; slopes begin at 0.
    blocks
        How many vectors of slopes there are: one, or one for every class but the reference.
    null
        Log-likelihood and gradient at the start without slopes → the intercepts that fit best without slopes.
    allowed
        Whether a hospital answers for these intercepts.
    ask
        How the sums of some problems are asked for.
    """

    query: str
    start: np.ndarray
    null: Callable[[float, np.ndarray], np.ndarray]
    blocks: int = 1
    allowed: Callable[[np.ndarray], bool] = lambda _: True
    ask: "Callable[[Family, Question], Sums] | None" = None

    @property
    def intercepts(self) -> int:
        """How many coefficients come before the slopes."""
        return len(self.start)

    def length(self, problem: Problem) -> int:
        """How many coefficients a problem has."""
        return self.intercepts + self.blocks * len(problem.columns)

    def penalised(self, problem: Problem) -> np.ndarray:
        """1 for a slope, 0 for an intercept."""
        return np.repeat([0.0, 1.0], [self.intercepts, self.length(problem) - self.intercepts])

    def sums(self, question: "Question") -> Sums:
        """One evaluation of some problems."""
        return (self.ask or ask)(self, question)


@dataclass(frozen=True)
class Question:
    """Problems at some coefficients; `curved` numbers those whose second derivatives are asked too."""

    federation: Federation
    view: str
    problems: Sequence[Problem]
    beta: Sequence[np.ndarray]
    curved: Collection[int]

    def named(self) -> tuple[list[str], dict[str, object], dict[str, np.ndarray]]:
        """Splits, parameters and arrays as a query takes them."""
        splits = list(dict.fromkeys(problem.split for problem in self.problems))
        number = {split: k for k, split in enumerate(splits)}
        parameters: dict[str, object] = {
            "of": [number[problem.split] for problem in self.problems],
            "columns": [list(problem.columns) for problem in self.problems],
        }
        beta = np.zeros((len(self.beta), max(len(b) for b in self.beta)))
        for row, own in zip(beta, self.beta, strict=True):
            row[: len(own)] = own
        return splits, parameters, {"beta": beta}


def ask(family: Family, question: Question) -> Sums:
    """Likelihoods, gradients and the second derivatives that are asked: one exchange, more where it is too large."""
    curved = set(question.curved)
    lengths = [len(beta) for beta in question.beta]
    sizes = [n + (k in curved) * n * (n + 1) // 2 for k, n in enumerate(lengths)]
    likelihood: list[np.ndarray] = []
    gradients: list[np.ndarray] = []
    hessians: list[np.ndarray] = []
    for chosen in _messages(sizes):
        part = Question(
            question.federation,
            question.view,
            [question.problems[k] for k in chosen],
            [question.beta[k] for k in chosen],
            [place for place, k in enumerate(chosen) if k in curved],
        )
        found = _ask_at_once(family, part)
        likelihood.append(found[0])
        gradients += found[1]
        hessians += found[2]
    return np.concatenate(likelihood), gradients, hessians


def _messages(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of the problems of each message."""
    chosen, total = list[int](), 0
    for k, size in enumerate(sizes):
        if chosen and total + size > MOST_NUMBERS:
            yield chosen
            chosen, total = [], 0
        chosen.append(k)
        total += size
    yield chosen


def _ask_at_once(family: Family, question: Question) -> Sums:
    splits, parameters, arrays = question.named()
    curved = list(question.curved)
    if curved:
        parameters["curved"] = curved
    sums = question.federation.ask(
        family.query, view=question.view, splits=splits, parameters=parameters, arrays=arrays
    ).sums
    lengths = [len(b) for b in question.beta]
    gradient = np.split(sums["gradient"], np.cumsum(lengths)[:-1])
    hessian: list[np.ndarray] = [np.zeros((0, 0))] * len(lengths)
    if curved:
        sizes = [lengths[k] * (lengths[k] + 1) // 2 for k in curved]
        for k, packed in zip(curved, np.split(sums["hessian"], np.cumsum(sizes)[:-1]), strict=True):
            hessian[k] = unpack_triangle(packed[None], lengths[k])[0]
    return sums["likelihood"], gradient, hessian


def unpack_triangle(packed: np.ndarray, width: int) -> np.ndarray:
    """Symmetric matrices from their upper triangles."""
    full = np.zeros((len(packed), width, width))
    rows, columns = np.triu_indices(width)
    full[:, rows, columns] = packed
    full[:, columns, rows] = packed
    return full
