"""How a survival model does between models, hospitals, subgroups and times: what comes beside its figures.

Each part stands in a file of its own: survival_comparison.py, survival_bootstrap.py, survival_subgroups.py,
proportional_hazards.py. Rounds: one each, subgroups two, those that the study asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.room import Room
from common.study import Study
from server.evaluation.bootstrap import Drawn
from server.evaluation.comparison import Pair, Tested
from server.evaluation.proportional_hazards import Proportional, judge_proportionality
from server.evaluation.subgroups import Group
from server.evaluation.survival import Survival
from server.evaluation.survival_bootstrap import draw_hospitals_for_concordance
from server.evaluation.survival_comparison import compare_concordance
from server.evaluation.survival_subgroups import SurvivalInGroup, judge_survival_subgroups
from server.evaluation.use import Released, pairs_of
from server.federation import FlowerFederation
from server.methods.pipeline import Prepared


@dataclass(frozen=True)
class SurvivalBetween:
    """Differences of C by pair of labels, intervals for hospitals like these, subgroups, and tests by model."""

    compared: dict[Pair, Tested] = field(default_factory=dict)
    drawn: dict[str, Drawn] = field(default_factory=dict)
    subgroups: tuple[Group[SurvivalInGroup], ...] = ()
    proportional: dict[str, Proportional] = field(default_factory=dict)


def judge_between(
    federation: FlowerFederation,
    study: Study,
    room: Room,
    prepared: Prepared,
    view: str,
    survival: Survival | None,
    models: Mapping[str, Released],
) -> SurvivalBetween:
    """All of it, as far as the study asks for it; nothing for another outcome.

    Parameters
    ----------
    view
        The models' linear predictors.
    """
    if survival is None:
        return SurvivalBetween()
    linear = {name: model.coefficients for name, model in models.items() if model.coefficients is not None}
    cox = study.model.kind == "cox"
    return SurvivalBetween(
        compared=compare_concordance(federation, view, pairs_of(tuple(survival.judged))),
        drawn=draw_hospitals_for_concordance(federation, study, view, survival),
        subgroups=judge_survival_subgroups(federation, study, room, view, survival),
        proportional=judge_proportionality(federation, prepared.view, prepared.columns, linear) if cox else {},
    )
