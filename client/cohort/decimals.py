"""Numbers written as text: decimal points, decimal commas, and what could be either."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WITH_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_WITH_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
# 1,210 and 1.210 may mean 1210 (thousands) or 1.21 (decimals).
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_WHOLE = re.compile(r"([+-]?\d+)[.,]0+")


@dataclass(frozen=True)
class DecimalMarks:
    """How a file writes its decimals.

    Parameters
    ----------
    comma
        Whether 1,5 is a number: only where commas do not part the columns.
    grouped_comma, grouped_point
        Whether 1,210 and 1.210 are surely decimals. A file that writes 3.5 elsewhere may mean 1210 by 1,210, so
        such cells are reported, not guessed.
    """

    comma: bool = False
    grouped_comma: bool = False
    grouped_point: bool = True

    @staticmethod
    def of(delimiter: str, columns: Iterable[Sequence[str]]) -> "DecimalMarks":
        """Find out from all the numeric columns of a file."""
        if delimiter == ",":
            return DecimalMarks()
        with_comma = with_point = False
        for cells in columns:
            joined = "\0".join(cells)
            with_comma = with_comma or ("," in joined and any(_surely(_WITH_COMMA, cell) for cell in cells))
            with_point = with_point or ("." in joined and any(_surely(_WITH_POINT, cell) for cell in cells))
        return DecimalMarks(
            comma=True,
            grouped_comma=not with_point and (with_comma or delimiter == ";"),
            grouped_point=not with_comma,
        )

    def number(self, text: str) -> float | None:
        """The number that a cell holds; None where it holds none, or not surely one."""
        if "," in text:
            if not self.comma or "." in text or (not self.grouped_comma and _GROUPED.fullmatch(text)):
                return None
            text = text.replace(",", ".")
        elif not self.grouped_point and _GROUPED.fullmatch(text):
            return None
        if not _NUMBER.fullmatch(text):
            return None
        value = float(text)
        return value if isfinite(value) else None


def _surely(kind: re.Pattern[str], cell: str) -> bool:
    return kind.fullmatch(cell) is not None and _GROUPED.fullmatch(cell) is None


def whole(text: str) -> str:
    """1.0 and 1,0 as 1, the way other programs write whole numbers beside missing ones; else the text itself."""
    found = _WHOLE.fullmatch(text)
    return found.group(1) if found else text


def read_numbers(
    cells: Sequence[str], marks: DecimalMarks, missing: Collection[str], values: Mapping[str, float]
) -> tuple[np.ndarray, list[int]]:
    """The numbers in a column of text.

    Parameters
    ----------
    missing
        Texts, case folded, that mean 'not known'.
    values
        Texts that stand for a number, such as >1210.

    Returns
    -------
    numbers : ndarray
        float64; NaN where missing or unreadable.
    unreadable : list of int
        The rows whose text is neither a number nor known to mean anything.
    """
    special = [*missing, *values]
    if not any(text[:1].isdigit() or _NUMBER.fullmatch(text) for text in special):
        quick = _all_numbers(cells, marks)
        if quick is not None:
            return quick, []
    numbers = np.full(len(cells), np.nan)
    unreadable = []
    for row, cell in enumerate(cells):
        if not cell or cell.casefold() in missing or whole(cell).casefold() in missing:
            continue
        value = values.get(cell, values.get(whole(cell)))
        if value is None:
            value = marks.number(cell)
        if value is None:
            unreadable.append(row)
        else:
            numbers[row] = value
    return numbers, unreadable


def _all_numbers(cells: Sequence[str], marks: DecimalMarks) -> np.ndarray | None:
    """The whole column at once where every cell is plainly a number or empty; thousands of columns are."""
    joined = "\0".join(cells)
    if "_" in joined:  # float() would read 1_000
        return None
    if "," in joined:
        if not marks.grouped_comma or "." in joined:
            return None
        cells = joined.replace(",", ".").split("\0")
    elif "." in joined and not marks.grouped_point:
        return None
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)
    except ValueError:
        return None
    plain = not np.isinf(numbers).any() and np.isnan(numbers).sum() == cells.count("")  # no 'inf', no 'nan'
    return numbers if plain else None
