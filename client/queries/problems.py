"""Fits of many problems in one message: a problem is a split, the columns that take part, and their coefficients.

Every family of models (logistic, multinomial, ordinal, cox) answers the same way; what differs is what one problem
adds to the sums.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import StrictInt, ValidationInfo, field_validator, model_validator

from client.queries.registry import Asked, ColumnNumbers, Parameters, bounded_array
from client.rows import Rows
from client.view_bounds import MAXIMUM_COEFFICIENT
from common.errors import Code, HospitalError
from common.query import Answer, Arrays

MOST_PROBLEMS = 20_000


class Coefficients(Parameters):
    """Which problems are asked, and at which coefficients.

    Parameters
    ----------
    of
        The number of each problem's split among the query's; several problems may share one.
    columns
        The columns of the view that take part in each problem, ascending.
    beta
        Problems × the longest coefficients: intercepts or thresholds first, then slopes; 0 beyond a problem's own.
    """

    of: tuple[StrictInt, ...]
    columns: tuple[ColumnNumbers, ...]
    beta: bounded_array(2, -MAXIMUM_COEFFICIENT, MAXIMUM_COEFFICIENT)  # type: ignore[valid-type]

    @field_validator("of")
    @classmethod
    def _splits_of_the_query(cls, of: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if not 0 < len(of) <= MOST_PROBLEMS:
            raise ValueError(f"found {len(of)} problems, allowed are 1 … {MOST_PROBLEMS}")
        splits = info.context.splits if isinstance(info.context, Asked) else len(of)
        if set(of) != set(range(splits)):
            raise ValueError(f"expected every one of the {splits} splits to have a problem, and no other")
        return of

    @field_validator("columns")
    @classmethod
    def _ascending(cls, columns: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if any(list(numbers) != sorted(numbers) for numbers in set(columns)):
            raise ValueError("the columns of a problem ascend")
        return columns

    @model_validator(mode="after")
    def _as_many_of_each(self) -> "Coefficients":
        if not len(self.of) == len(self.columns) == len(self.beta):
            raise ValueError(
                f"found {len(self.of)} splits, {len(self.columns)} sets of columns and {len(self.beta)} coefficients"
            )
        return self


class Problems(Coefficients):
    """Problems to be fitted; `curved` numbers those whose second derivatives are asked too."""

    curved: tuple[StrictInt, ...] = ()

    @model_validator(mode="after")
    def _curved_among_them(self) -> "Problems":
        if any(b <= a for a, b in zip((-1, *self.curved), self.curved, strict=False)):
            raise ValueError("curved: numbers of problems, ascending from 0")
        if self.curved and self.curved[-1] >= len(self.of):
            raise ValueError(f"curved: there are {len(self.of)} problems")
        return self


@dataclass(frozen=True)
class One:
    """One problem at this hospital: the columns that take part, the outcome, the coefficients of this problem.

    Parameters
    ----------
    weight
        For how many patients each one stands; None: for itself.
    """

    matrix: np.ndarray
    outcome: np.ndarray
    beta: np.ndarray
    curved: bool
    weight: np.ndarray | None = None


Contribution = tuple[float, np.ndarray, np.ndarray]
"""Log-likelihood, gradient and negative second derivatives (empty where they are not asked)."""


def each(rows: Rows, asked: Coefficients, length: Callable[[int], int]) -> Iterator[tuple[int, One]]:
    """The number and content of every problem, split by split, so that a split's matrix is worked out once.

    Parameters
    ----------
    length
        How many coefficients a problem of so many columns has.
    """
    curved = set(asked.curved) if isinstance(asked, Problems) else set()
    for split, (matrix, outcome, weight) in enumerate(rows.weighted_tables()):
        chosen: dict[tuple[int, ...], np.ndarray] = {}
        for k in (k for k, of in enumerate(asked.of) if of == split):
            columns = asked.columns[k]
            if columns not in chosen:
                chosen[columns] = np.ascontiguousarray(matrix[:, list(columns)])
            own = length(len(columns))
            if asked.beta.shape[1] < own or asked.beta[k, own:].any():
                raise HospitalError(
                    Code.BAD_PARAMETERS,
                    f"query {rows.query.name!r}: problem {k} has {own} coefficients; beta has "
                    f"{asked.beta.shape[1]}, and 0 is expected beyond a problem's own",
                )
            yield k, One(chosen[columns], outcome, asked.beta[k, :own], k in curved, weight)


def sums_of(
    rows: Rows, asked: Problems, length: Callable[[int], int], contribution: Callable[[Rows, One], Contribution]
) -> Answer:
    """What all problems add: likelihood (problems), gradient and upper triangles of curved ones, one after another."""
    if rows.query.rows != "training":
        raise HospitalError(Code.BAD_PARAMETERS, f"query {rows.query.name!r}: a model is fitted on training rows")
    likelihood = np.zeros(len(asked.of))
    gradient: list[np.ndarray] = [np.zeros(0)] * len(asked.of)
    triangle: dict[int, np.ndarray] = {}
    for k, one in each(rows, asked, length):
        likelihood[k], gradient[k], curvature = contribution(rows, one)
        if one.curved:
            triangle[k] = curvature[np.triu_indices(len(one.beta))]
    sums: Arrays = {"likelihood": likelihood, "gradient": np.concatenate(gradient)}
    if asked.curved:
        sums["hessian"] = np.concatenate([triangle[k] for k in asked.curved])
    return Answer(sums=sums)
