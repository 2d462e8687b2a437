"""The units that laboratories write, and what to multiply by to get from one to another: a small closed table."""

import re
from dataclasses import dataclass

from common.texts import normal_text

# unit → (dimension, size in the dimension's first unit)
_UNITS: dict[str, tuple[str, float]] = {
    "ng/ml": ("mass in volume", 1.0),
    "ug/l": ("mass in volume", 1.0),
    "pg/ml": ("mass in volume", 1e-3),
    "ng/l": ("mass in volume", 1e-3),
    "ug/dl": ("mass in volume", 10.0),
    "ug/ml": ("mass in volume", 1e3),
    "mg/l": ("mass in volume", 1e3),
    "mg/dl": ("mass in volume", 1e4),
    "g/l": ("mass in volume", 1e6),
    "mg/ml": ("mass in volume", 1e6),
    "g/dl": ("mass in volume", 1e7),
    "umol/l": ("amount in volume", 1.0),
    "mmol/l": ("amount in volume", 1e3),
    "iu/l": ("activity in volume", 1.0),
    "iu/ml": ("activity in volume", 1e3),
    "mm": ("length", 1.0),
    "cm": ("length", 10.0),
    "d": ("time", 1.0),
    "months": ("time", 30.4375),
    "years": ("time", 365.25),
    "10^9/l": ("cells in volume", 1.0),
    "/ul": ("cells in volume", 1e-3),
    "10^4/ul": ("cells in volume", 10.0),
    "10^12/l": ("cells in volume", 1e3),
    "%": ("share", 1.0),
    "fraction": ("share", 100.0),
}

_ALIASES = {
    "day": "d",
    "days": "d",
    "month": "months",
    "mo": "months",
    "year": "years",
    "y": "years",
    "yr": "years",
    "a": "years",
    "u/l": "iu/l",
    "u/ml": "iu/ml",
    "10^3/ul": "10^9/l",
    "k/ul": "10^9/l",
    "10^6/ml": "10^9/l",
    "/mm^3": "/ul",
    "cells/ul": "/ul",
    "10^3/mm^3": "10^9/l",
    "10^6/ul": "10^12/l",
}

# What the column's name holds, a mass unit, the other unit, and how many of the other make one of the first.
# Molar masses in g/mol: bilirubin 584.66, creatinine 113.12, glucose 180.16; AFP by the first WHO standard 72/225.
_ANALYTES: tuple[tuple[tuple[str, ...], str, str, float], ...] = (
    (("bil", "胆红素"), "mg/dl", "umol/l", 17.104),
    (("crea", "肌酐"), "mg/dl", "umol/l", 88.42),
    (("gluc", "血糖"), "mmol/l", "mg/dl", 18.016),
    (("afp", "fetoprotein", "甲胎蛋白"), "iu/ml", "ng/ml", 1.21),
)


@dataclass(frozen=True)
class OtherUnit:
    """A unit that numbers may be counted in by mistake, and what to multiply them by; empty: an unknown unit."""

    unit: str
    factor: float


POWERS_OF_TEN = [OtherUnit("", 10.0**power) for power in (1, -1, 2, -2, 3, -3, 4, -4, 6, -6)]


def conversion(column: str, given: str, wanted: str) -> float | None:
    """What to multiply a value in the unit `given` by to get `wanted`; None where the table does not know."""
    source, target = _canonical(given), _canonical(wanted)
    if source == target:
        return 1.0
    if source not in _UNITS or target not in _UNITS:
        return None
    direct = _within_dimension(source, target)
    if direct is not None:
        return direct
    for names, first, second, ratio in _ANALYTES:
        if not any(name in column.casefold() for name in names):
            continue
        for inner, outer, step in ((first, second, ratio), (second, first, 1 / ratio)):
            before, after = _within_dimension(source, inner), _within_dimension(outer, target)
            if before is not None and after is not None:
                return before * step * after
    return None


def other_units(column: str, wanted: str | None) -> list[OtherUnit]:
    """The units that a hospital may have counted in instead of `wanted`, the least far off first."""
    if wanted is None:
        return []
    factors = {_spelt(unit): conversion(column, unit, wanted) for unit in _UNITS}
    found = [OtherUnit(unit, factor) for unit, factor in factors.items() if factor not in (None, 1.0) and factor]
    return sorted(found, key=lambda other: max(other.factor, 1 / other.factor))


def _canonical(unit: str) -> str:
    text = normal_text(unit).replace(" ", "")
    if text == "G/L":  # giga in a litre; g/L is a gram
        return "10^9/l"
    text = text.casefold().replace("μ", "u").replace("mcg", "ug").replace("×", "").removeprefix("x")
    text = re.sub(r"\b10(?:\*\*|\*|e|ˆ)(?=\d)", "10^", text)
    return _ALIASES.get(text, text)


def _spelt(unit: str) -> str:
    """A unit of the table as laboratories write it: g/dL, IU/mL."""
    return re.sub(r"(?<=/)([dmu]?)l$", r"\1L", unit).replace("iu/", "IU/")


def _within_dimension(source: str, target: str) -> float | None:
    (dimension, size), (wanted, wanted_size) = _UNITS[source], _UNITS[target]
    return size / wanted_size if dimension == wanted else None
