"""Bounds of whatever a coordinator sends: how it is refused, how large a number may be, which numbers are columns."""

from typing import NoReturn

from common.errors import Code, HospitalError

LARGEST = 1e15
"""Beyond this, neighbouring float64 numbers are 0.125 apart: rounding would be a step function."""
LARGEST_VARIANCE = LARGEST**2
MAXIMUM_COEFFICIENT = 1e4
"""On standardised columns a coefficient beyond this is no model; it could only serve to single out a row."""


def refuse(rule: str) -> NoReturn:
    """Refuse what the coordinator sent; the rule goes into the hospital's log."""
    raise HospitalError(Code.BAD_PARAMETERS, rule)


def column_numbers(value: object, width: int, what: str) -> list[int]:
    """Whole, different numbers of columns below a width."""
    if not isinstance(value, list | tuple) or any(type(number) is not int for number in value):
        refuse(f"{what}: expected a list of whole column numbers")
    if len(set(value)) != len(value) or any(not 0 <= number < width for number in value):
        refuse(f"{what}: expected different column numbers from 0 to {width - 1}, each once")
    return list(value)
