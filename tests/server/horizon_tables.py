"""Real survival tables as studies of an event at a horizon, and what a statistician with all rows works out of them."""

from typing import Any

import numpy as np
import pandas as pd

from common.months import DAYS_A_MONTH

COLUMNS = ["age", "grade", "hormone", "pnodes", "progrec"]


def horizon_study(months: int, columns: list[str], **changes: Any) -> dict[str, Any]:
    """The sections of a study of a table of tests/server/survival_tables.py."""
    return {
        "outcome": {"kind": "horizon", "time": "time", "event": "event", "months": months},
        "predictors": {"clinical": columns},
        "model": {"kind": "logistic", "penalty": "none"},
        "validation": {"folds": 3, "leave_one_hospital_out": False},
    } | changes


def weights_by(
    table: pd.DataFrame, months: int, cells: list[int], followed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Outcome (NaN: not known) and weight of every patient, from a curve of being followed on cells of months."""
    until = months * DAYS_A_MONTH
    competing = table.get("competing", pd.Series(False, index=table.index)).to_numpy(dtype=bool)
    time, event = table["time"].to_numpy(), table["event"].to_numpy() == 1
    outcome, weight = np.full(len(table), np.nan), np.zeros(len(table))
    ends = [0.0, *(m * DAYS_A_MONTH for m in cells)]
    for i in range(len(table)):
        if time[i] > until:
            outcome[i], weight[i] = 0.0, 1 / followed[-1]
        elif event[i] or competing[i]:
            k = next(k for k in range(len(cells)) if ends[k] < time[i] <= ends[k + 1])
            outcome[i], weight[i] = float(event[i]), 2 / (followed[k] + followed[k + 1])
    return outcome, weight


def weighted_auc(risk: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> float:
    """Over all pairs, one by one."""
    won = pairs = 0.0
    for i in np.flatnonzero(outcome == 1):
        against = outcome == 0
        w = weight[i] * weight[against]
        won += float(w @ ((risk[against] < risk[i]) + 0.5 * (risk[against] == risk[i])))
        pairs += float(w.sum())
    return won / pairs
