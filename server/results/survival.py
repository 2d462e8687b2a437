"""How survival was followed and predicted, as results.json says it (docs/results.md describes every key)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from common.outcomes import SurvivalOutcome
from common.splits import Label
from common.whole_hospitals import is_judged
from server.evaluation.follow_up import FollowUp
from server.evaluation.repeats import kind_of, mean_of
from server.evaluation.survival import SurvivalJudged
from server.evaluation.survival_curves import Curve
from server.evaluation.survival_groups import Groups
from server.evaluation.survival_horizons import AtHorizon
from server.finished import Finished
from server.results.survival_between import note_on_proportional_hazards, survival_between_of


def survival_of(finished: Finished) -> dict[str, Any] | None:
    """The key `survival`; None for another outcome."""
    found, outcome = finished.evaluated.survival, finished.study.outcome
    if found is None or not isinstance(outcome, SurvivalOutcome):
        return None
    return {
        "settings": {
            "landmark_days": outcome.landmark_days,
            "horizons_months": list(outcome.horizons_months),
            "risk_groups": outcome.risk_groups,
            "time_zero": finished.study.variable(outcome.time).time_zero,
        },
        "follow_up": follow_up_of(found.follow_up),
        "baseline": {
            model: {str(month): hazard for month, hazard in hazards.items()}
            for model, hazards in found.baseline.items()
        },
        "performance": _performance(finished, found.judged),
    } | survival_between_of(finished)


def notes_on_survival(finished: Finished) -> list[str]:
    """What a reader must know: where time begins, horizons that could not be judged, what a competing event means."""
    found, outcome = finished.evaluated.survival, finished.study.outcome
    if found is None or not isinstance(outcome, SurvivalOutcome):
        return []
    notes = []
    if finished.study.variable(outcome.time).time_zero is None:
        notes.append(
            f"{outcome.time}: the study does not say from what event time counts; hospitals may mean different ones "
            "(write time_zero under variables)"
        )
    missed = [h for h in outcome.horizons_months if h not in found.follow_up.horizons]
    if missed:
        notes.append(
            f"Not judged at {', '.join(map(str, missed))} months: fewer than ten events by then, fewer than ten "
            "patients followed beyond, or less than a tenth of the patients would be followed so long"
        )
    if found.follow_up.incidence is not None:
        notes.append(
            "With competing events, 1 − Kaplan–Meier is the risk if nobody had one; the cumulative incidence is the "
            "share that had the event. Predicted risks, and what they are compared with, are of the first kind"
        )
    return notes + note_on_proportional_hazards(finished)


def follow_up_of(found: FollowUp) -> dict[str, Any]:
    """What happened to the cohort, without any model."""
    return {
        "months": list(found.months),
        "event_free": _curve(found.event_free),
        "followed": _curve(found.followed),
        "cumulative_incidence": None if found.incidence is None else [float(v) for v in found.incidence],
        "median_event_free_months": found.event_free.median(),
        "median_follow_up_months": found.followed.median(),
        "median_follow_up_days_by_site": dict(sorted(found.medians_by_site.items())),
        "horizons_judged": list(found.horizons),
    }


def _curve(curve: Curve) -> dict[str, list[float]]:
    return {
        "value": [float(v) for v in curve.value],
        "low": [float(v) for v in curve.low],
        "high": [float(v) for v in curve.high],
        "at_risk": [float(n) for n in curve.at_risk],
    }


def _performance(finished: Finished, judged: dict[str, SurvivalJudged]) -> dict[str, dict[str, Any]]:
    """By model, by scheme; the repeats of a k-fold are averaged, and curves are of the first."""
    entries: dict[str, dict[str, list[str]]] = {}
    for label in judged:
        read = Label.read(label)
        entries.setdefault(read.model, {}).setdefault(kind_of(read.scheme), []).append(label)
    return {
        model: {
            scheme: _scheme(
                [judged[label] for label in labels],
                [hospital for hospital in finished.roster if is_judged(finished.study, scheme, hospital)],
            )
            for scheme, labels in schemes.items()
        }
        for model, schemes in entries.items()
    }


def _scheme(repeats: list[SurvivalJudged], hospitals: list[str]) -> dict[str, Any]:
    first = repeats[0]
    overall = mean_of([r.overall for r in repeats])
    return {
        "patients": first.patients,
        "events": first.events,
        "repeats": len(repeats),
        "within_sites": {"concordance": mean_of([r.within_sites for r in repeats])},
        "overall": {
            "concordance": overall
            | {
                "certified_low": float(np.mean([r.certified[0] for r in repeats])),
                "certified_high": float(np.mean([r.certified[1] for r in repeats])),
            },
            "uno": mean_of([r.uno for r in repeats]),
        },
        "by_site": {name: {"concordance": mean_of([r.by_site[name] for r in repeats])} for name in hospitals},
        "horizons": {
            str(at.month): _horizon([r.horizons[k] for r in repeats]) for k, at in enumerate(first.horizons)
        },
        "risk_groups": _groups(first.groups),
    }


def _horizon(repeats: Sequence[AtHorizon]) -> dict[str, Any]:
    first = repeats[0]
    within = [r.auc_within for r in repeats if r.auc_within is not None]
    return {
        "events": first.cases,
        "followed": first.followed,
        "auc": mean_of([r.auc for r in repeats]),
        "auc_within_sites": float(np.mean(within)) if within else None,
        "brier": float(np.mean([r.brier for r in repeats])),
        "brier_reference": first.brier_reference,
        "observed": first.observed,
        "expected": float(np.mean([r.expected for r in repeats])),
        "calibration_curve": [
            {"predicted": predicted, "observed": observed, "patients": patients}
            for predicted, observed, patients in first.curve
        ],
        "decision_curve": [asdict(point) for point in first.benefit],
    }


def _groups(groups: Groups) -> dict[str, Any]:
    return {
        "patients": list(groups.patients),
        "events": list(groups.events),
        "months": list(groups.curves[0].months),
        "curves": [_curve(curve) for curve in groups.curves],
        "log_rank_within_sites": None if groups.stratified is None else asdict(groups.stratified),
        "log_rank_overall": None if groups.overall is None else asdict(groups.overall),
    }
