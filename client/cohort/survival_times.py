"""Survival as the methods want it: days since the landmark, the event as 0 and 1, and who had a competing event."""

import numpy as np

from common.outcomes import TimedOutcome
from common.study import Study


def in_days_since_landmark(
    study: Study, outcome: TimedOutcome, values: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns with time and event replaced, and a mask of the patients whose competing event came first."""
    time = values[outcome.time] * outcome.days_a_unit(study.variables) - outcome.landmark_days
    event, competing = values[outcome.event], np.zeros(len(time), dtype=bool)
    if outcome.event_codes is not None:
        levels = study.variable(outcome.event).levels or []
        codes = outcome.event_codes
        competing = np.isin(event, [levels.index(code) for code in codes.competing])
        had = np.isin(event, [levels.index(code) for code in codes.event])
        event = np.where(np.isnan(event), np.nan, had.astype(np.float64))
    return {**values, outcome.time: time, outcome.event: event}, competing
