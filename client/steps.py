"""The steps of a view: pure functions from the parent's matrix to the next, for one split.

What was fitted comes in the view's arrays, one row a split; what a hospital must estimate itself (its own batch's
shift and scale in ComBat) is worked out here from its training rows, and never leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from client.members import Members
from common.errors import Code, HospitalError
from common.query import SMALLEST_DIFFERENCE, View


@dataclass(frozen=True)
class Fitted:
    """One split of a view, at one hospital."""

    view: View
    split: str
    members: Members

    def array(self, name: str) -> np.ndarray:
        """The split's row of one of the view's arrays."""
        if name not in self.view.arrays:
            raise HospitalError(Code.BAD_PARAMETERS, f"{self.view.step}: the array {name!r} is missing")
        return self.view.arrays[name][self.view.splits.index(self.split)]

    def numbers(self, name: str) -> list[int]:
        """A list of column numbers among the view's parameters."""
        return [int(number) for number in self.view.parameters.get(name, [])]

    def require(self, holds: bool, rule: str) -> None:
        """Refuse a view whose arrays do not fit the matrix."""
        if not holds:
            raise HospitalError(Code.BAD_PARAMETERS, f"{self.view.step}: {rule}")


Step = Callable[[np.ndarray, Fitted], np.ndarray]


def impute(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """Fill missing values: with the mean, or by regression on the mean-filled predictors.

    Arrays: `fill` (columns; NaN leaves the gaps of a column open); for regression also `coefficients` (targets ×
    (1 + predictors)), whose targets and predictors are column numbers in the parameters. A column with fewer than ten
    gaps at this hospital is filled with the mean all the same.
    """
    fill = fitted.array("fill")
    fitted.require(fill.shape == (matrix.shape[1],), "one fill value a column")
    missing = np.isnan(matrix)
    filled = np.where(missing, fill, matrix)
    targets, predictors = fitted.numbers("targets"), fitted.numbers("predictors")
    if not targets:
        return filled
    coefficients = fitted.array("coefficients")
    fitted.require(coefficients.shape == (len(targets), 1 + len(predictors)), "coefficients for every target")
    design = np.column_stack([np.ones(len(matrix)), filled[:, predictors]])
    result = filled.copy()
    fewest = SMALLEST_DIFFERENCE if fitted.members.guard == "full" else 0
    own = len(fitted.members.cohort.ids)  # second measurements stand below the cohort's rows
    for target, beta in zip(targets, coefficients, strict=True):
        gaps = missing[:, target]
        if gaps[:own].sum() < fewest:  # coefficients for one patient's gap would read that patient's values
            continue
        result[gaps, target] = design[gaps] @ beta
    return result


def select(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """Keep some columns."""
    return matrix[:, fitted.numbers("columns")]


def bound(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """u = (x − middle) / half the range of public bounds, cut to −1 … 1; gaps become 0, the middle."""
    low, high = fitted.array("low"), fitted.array("high")
    with np.errstate(over="ignore"):
        moved = (matrix - (low + high) / 2) / ((high - low) / 2)
    return np.clip(np.nan_to_num(moved), -1.0, 1.0)


def scale(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """z = (x − centre) / spread; a column of spread 0 (constant, or taken out) becomes 0."""
    centre, spread = fitted.array("centre"), fitted.array("spread")
    fitted.require(centre.shape == spread.shape == (matrix.shape[1],), "one centre and spread a column")
    used = spread > 0
    return np.where(used, (matrix - centre) / np.where(used, spread, 1.0), 0.0)


def weigh(matrix: np.ndarray, _: Fitted) -> np.ndarray:
    """The same columns: what the step says is for how many patients each one stands (client/horizon.py).

    Arrays: `followed` (1 + months), the curve of being followed at month 0 and at the `months` of the parameters.
    """
    return matrix


def linear(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """The linear predictors of the fitted models, one column each."""
    beta = fitted.array("beta")
    fitted.require(beta.shape[-1:] == (matrix.shape[1] + 1,), "an intercept and one coefficient a column")
    return beta[:, 0] + matrix @ beta[:, 1:].T
