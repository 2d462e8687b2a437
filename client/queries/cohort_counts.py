"""How many patients the study has, by class, by step of the flow and by what is missing: the first masked sums."""

import numpy as np

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import Answer
from common.whole_hospitals import trains

SMALLEST_GAP = 10
"""Fewer missing values of a feature at one hospital are imputed before ComBat: an n of its own would tell."""


class CohortCounts(Parameters):
    """Nothing: the study says what is counted."""


@query(
    "cohort_counts",
    CohortCounts,
    leaves="Patients by class and left by each criterion; missing values of each feature, and whether this hospital "
    "has some but fewer than ten; whether it has each level of the batch variables.",
)
def cohort_counts(rows: Rows, _: CohortCounts) -> Answer:
    """Count the cohort; a sealed external hospital adds zeros: beside later totals, its classes would be its own."""
    cohort = rows.cohort
    taken = float(trains(rows.study, rows.site.name))
    gaps = np.isnan(cohort.features).sum(axis=0)[np.argsort(cohort.feature_names)]
    classes = [(rows.members.strata == k).sum() for k in range(_classes(rows))]
    counted = {
        "classes": np.array(classes, dtype=np.float64),
        "flow": np.array(list(cohort.flow.values()), dtype=np.float64),
        "feature_gaps": gaps.astype(np.float64),
        "hospitals_with_few_gaps": ((gaps > 0) & (gaps < SMALLEST_GAP)).astype(np.float64),
        "hospitals_with_level": _levels_here(rows),
    }
    return Answer(sums={name: taken * counts for name, counts in counted.items()})


def _classes(rows: Rows) -> int:
    """How many classes the outcome has; an event is there or not."""
    if rows.study.outcome.kind != "multiclass":
        return 2
    return len(rows.study.variable(rows.study.outcome_columns()[0]).levels or [])


def _levels_here(rows: Rows) -> np.ndarray:
    """1 for every level of the batch variables that this hospital has, one variable after the other."""
    here = [
        np.isin(np.arange(rows.number_of_levels(variable)), rows.members.levels(variable)).astype(np.float64)
        for variable in rows.study.harmonisation.levels
    ]
    return np.concatenate(here) if here else np.zeros(0)
