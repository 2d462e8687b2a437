"""Numbers that go into a study's file: six digits, the same at every reading."""

from typing import Any

import numpy as np


def six_digits(values: np.ndarray) -> list[Any]:
    """An array as nested lists of numbers of six significant digits."""
    return [six_digits(value) if np.ndim(value) else float(f"{value:.6g}") for value in values]
