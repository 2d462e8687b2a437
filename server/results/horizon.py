"""How an event at a horizon was known and weighed, as results.json says it (docs/results.md describes every key)."""

from dataclasses import asdict
from typing import Any

from common.months import SMALLEST_FOLLOWED
from common.outcomes import HorizonOutcome
from common.splits import APPARENT
from server.evaluation.horizon import Horizon
from server.evaluation.repeats import without_repeat
from server.evaluation.usefulness import decision_curve
from server.finished import Finished
from server.methods.weighing import Weighing
from server.results.comparisons import repeats_by_models, tested_of
from server.results.small_cells import known_or_none
from server.results.survival import follow_up_of

FAR_APART = 2.0
"""Medians of follow-up of two hospitals, one over the other."""
SHOWN_OF_BENEFIT = ("threshold", "model", "low", "high", "treat_all")
LEFT_OUT = (
    "Not worked out for an event at a horizon, since it has no form with weights here: thresholds and "
    "classification, standard errors of coefficients, the audit of membership, "
    "columns that tell the outcome alone, recalibration and 'was it worth joining' in hospitals' own folders"
)


def horizon_of(finished: Finished) -> dict[str, Any] | None:
    """The key `horizon`; None for another outcome. How predictions fare stands under `performance`."""
    found, outcome = finished.evaluated.horizon, finished.study.outcome
    if found is None or not isinstance(outcome, HorizonOutcome):
        return None
    weighing = found.weighing
    return {
        "months": outcome.months,
        "landmark_days": outcome.landmark_days,
        "time_zero": finished.study.variable(outcome.time).time_zero,
        "known": _known(finished),
        "incidence": weighing.incidence,
        "weights": {
            "months": list(weighing.months),
            "followed": {
                split: [float(share) for share in weighing.followed[finished.splits.index(split)]]
                for split in finished.splits
            },
            "largest": _largest(weighing),
            "truncated": [split for split in weighing.truncated if split in finished.splits],
        },
        "follow_up": follow_up_of(weighing.follow_up),
        "decision_curves": _decision_curves(finished, found),
        "comparisons": _comparisons(found),
    }


def _comparisons(found: Horizon) -> list[dict[str, Any]]:
    """One entry for every two models by the same scheme; repeats are averaged."""
    return [
        {
            "scheme": both.scheme,
            "first": both.first,
            "second": both.second,
            "within_sites": tested_of([c.within_sites for c in repeats]),
            "discrimination_improvement": tested_of([c.discrimination_improvement for c in repeats]),
        }
        for both, repeats in repeats_by_models(found.compared).items()
    ]


def _decision_curves(finished: Finished, found: Horizon) -> dict[str, list[dict[str, float]]]:
    """By judged entry, the first repeat's: counts are weights here, and are not told."""
    curves: dict[str, list[dict[str, float]]] = {}
    for label, judged in found.discrimination.items():
        points = decision_curve(judged, finished.study.evaluation.thresholds, found.spread[label])
        shown = [{key: asdict(point)[key] for key in SHOWN_OF_BENEFIT} for point in points]
        curves.setdefault(without_repeat(label), shown)
    return curves


def notes_on_horizon(finished: Finished) -> list[str]:
    """What a reader must know: how many are known, what dropping the others would have done, what is left out."""
    found, outcome = finished.evaluated.horizon, finished.study.outcome
    if found is None or not isinstance(outcome, HorizonOutcome):
        return []
    notes = [_on_those_lost(finished, outcome.months, found.weighing.incidence)]
    if finished.study.variable(outcome.time).time_zero is None:
        notes.append(
            f"{outcome.time}: the study does not say from what event time counts; hospitals may mean different ones "
            "(write time_zero under variables)"
        )
    if truncated := [split for split in found.weighing.truncated if split in finished.splits]:
        notes.append(
            f"The curve of being followed falls below {SMALLEST_FOLLOWED:.0%} in {', '.join(truncated)}: weights are "
            f"held at {1 / SMALLEST_FOLLOWED:.0f} there, so that those followed beyond the horizon count too little "
            "and risks are told too high"
        )
    medians = [days for days in found.weighing.follow_up.medians_by_site.values() if days]
    if medians and max(medians) > FAR_APART * min(medians):
        notes.append(
            f"Median follow-up lies between {min(medians):g} and {max(medians):g} days at the hospitals. The weights "
            "take for granted that patients lost at one would have fared like those who stayed at others"
        )
    return [*notes, LEFT_OUT]


def _on_those_lost(finished: Finished, months: int, incidence: float) -> str:
    known, patients = _known(finished), finished.apparent.patients
    if known["lost"] is None:
        return f"Within {months} months {incidence:.1%} have the event (Kaplan–Meier); fewer than five were lost before"
    events, free = known["events"], known["free"]
    return (
        f"Within {months} months {incidence:.1%} have the event. {known['lost']} of {patients} patients were lost "
        f"before, and others stand for them by their weights: dropping them would say {events / (events + free):.1%}, "
        f"taking them for free of it {events / patients:.1%}"
    )


def _known(finished: Finished) -> dict[str, Any]:
    """Patients by what is known of them; `free` and `lost` are left out where one to four lost would follow."""
    if finished.evaluated.horizon is None or not isinstance(finished.study.outcome, HorizonOutcome):
        raise ValueError("the outcome is no event at a horizon")
    apparent, free = finished.apparent, finished.evaluated.horizon.free[APPARENT]
    event = finished.study.outcome.event
    missing = [finished.present.disclosed[name].missing.get(event, 0) for name in finished.roster]
    told = known_or_none(apparent.events + free, apparent.patients, missing)
    lost = None if told is None else apparent.patients - told
    return {"events": apparent.events, "free": None if told is None else free, "lost": lost}


def _largest(weighing: Weighing) -> float:
    """The largest weight of the final model's training patients."""
    return float(1 / weighing.followed[0].min())
