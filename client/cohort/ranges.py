"""Values that cannot be: single ones leave the patient out, many mean another unit."""

import numpy as np

from client.cohort.columns_file import HospitalColumn
from client.cohort.faults import Faults, counted
from common.errors import Code
from common.units import POWERS_OF_TEN, OtherUnit, conversion, other_units
from common.variables import NUMERIC, Variable

# Above both, it is not the patients who are odd but the column.
MANY_SHARE = 0.25
MANY_VALUES = 5


def outside(variable: Variable, values: np.ndarray) -> np.ndarray:
    """Whether each known value is implausible, or has no logarithm or root where the study takes one."""
    if variable.type not in NUMERIC:
        return np.zeros(len(values), dtype=bool)
    out = np.isinf(values)
    if variable.range is not None:
        low, high = variable.range
        out |= (values < low) | (values > high)
    if variable.transform in ("log10", "log"):
        out |= values <= 0
    if variable.transform == "sqrt":
        out |= values < 0
    return out


def describe(variable: Variable) -> str:
    """The values that `outside` lets pass, in words."""
    unit = f" {variable.unit}" if variable.unit else ""
    parts = []
    if variable.range is not None:
        low, high = variable.range
        parts.append(f"at least {low:g}{unit}" if np.isinf(high) else f"{low:g} to {high:g}{unit}")
    if variable.transform in ("log10", "log"):
        parts.append("above 0, for its logarithm")
    if variable.transform == "sqrt":
        parts.append("not below 0, for its root")
    return ", ".join(parts)


def in_another_unit(column: str, variable: Variable, entry: HospitalColumn, value: float) -> str:
    """What one value that lies outside would be if this hospital had counted it in another unit; empty: nothing fits.

    Parameters
    ----------
    value
        In the variable's unit, as columns.yaml has it converted.
    """
    if variable.unit is None or conversion(column, variable.unit, "d") is not None:  # an age of 190 is no months
        return ""
    present = _present_factor(column, variable, entry)
    for other in [OtherUnit(variable.unit, 1.0), *other_units(column, variable.unit)]:
        meant = np.array([value / present * other.factor])
        if other.factor != present and not outside(variable, meant).any():
            already = " already" if other.unit == variable.unit else ""
            return f"if it is counted in {other.unit}{already}, it is {meant[0]:.4g} {variable.unit}"
    return ""


def check_for_another_unit(
    where: str,
    column: str,
    variable: Variable,
    entry: HospitalColumn,
    values: np.ndarray,
    faults: Faults,
    outside_what: str = "what the study allows",
) -> None:
    """Note a fault where many known values lie outside, with the unit that they are likely counted in."""
    known = values[~np.isnan(values)]
    out = outside(variable, known)
    if out.sum() < MANY_VALUES or out.mean() <= MANY_SHARE:
        return
    unit = f" {variable.unit}" if variable.unit else ""
    faults.add(
        Code.OUT_OF_RANGE,
        f"{where}: column {column}: {out.sum():,} of {counted(known.size, 'value')} lie outside "
        f"{outside_what} ({describe(variable)}); the median here is {np.median(known):.4g}{unit}; "
        f"{_cure(column, variable, entry, known)}",
    )


def _cure(column: str, variable: Variable, entry: HospitalColumn, known: np.ndarray) -> str:
    present = _present_factor(column, variable, entry)
    guesses = [OtherUnit(variable.unit or "", 1.0)] if present != 1.0 else []
    guesses += other_units(column, variable.unit) or POWERS_OF_TEN
    with np.errstate(over="ignore"):
        inside = [1 - float(outside(variable, known / present * guess.factor).mean()) for guess in guesses]
    best = max(range(len(guesses)), key=lambda i: inside[i])  # the least far off, if several fit alike
    if inside[best] <= 1 - MANY_SHARE:
        return (
            "check the column's unit and content, some rows may be counted in another unit; if all are right, ask for "
            "a wider range"
        )
    guess = guesses[best]
    likely = f"likely counted in {guess.unit}" if guess.unit else f"likely {_times(1 / guess.factor)}"
    told = f"unit: {entry.unit}" if entry.unit is not None else f"factor: {entry.factor:g}" if entry.factor else ""
    if guess.factor == 1.0:
        return f"{likely} already: take {told} of {column} out of columns.yaml"
    instead = f" instead of {told}" if told else ""
    factor = f"factor: {guess.factor:.6g}"
    return f"{likely}: add {factor} in columns.yaml{instead}:\n  {column}: {{{factor}}}"


def _present_factor(column: str, variable: Variable, entry: HospitalColumn) -> float:
    """What the hospital's numbers have been multiplied by."""
    if entry.factor is not None:
        return entry.factor
    if entry.unit is None or variable.unit is None:
        return 1.0
    return conversion(f"{column} {entry.name or ''}", entry.unit, variable.unit) or 1.0


def _times(ratio: float) -> str:
    if ratio == 1.0:
        return "in the study's unit"
    return f"{ratio:g} times too high" if ratio > 1 else f"{1 / ratio:g} times too low"
