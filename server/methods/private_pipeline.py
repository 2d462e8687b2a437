"""bound → scale, with noise: what comes before the fit of a private study.

Columns are cut to their public bounds and moved to −1 … 1, gaps to 0. Then, with u such a column and n the public
number of patients: mean = Σu/n, variance = Σu²/n − mean². Both carry noise; variances are drawn towards that of all
columns together, the more the less they differ beyond their noise (James and Stein).
Rounds: one, over all patients and without outcomes, for all folds: a noisy estimate in every fold would cost as many
times the budget. What leaves: Σu and Σu² a column, with noise of L2 sensitivity √(2·columns).
"""

from dataclasses import dataclass

import numpy as np

from common.differential import bounds_of_columns
from common.errors import StudyStopped
from common.privacy_plan import noise_of_moments
from common.query import View
from common.splits import FINAL
from common.study import Study
from server.federation import Federation
from server.methods.pipeline import design_columns

SMALLEST_SPREAD = 0.05
"""Of a column between −1 and 1."""


@dataclass(frozen=True)
class PrivatelyPrepared:
    """A view to standardised columns; centre and spread are of the columns between −1 and 1."""

    view: str
    columns: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def in_own_units(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients on standardised columns (splits × (1 + columns)) in the columns' own units."""
        half = (self.high - self.low) / 2
        slopes = beta[:, 1:] / (self.spread * half)
        middle = (self.low + self.high) / 2 + self.centre * half
        return np.column_stack([beta[:, 0] - slopes @ middle, slopes])


def private_columns(study: Study, features: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """The model's columns with their public bounds; StudyStopped where one has none."""
    columns = design_columns(study, features)
    bounds = bounds_of_columns(study, columns)
    without = [column for column in columns if column not in bounds]
    if without:
        raise StudyStopped(
            f"privacy.differential.bounds: {', '.join(without[:8])}{' …' if len(without) > 8 else ''} has no public "
            "bounds: give lowest and highest value, by name or pattern"
        )
    return {column: bounds[column] for column in columns}


def prepare_privately(
    federation: Federation, study: Study, bounds: dict[str, tuple[float, float]], patients: int, noise: bool
) -> PrivatelyPrepared:
    """Bound the columns and estimate centre and spread."""
    splits, columns = federation.splits, tuple(bounds)
    low, high = np.array(list(bounds.values())).T
    raw = federation.keep(View(step="columns", parameters={"columns": list(columns)}))
    limits = {"low": np.tile(low, (len(splits), 1)), "high": np.tile(high, (len(splits), 1))}
    bounded = federation.keep(View(step="bound", parent=raw, splits=splits, arrays=limits))
    total = federation.ask("private_moments", view=bounded, splits=(FINAL,), parameters=noise_parameter(noise))
    first, second = total.sums["moments"][0] / patients
    error = noise_of_moments(study, len(columns)) / patients if noise else 0.0
    centre, spread = standardisation(first, second, error)
    scale = {"centre": np.tile(centre, (len(splits), 1)), "spread": np.tile(spread, (len(splits), 1))}
    view = federation.keep(View(step="scale", parent=bounded, splits=splits, arrays=scale))
    return PrivatelyPrepared(view, columns, low, high, centre, spread)


def standardisation(first: np.ndarray, second: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre and spread from noisy means of u and u² whose noise has this standard deviation."""
    centre = np.clip(first, -1.0, 1.0)
    found = second - centre**2 + error**2
    common = float(np.clip(found.mean(), SMALLEST_SPREAD**2, 1.0))
    between = max(0.0, float(found.var()) - error**2)
    trusted = between / (between + error**2) if error else 1.0
    least = max(
        SMALLEST_SPREAD**2, min(common / 2, 2 * error)
    )  # a spread that is far too small would rule the rows
    variance = trusted * found + (1 - trusted) * common
    return centre, np.sqrt(np.clip(variance, least, 1.0))


def noise_parameter(noise: bool) -> dict[str, bool]:
    """What a question says of noise: nothing, unless it is to be left out."""
    return {} if noise else {"noise": False}
