"""Arrays whose bound everybody knows before they are summed take eight bytes a value; all others take digits.

A query names the bounds in its parameter `bounds`: by array an exponent of two, from what is public (a norm to which
updates are clipped, the hospitals' numbers of patients). The hospital holds them against the study before it answers.
A value beyond its bound is refused at the hospital. Nothing of a hospital's own magnitude is said: what it names is the
bound. With n hospitals the total's error is at most n/2 · 2^(bound + ⌈log2 n⌉ − 62).
"""

from collections.abc import Mapping

import numpy as np

from common.query import Arrays, Query
from common.secure_sum.fixed_point import ArrayExponents, Exponents, Grouping
from common.secure_sum.wide import GROUPING, from_digits, scales_of, to_digits

BOUNDED = frozenset({"train_network"})
"""Queries with the parameter `bounds`."""


def bounds_of(query: Query) -> dict[str, int]:
    """The public exponents of a question's arrays, by name; none for most queries."""
    bounds = query.parameters.get("bounds") if query.name in BOUNDED else None
    return dict(bounds) if isinstance(bounds, Mapping) else {}


def to_summed(
    arrays: Mapping[str, np.ndarray], bounds: Mapping[str, int], secret: str, question: str
) -> tuple[Arrays, Exponents, dict[str, Grouping]]:
    """What is masked of an answer, on which scales: bounded arrays as they are, digits of the others."""
    digits = to_digits({name: array for name, array in arrays.items() if name not in bounds}, secret, question)
    bounded = {name: array for name, array in arrays.items() if name in bounds}
    groupings = dict.fromkeys(digits, GROUPING) | {name: Grouping(floor=bounds[name]) for name in bounded}
    summed = {**digits, **bounded}
    scales = {name: _scale(array, bounds[name]) for name, array in bounded.items()}
    return summed, Exponents({**scales_of(digits).arrays, **scales}), groupings


def from_summed(totals: Mapping[str, np.ndarray], bounds: Mapping[str, int]) -> Arrays:
    """The totals of the values."""
    digits = from_digits({name: total for name, total in totals.items() if name not in bounds})
    return {name: digits[name] if name in digits else totals[name] for name in totals}


def _scale(array: np.ndarray, exponent: int) -> ArrayExponents:
    return ArrayExponents(array.shape, np.full((1,) * array.ndim, exponent, dtype=np.int64))
