"""How a query is declared: its name, the bounds of its parameters, and what leaves the hospital, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictInt,
    ValidationError,
    ValidationInfo,
)

from client.rows import Rows
from client.view_bounds import LARGEST
from common.errors import Code, HospitalError
from common.query import Answer

MOST_KNOTS = 32


@dataclass(frozen=True)
class Asked:
    """What parameters must fit: the query's number of splits, and the columns of its view."""

    splits: int
    columns: int | None


class Parameters(BaseModel):
    """The bounded parameters of a query; anything that is not listed is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def bounded_array(ndim: int, low: float, high: float, single: bool = False) -> Any:
    """A type for an array of finite numbers within bounds.

    Parameters
    ----------
    single
        32-bit floats stay such, for arrays that are large.
    """

    def check(value: object) -> np.ndarray:
        stays = single and isinstance(value, np.ndarray) and value.dtype == np.float32
        array = np.asarray(value, dtype=np.float32 if stays else np.float64)
        if array.ndim != ndim:
            raise ValueError(f"expected {ndim} dimensions, found {array.ndim}")
        least, most = (array.min(), array.max()) if array.size else (low, high)
        if not (np.isfinite(least) and np.isfinite(most)):  # one NaN makes both so
            raise ValueError("found a number that is not finite")
        if least < low or most > high:
            raise ValueError(f"found {least:g} … {most:g}, allowed are {low:g} … {high:g}")
        return array

    return Annotated[np.ndarray, BeforeValidator(check)]


def per_split(low: float, high: float, *axes: str | None) -> Any:
    """A type for a bounded array with one row a split and no empty axis.

    Parameters
    ----------
    axes
        What follows the splits: `columns` or `1 + columns` of the query's view, None where the query itself decides.
    """

    def fits(array: np.ndarray, info: ValidationInfo) -> np.ndarray:
        asked = info.context
        if not isinstance(asked, Asked):
            raise ValueError("an array a split can only be judged beside its query")
        width = asked.columns
        lengths = {"columns": width, "1 + columns": None if width is None else 1 + width}
        expected = [asked.splits, *(lengths[axis] if axis else None for axis in axes)]
        for found, length in zip(array.shape, expected, strict=True):
            if length is not None and found != length:
                raise ValueError(f"found the shape {array.shape}, expected {expected} (None: any)")
        if asked.splits and not array.size:
            raise ValueError(f"found the shape {array.shape}: an axis is empty")
        return array

    return Annotated[bounded_array(1 + len(axes), low, high), AfterValidator(fits)]


def _column_numbers(numbers: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
    if len(set(numbers)) != len(numbers):
        raise ValueError("a column is named twice")
    width = info.context.columns if isinstance(info.context, Asked) else None
    if numbers and (min(numbers) < 0 or (width is not None and max(numbers) >= width)):
        raise ValueError(f"found the columns {min(numbers)} … {max(numbers)}, the view has {width}")
    return numbers


ColumnNumbers = Annotated[tuple[StrictInt, ...], AfterValidator(_column_numbers)]
"""Numbers of columns of the query's view, each once."""


def _each_once(schemes: tuple[str, ...]) -> tuple[str, ...]:
    if not schemes or len(set(schemes)) != len(schemes):
        raise ValueError("expected one scheme or more, each once")
    return schemes


Schemes = Annotated[tuple[str, ...], AfterValidator(_each_once)]
"""Names of schemes; whether the study has them is asked of the study."""


def _rising(knots: tuple[float, ...]) -> tuple[float, ...]:
    if not 2 <= len(knots) <= MOST_KNOTS:
        raise ValueError(f"found {len(knots)} knots, allowed are 2 … {MOST_KNOTS}")
    if any(b <= a for a, b in pairwise(knots)):
        raise ValueError("the knots do not rise")
    return knots


Knots = Annotated[tuple[Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)], ...], AfterValidator(_rising)]
"""A few finite, rising numbers."""


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


def read(rows: Rows) -> tuple[QueryKind, Parameters]:
    """The query that is asked, and its parameters where they lie within their bounds."""
    asked = rows.query
    kind = QUERIES.get(asked.name)
    if kind is None:
        raise HospitalError(Code.UNKNOWN_QUERY, f"there is no query {asked.name!r} in this version")
    try:
        parameters = kind.parameters.model_validate(
            {**asked.parameters, **asked.arrays}, context=Asked(len(asked.splits), rows.width())
        )
    except ValidationError as error:
        raise HospitalError(Code.BAD_PARAMETERS, f"query {asked.name!r}: {error}") from None
    return kind, parameters
