"""Who is known to have had the event by a horizon, and for how many patients each of those stands.

Known with it: the event by the horizon. Known without: followed beyond the horizon, or a competing event by then, after
which that one cannot happen. Nothing is known of who was lost before. With G the curve of being followed (from totals
over all hospitals, in cells of months that end at the horizon t), whoever is followed beyond t stands for w = 1/G(t)
patients, and whoever had an event in a cell for w = 1/(the mean of G at its ends); who is not known has w = 0. Then
Σ w y/n is the cumulative incidence at t: nobody is dropped in silence. Patients of one cell have one weight, so that
no weight tells a day.
"""

from dataclasses import dataclass

import numpy as np

from client.cohort.cohort import Cohort
from common.errors import Code, HospitalError
from common.months import cell_of, in_days
from common.outcomes import HorizonOutcome
from common.study import Study


@dataclass(frozen=True)
class Known:
    """A cohort at the horizon.

    Parameters
    ----------
    outcome
        1 had the event by then, 0 had not, NaN not known.
    weight
        For how many patients each stands; 0 where nothing is known.
    """

    outcome: np.ndarray
    weight: np.ndarray

    @property
    def there(self) -> np.ndarray:
        """A mask of the patients of whom it is known."""
        return self.weight > 0


def outcome_by(outcome: HorizonOutcome, cohort: Cohort) -> np.ndarray:
    """1 for the event by the horizon, 0 for surely none by then, NaN for what is not known."""
    time, event = cohort.outcome.T
    by_then = time <= _until(outcome)
    had: np.ndarray = np.where(by_then & (event == 1), 1.0, np.where(~by_then | cohort.competing, 0.0, np.nan))
    return had


def known_by(outcome: HorizonOutcome, cohort: Cohort, months: list[int], followed: np.ndarray) -> Known:
    """With weights by a curve of being followed, at month 0 and at the months that end its cells, the horizon last."""
    had = outcome_by(outcome, cohort)
    by_cell = np.append((followed[:-1] + followed[1:]) / 2, followed[-1])
    weight = 1.0 / by_cell[cell_of(cohort.outcome[:, 0], months)]
    return Known(had, np.where(np.isnan(had), 0.0, weight))


def refuse_few_known(study: Study, cohort: Cohort, least: int) -> None:
    """Refuse a study for which this hospital follows too few patients to its horizon, before anything is asked."""
    outcome = study.outcome
    if not isinstance(outcome, HorizonOutcome):
        return
    known = int((~np.isnan(outcome_by(outcome, cohort))).sum())
    if known < least:
        raise HospitalError(
            Code.TOO_FEW_PATIENTS,
            f"of {known} of {len(cohort.ids)} patients it is known whether they had the event within {outcome.months} "
            f"months, {least} are needed to take part: bring {outcome.time} up to date, or wait for more follow-up",
        )


def _until(outcome: HorizonOutcome) -> float:
    return float(in_days([outcome.months])[0])
