"""How a network's second head orders patients within hospitals: mirrored by client/queries/second_task.py.

AUC of a binary second outcome, Harrell's C of a time to an event: Σ won / Σ all over the pairs of patients of one
hospital; the standard error is √Σ spread / Σ all, with DeLong's variance of each hospital's AUC and, for C, the spread
of the patients' own pairs. Exact; who orders how across hospitals is not asked. The study's outcome is judged in full,
this one by order alone. What leaves: patients, events, pairs, as masked totals. Rounds: one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.splits import Label, labels_of, without_class
from common.study import Study
from common.whole_hospitals import EXTERNAL
from server.evaluation.discrimination import NOT_ESTIMABLE, Estimate
from server.federation import Federation
from server.methods.models import Models


@dataclass(frozen=True)
class SecondJudged:
    """Of one scheme and model: patients whose second outcome is known, events, and AUC or C within hospitals."""

    patients: int
    events: int
    within_sites: Estimate


def judge_second_task(
    federation: Federation, study: Study, view: str, left_out: Collection[str] = ()
) -> Mapping[str, SecondJudged]:
    """By label without classes; empty where the study has no second outcome.

    Parameters
    ----------
    left_out
        Schemes that are not asked about.
    """
    if not study.second_columns():
        return {}
    asked = [label for label in labels_of(study) if Label.read(label).scheme not in left_out]
    labels = list(dict.fromkeys(map(without_class, asked)))
    sums = federation.ask("second_task", view=view, rows="held_out", parameters={"schemes": labels}).sums
    return {
        label: SecondJudged(round(float(n)), round(float(events)), _estimate(*within))
        for label, (n, events), within in zip(labels, sums["counts"], sums["within"], strict=True)
    }


def _estimate(won: float, pairs: float, spread: float) -> Estimate:
    if pairs <= 0:
        return NOT_ESTIMABLE
    return Estimate.normal(float(won / pairs), float(np.sqrt(spread) / pairs))


def with_second_task(federation: Federation, study: Study, room: Room, models: Models) -> Models:
    """The models with how their second heads were judged, where they have such."""
    if models.networks is None:
        return models
    columns = study.second_columns()[-1:]
    external = sum(len(room.knowing(name).judged(study, EXTERNAL).seats) for name in columns)
    left_out = {EXTERNAL} if external < FEWEST_HOSPITALS else set[str]()  # the total would be theirs
    judged = judge_second_task(federation, study, models.scores, left_out)
    return replace(models, networks=replace(models.networks, second=judged))
