"""Numbers as a reader wants them: few digits, true minus signs, small counts suppressed, nulls in words."""

from collections.abc import Mapping
from math import exp, floor, log10
from typing import Any

from common.query import SMALLEST_CELL

NOT_ESTIMABLE = "not estimable"
SUPPRESSED = f"<{SMALLEST_CELL}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LARGEST_EXPONENT = 700.0  # exp() overflows beyond 709


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals."""
    if value is None:
        return NOT_ESTIMABLE
    text = f"{value:.{digits}f}"
    return _true_minus(text.removeprefix("-") if float(text) == 0 else text)


def interval(estimate: Mapping[str, float | None], digits: int = 3) -> str:
    """An estimate with its limits: 0.812 (0.752 to 0.871)."""
    if estimate["value"] is None:
        return NOT_ESTIMABLE
    return f"{fixed(estimate['value'], digits)} ({limits(estimate['low'], estimate['high'], digits)})"


def limits(low: float | None, high: float | None, digits: int = 3) -> str:
    """Two limits; 'to' instead of a dash, which could be read as a minus."""
    return f"{fixed(low, digits)} to {fixed(high, digits)}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number with a number of significant digits, in powers of ten where it is very large or small."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    magnitude = floor(log10(abs(float(f"{value:.{digits - 1}e}"))))
    if not -4 <= magnitude <= 6:
        return _power_of_ten(value, digits)
    return _true_minus(f"{round(value, digits - 1 - magnitude):.{max(0, digits - 1 - magnitude)}f}")


def odds_ratio(coefficient: float) -> str:
    """exp(coefficient); what lies beyond the range of numbers is said so."""
    if abs(coefficient) > _LARGEST_EXPONENT:
        return "beyond 10³⁰⁰" if coefficient > 0 else "below 10⁻³⁰⁰"
    return significant(exp(coefficient))


def small(count: int) -> str:
    """A count of patients; from 1 to 4 it is suppressed."""
    return SUPPRESSED if 0 < count < SMALLEST_CELL else whole(count)


def whole(count: int) -> str:
    """A count with its thousands apart (narrow no-break space)."""
    return f"{count:,}".replace(",", "\u202f") if abs(count) >= 10_000 else str(count)


def share(part: int, of: int) -> str:
    """A percentage without decimals."""
    return f"{100 * part / of:.0f} %" if of else "–"


def size(number_of_bytes: int) -> str:
    """Bytes in words."""
    for unit, step in (("MB", 1e6), ("kB", 1e3)):
        if number_of_bytes >= step:
            return f"{number_of_bytes / step:.1f} {unit}"
    return f"{number_of_bytes} B"


def shape(lengths: list[int]) -> str:
    """The shape of an array: 10 × 25."""
    return " × ".join(map(str, lengths)) if lengths else "one number"


def estimate_or_words(figures: Mapping[str, Any], otherwise: str, digits: int = 3) -> str:
    """An estimate, or the reason why there is none."""
    return interval(figures, digits) if figures["value"] is not None else otherwise


def _power_of_ten(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{_true_minus(mantissa)}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def _true_minus(text: str) -> str:
    return text.replace("-", "−")
