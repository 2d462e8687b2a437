"""Who takes part, with how many patients, and whether the hospitals mean the same by their columns."""

import platform
import re
from collections import Counter
from importlib.metadata import version

import numpy as np

from client.contributions import contributions
from client.queries.registry import Parameters, query
from client.queries.subgroups import compares, divided
from client.rows import Rows
from client.second_outcome import second_outcome
from common.errors import Code, HospitalError
from common.outcomes import HorizonOutcome, TimedOutcome
from common.privacy_plan import is_private
from common.query import (
    MOST_SCANNERS,
    SCANNER_NAME,
    SMALLEST_CELL,
    SMALLEST_FOR_A_MEDIAN,
    Answer,
    Disclosed,
    two_significant,
)
from common.study import Study
from harmonization.leakage import outcome_in_disguise


class RollCall(Parameters):
    """The study itself travels with the roll call."""

    study: str


@query(
    "roll_call",
    RollCall,
    leaves="In clear: number of patients and events, missing values a column (5 and more), scanner models of five "
    "patients and more, column names, medians to two digits, software versions, the hospital's public key; in which "
    "of the study's subgroups it has five patients and more, and five of every class; whether ten patients and more "
    "were measured again, by kind, and five have an image; whether its policy allows that its own sums are derived.",
)
def roll_call(rows: Rows, _: RollCall) -> Answer:
    """Answer the roll call of a study."""
    cohort = rows.cohort
    _refuse_the_outcome_as_covariate(rows)
    if is_private(rows.study):  # figures in clear have no noise: the number of patients is all that is public
        return Answer(
            disclosed=Disclosed(
                hospital=rows.site.name,
                patients=len(cohort.ids),
                features=cohort.feature_names,
                fingerprint=fingerprint(rows.study),
                alone=rows.site.single_hospital_sums,
            ),
        )
    masks = divided(rows)
    return Answer(
        disclosed=Disclosed(
            hospital=rows.site.name,
            patients=len(cohort.ids),
            events=_events(rows),
            missing=_missing(rows),
            scanners=_scanners(rows),
            features=cohort.feature_names,
            fingerprint=fingerprint(rows.study),
            medians=_medians(rows),
            subgroups=tuple(k for k, mask in enumerate(masks) if mask.any()),
            comparing=tuple(k for k, mask in enumerate(masks) if mask.any() and compares(cohort.outcome[mask])),
            contributes=contributions(rows),
            alone=rows.site.single_hospital_sums,
        ),
    )


def _scanners(rows: Rows) -> tuple[str, ...]:
    """Scanner models of five patients and more, the most used first to be kept; a free text is not sent."""
    counts = Counter(name for name in rows.cohort.scanner if name and re.fullmatch(SCANNER_NAME, name))
    often = [name for name, count in counts.most_common(MOST_SCANNERS) if count >= SMALLEST_CELL]
    return tuple(sorted(often))


def _refuse_the_outcome_as_covariate(rows: Rows) -> None:
    """A preserved covariate that equals the outcome would write it into the features."""
    names = rows.study.preserved()
    if not names:
        return
    table = np.column_stack([rows.cohort.columns[name] for name in names])
    outcome = rows.cohort.outcome
    for column in outcome[:, None].T if outcome.ndim == 1 else outcome.T:
        found = outcome_in_disguise(table, names, column)
        if found:
            raise HospitalError(
                Code.COVARIATE_IS_OUTCOME,
                f"harmonisation.preserve: {', '.join(found)} is the outcome under another name; take it out",
            )


def fingerprint(study: Study) -> dict[str, str]:
    """The versions that decide the numbers, the study that this hospital has read, and how it extracts features."""
    packages = ("hepafed", "flwr", "numpy", "scipy", "pandas")
    versions = {"study": study.hash, "python": platform.python_version()} | {p: version(p) for p in packages}
    if study.features is None:
        return versions
    return versions | {f"features {part}": value for part, value in study.features.fingerprint().items()}


def _events(rows: Rows) -> int | None:
    """Patients with the event, unless fewer than five have it or have it not."""
    events = int((rows.members.strata == 1).sum())
    return events if min(events, len(rows.members.strata) - events) >= SMALLEST_CELL else None


def _missing(rows: Rows) -> dict[str, int]:
    """Missing values of predictor columns, an outcome at a horizon and a second outcome, of five or more."""
    cohort = rows.cohort
    counts = {name: int(np.isnan(cohort.columns[name]).sum()) for name in rows.study.predictors.clinical}
    counts |= dict(zip(cohort.feature_names, np.isnan(cohort.features).sum(axis=0).tolist(), strict=True))
    if isinstance(rows.study.outcome, HorizonOutcome):  # whoever was lost before takes no part in a sum of classes
        counts[rows.study.outcome.event] = len(cohort.ids) - len(rows.members.classes)
    second = second_outcome(rows.study, cohort)
    if second is not None:
        counts[rows.study.second_columns()[-1]] = int(np.isnan(second[:, -1]).sum())
    return {name: count for name, count in counts.items() if count >= SMALLEST_CELL}


def _medians(rows: Rows) -> dict[str, float]:
    """Medians of the numeric clinical columns, two significant digits, of ten known values and more."""
    numeric = [n for n in rows.study.predictors.clinical if rows.study.variable(n).type in ("number", "integer")]
    columns = {name: rows.cohort.columns[name] for name in numeric}
    if isinstance(rows.study.outcome, TimedOutcome):
        days = rows.study.outcome.days_a_unit(rows.study.variables)
        columns[rows.study.outcome.time] = rows.cohort.outcome[:, 0] / days
    medians = {}
    for name, values in columns.items():
        known = values[~np.isnan(values)]
        if len(known) >= SMALLEST_FOR_A_MEDIAN:
            medians[name] = two_significant(float(np.median(known)))
    return medians
