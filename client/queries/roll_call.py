"""Who takes part, with how many patients, and whether the hospitals mean the same by their columns."""

import hashlib
import platform
from importlib.metadata import version

import numpy as np

from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import SMALLEST_CELL, SMALLEST_FOR_A_MEDIAN, Answer, Disclosed, two_significant
from common.study import SurvivalOutcome


class RollCall(Parameters):
    """The study itself travels with the roll call."""

    study: str


@query(
    "roll_call",
    RollCall,
    leaves="In clear: number of patients and events, missing values a column (5 and more), scanner models, column "
    "names, medians to two digits, software versions. As sums: how many patients each criterion left.",
)
def roll_call(rows: Rows, _: RollCall) -> Answer:
    """Answer the roll call of a study."""
    cohort = rows.cohort
    return Answer(
        sums={"flow": np.array(list(cohort.flow.values()), dtype=np.float64)},
        disclosed=Disclosed(
            hospital=rows.site.name,
            patients=len(cohort.ids),
            events=_events(rows),
            missing=_missing(rows),
            scanners=tuple(sorted({name for name in cohort.scanner if name})),
            features=cohort.feature_names,
            fingerprint=fingerprint(rows.study.hash),
            medians=_medians(rows),
        ),
    )


def fingerprint(study_hash: str) -> dict[str, str]:
    """The versions that decide the numbers, and the study that this hospital has read."""
    packages = ("hepafed", "flwr", "numpy", "scipy", "pandas")
    return {"study": study_hash, "python": platform.python_version()} | {p: version(p) for p in packages}


def feature_digest(names: tuple[str, ...]) -> str:
    """One short text for a list of feature columns."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _events(rows: Rows) -> int | None:
    """Patients with the event, unless fewer than five have it or have it not."""
    events = int((rows.strata == 1).sum())
    return events if min(events, len(rows.strata) - events) >= SMALLEST_CELL else None


def _missing(rows: Rows) -> dict[str, int]:
    """Missing values of every predictor column that has five or more."""
    cohort = rows.cohort
    counts = {name: int(np.isnan(cohort.columns[name]).sum()) for name in rows.study.predictors.clinical}
    counts |= dict(zip(cohort.feature_names, np.isnan(cohort.features).sum(axis=0).tolist(), strict=True))
    return {name: count for name, count in counts.items() if count >= SMALLEST_CELL}


def _medians(rows: Rows) -> dict[str, float]:
    """Medians of the numeric clinical columns, two significant digits, of ten known values and more."""
    names = list(rows.study.predictors.clinical)
    if isinstance(rows.study.outcome, SurvivalOutcome):
        names.append(rows.study.outcome.time)
    medians = {}
    for name in names:
        if rows.study.variable(name).type not in ("number", "integer"):
            continue
        values = rows.cohort.columns[name]
        known = values[~np.isnan(values)]
        if len(known) >= SMALLEST_FOR_A_MEDIAN:
            medians[name] = two_significant(float(np.median(known)))
    return medians
