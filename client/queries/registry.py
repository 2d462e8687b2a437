"""How a query is declared: its name, the bounds of its parameters, and what leaves the hospital, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Answer

MAXIMUM_COEFFICIENT = 1e4
"""On standardised columns a coefficient beyond this is no model; it could only serve to single out a row."""


class Parameters(BaseModel):
    """The bounded parameters of a query; anything that is not listed is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def bounded_array(ndim: int, low: float, high: float) -> Any:
    """A type for an array of finite numbers within bounds."""

    def check(value: object) -> np.ndarray:
        array = np.asarray(value, dtype=np.float64)
        if array.ndim != ndim:
            raise ValueError(f"expected {ndim} dimensions, found {array.ndim}")
        if not np.isfinite(array).all():
            raise ValueError("found a number that is not finite")
        if array.size and (array.min() < low or array.max() > high):
            raise ValueError(f"found {array.min():g} … {array.max():g}, allowed are {low:g} … {high:g}")
        return array

    return Annotated[np.ndarray, BeforeValidator(check)]


@dataclass(frozen=True)
class QueryKind:
    """One entry of the complete list of what may leave."""

    name: str
    leaves: str
    parameters: type[Parameters]
    answer: Callable[[Rows, Any], Answer]


QUERIES: dict[str, QueryKind] = {}


def query(
    name: str, parameters: type[Parameters], leaves: str
) -> Callable[[Callable[[Rows, Any], Answer]], Callable[[Rows, Any], Answer]]:
    """Declare a query; `leaves` says in plain words what its answer holds."""

    def declare(answer: Callable[[Rows, Any], Answer]) -> Callable[[Rows, Any], Answer]:
        if name in QUERIES:
            raise ValueError(f"there are two queries called {name!r}")
        QUERIES[name] = QueryKind(name=name, leaves=leaves, parameters=parameters, answer=answer)
        return answer

    return declare


def answer(rows: Rows) -> Answer:
    """Work a query out on the rows that it was asked about."""
    asked = rows.query
    kind = QUERIES.get(asked.name)
    if kind is None:
        raise HospitalError(Code.UNKNOWN_QUERY, f"there is no query {asked.name!r} in this version")
    try:
        parameters = kind.parameters.model_validate({**asked.parameters, **asked.arrays})
    except ValidationError as error:
        raise HospitalError(Code.BAD_PARAMETERS, f"query {asked.name!r}: {error}") from None
    return kind.answer(rows, parameters)
