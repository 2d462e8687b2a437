"""What a study run found out, in the order in which it did: before any model, the models, how they fare."""

from dataclasses import dataclass

import numpy as np

from common.query import View
from common.room import Room
from common.splits import APPARENT, Label
from common.study import Study
from server.checkpoint import Loss
from server.cohort_counts import Counted
from server.evaluation.bootstrap import Drawn
from server.evaluation.calibration import Calibration
from server.evaluation.discrimination import Discrimination
from server.evaluation.external import External
from server.evaluation.harmonisation import Judged
from server.evaluation.horizon import Horizon
from server.evaluation.membership import Audited
from server.evaluation.subgroups import Group, InGroup
from server.evaluation.survival import Survival, SurvivalJudged
from server.evaluation.survival_between import SurvivalBetween
from server.evaluation.use import Use
from server.federation import Asked
from server.methods.models import Models
from server.methods.pipeline import Prepared
from server.methods.selection import Selected
from server.methods.stability import Stable
from server.methods.weighing import Weighing
from server.roll_call import Present

QUARTILES = np.array([0.25, 0.5, 0.75])


@dataclass(frozen=True)
class Groundwork:
    """What stands before any model is fitted.

    Parameters
    ----------
    room
        The hospitals' numbers of patients, by which they judge how wide a question may be.
    prepared
        With the weights of patients, where others stand for those lost before a horizon.
    quartile_columns, quartiles
        Numeric clinical columns, and a row of QUARTILES each.
    """

    room: Room
    counted: Counted
    stable: Stable | None
    prepared: Prepared
    leaks: tuple[str, ...]
    judged: Judged | None
    weighing: Weighing | None
    selected: Selected
    quartile_columns: tuple[str, ...]
    quartiles: np.ndarray


@dataclass(frozen=True)
class Evaluated:
    """How the models fare; what has no place beside the study's outcome is empty or None."""

    discrimination: dict[str, Discrimination]
    calibration: dict[str, Calibration]
    survival: Survival | None
    horizon: Horizon | None
    audited: Audited | None
    drawn: dict[str, Drawn]
    subgroups: tuple[Group[InGroup], ...]
    external: External | None
    use: Use
    between: SurvivalBetween


@dataclass(frozen=True)
class Finished:
    """Everything that a study run found out."""

    study: Study
    present: Present
    roster: tuple[str, ...]
    splits: tuple[str, ...]
    losses: tuple[Loss, ...]
    groundwork: Groundwork
    models: Models
    evaluated: Evaluated
    harmonising_steps: tuple[View, ...]
    scoring_steps: tuple[View, ...]
    record: tuple[Asked, ...]
    notes: tuple[str, ...]

    @property
    def apparent(self) -> Discrimination | SurvivalJudged:
        """The final model on the patients that it was fitted to, all of the cohort that trains; its rarest class."""
        if self.evaluated.survival:
            return self.evaluated.survival.judged[APPARENT]
        judged = self.evaluated.discrimination
        found = [d for label, d in judged.items() if Label.read(label).scheme == APPARENT]
        return min(found, key=lambda d: min(d.events, d.patients - d.events))
