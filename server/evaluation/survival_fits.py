"""What a survival model is judged with: baseline hazards and cut-offs of every model and split, from training rows.

Rounds, what leaves and how exact it is: see server/methods/baseline.py and risk_groups.py.
"""

from dataclasses import dataclass

import numpy as np

from common.months import MONTHS_A_QUARTER
from common.query import SMALLEST_CELL
from common.splits import FINAL
from common.whole_hospitals import EXTERNAL
from server.evaluation.follow_up import FollowUp
from server.federation import Federation
from server.methods.baseline import baseline_hazards
from server.methods.risk_groups import cut_offs

MOST_HAZARD = 50.0
"""The bound of the questions; nobody's risk is told from 1 beyond it."""


@dataclass(frozen=True)
class Fits:
    """Baseline hazards at the horizons and cut-offs between risk groups: models × splits × horizons, or cut-offs."""

    models: tuple[str, ...]
    splits: tuple[str, ...]
    horizons: tuple[int, ...]
    hazards: np.ndarray
    cuts: np.ndarray

    @property
    def parameters(self) -> dict[str, list[str] | list[int]]:
        """As a question names them."""
        return {"models": list(self.models), "fits": list(self.splits), "horizons": list(self.horizons)}

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """As a question carries them."""
        return {"baseline": np.minimum(self.hazards, MOST_HAZARD), "cuts": self.cuts}

    @property
    def with_external(self) -> "Fits":
        """The split `external` too, which trains on the rows of the final one: a question that names it unseals."""
        final = self.splits.index(FINAL)
        hazards, cuts = (np.concatenate([a, a[:, [final]]], axis=1) for a in (self.hazards, self.cuts))
        return Fits(self.models, (*self.splits, EXTERNAL), self.horizons, hazards, cuts)


@dataclass(frozen=True)
class BaselineCurve:
    """The first final model's cumulative hazard at the months that end a cell, the horizons among them."""

    months: tuple[int, ...]
    hazards: np.ndarray


def asked_horizons(found: FollowUp) -> tuple[int, ...]:
    """The horizons; where none can be judged, the last month, whose figures are then not shown."""
    return found.horizons or (found.months[-1],)


def fit_baselines(
    federation: Federation,
    view: str,
    splits: tuple[str, ...],
    models: tuple[str, ...],
    found: FollowUp,
    groups: int,
    cells: int,
) -> tuple[Fits, BaselineCurve]:
    """Baselines at the horizons and cut-offs of every model and split, from training rows.

    Parameters
    ----------
    cells
        How many cells of months the patients of a training set allow, beside those that end at a horizon.
    """
    horizons = asked_horizons(found)
    months = [m for m in _cells_with_events(found, cells - 1) if m <= horizons[-1]]
    hazards = np.array([baseline_hazards(federation, view, splits, model, months) for model in models])
    cuts = [cut_offs(federation, view, splits, model, groups) for model in models]
    fits = Fits(models, splits, horizons, hazards[:, :, [months.index(h) for h in horizons]], np.array(cuts))
    return fits, BaselineCurve(tuple(months), hazards[0, splits.index(FINAL)])


def _cells_with_events(found: FollowUp, between: int) -> list[int]:
    """Months that end cells: the horizons, and so many quarters between them, each cell with five events and more."""
    fixed, inner = asked_horizons(found), list[int]()
    running = np.cumsum(found.events)[:-1]
    least = max(SMALLEST_CELL, float(running[-1]) / (between + 1)) if between > 0 else float("inf")
    reached = 0.0
    for k, month in enumerate(found.months):
        upcoming = next((h for h in fixed if h >= month), None)
        ahead = float("inf") if upcoming is None else float(running[found.months.index(upcoming)])
        if month in fixed:
            reached = float(running[k])
        elif (
            month % MONTHS_A_QUARTER == 0 and running[k] - reached >= least and ahead - running[k] >= SMALLEST_CELL
        ):
            inner.append(month)
            reached = float(running[k])
    return sorted({*fixed, *inner})
