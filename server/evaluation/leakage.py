"""Columns that may hold the outcome, or what is known only after it: by their names, and by what they tell alone.

Σ_h W_hj / Σ_h P_h is the AUC of column j alone over pairs of patients of one hospital, on the final model's columns. No
honest predictor of this field comes near 0.98 by itself. Rounds: 1. What leaves: won pairs and pairs a column, as
masked totals. Exact. Mirrored by client/queries/lone_columns.py.
"""

import re

import numpy as np

from common.auditing import looks_for_leaks
from common.outcomes import BinaryOutcome
from common.splits import FINAL
from common.study import Study
from server.federation import Federation

TOO_GOOD = 0.98
_WORD = r"(?:^|_)(?:{})(?:_|\d|$)"
_NAMES_A_PATIENT = re.compile(
    _WORD.format("id|pid|uid|mrn|barcode|accession|(?:patient|case|record)_?(?:no|nr|number)"), re.IGNORECASE
)
_AFTERWARDS = re.compile(
    _WORD.format("os|pfs|dfs|rfs|dfi|pfi|ttp|ttr|death|dead|died|deceased|survival|follow_?up|recurrence|relapse"),
    re.IGNORECASE,
)
_AT_A_HORIZON = re.compile(
    r"early_?(?:recurrence|relapse|death|progression)"
    r"|(?:recurrence|relapse|recurred|death|dead|died|survival|alive|progression|os|rfs|dfs|pfs)_?(?:within|at|by|in)?_?\d+",
    re.IGNORECASE,
)


def look_for_leaks(federation: Federation, study: Study, view: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Sentences about columns that should not be there; nothing is left out because of them.

    Parameters
    ----------
    view
        The standardised columns.
    """
    said = [*suspicious_names(study)]
    if not looks_for_leaks(study):
        return tuple(said)
    sums = federation.ask("lone_columns", view=view, splits=(FINAL,)).sums
    won, pairs = sums["won"][0], sums["pairs"][0]
    alone = np.where(pairs > 0, won / np.maximum(pairs, 1.0), 0.5)
    for name, auc in zip(columns, np.maximum(alone, 1 - alone).tolist(), strict=True):
        if auc > TOO_GOOD:
            said.append(
                f"{name}: this column alone tells patients of one hospital apart with an AUC of {auc:.3f}, too good to "
                "be true: probably it holds the outcome, or something that is known only after it; take it out"
            )
    return tuple(said)


def suspicious_names(study: Study) -> list[str]:
    """Predictors that are called like a patient's number or like follow-up, and an outcome that needs follow-up."""
    said = []
    for name in study.predictors.clinical:
        if _NAMES_A_PATIENT.search(name):
            said.append(
                f"{name}: called like a number that names patients; such a column predicts nothing: take it out"
            )
        elif _AFTERWARDS.search(name):
            said.append(
                f"{name}: called like follow-up, which is not known yet when the model is used: take it out"
            )
    outcome = study.outcome
    if isinstance(outcome, BinaryOutcome) and _AT_A_HORIZON.search(outcome.column):
        said.append(
            f"{outcome.column}: called like an event within a time. Patients who were not followed for so long and had "
            "no event are neither 0 nor to be dropped: both shift the rate (0.38 and 0.59 where Kaplan–Meier says "
            "0.47, measured). Take an outcome of kind horizon, or survival, with time and event"
        )
    return said
