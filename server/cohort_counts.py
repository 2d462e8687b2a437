"""The patients of a study by class and by step of the flow; what cannot be modelled is said before it is tried."""

from dataclasses import dataclass

from common.errors import StudyStopped
from common.outcomes import TimedOutcome
from common.query import FEWEST_HOSPITALS, SMALLEST_CELL, Total
from common.splits import FINAL
from common.study import Study
from server.federation import Federation

FLOW_STEPS = ("read", "met_criteria", "outcome_known", "in_range", "at_landmark", "with_features", "in_cohort")


@dataclass(frozen=True)
class Counted:
    """How many patients remain after each step, and the features whose gaps ComBat may count singly."""

    flow: dict[str, int]
    gaps_to_keep: frozenset[str]
    patients: int
    events: int


def count_cohort(federation: Federation, study: Study, features: tuple[str, ...]) -> Counted:
    """Ask once; StudyStopped where the outcome or a batch level leaves nothing to model."""
    total = federation.ask("cohort_counts", splits=(FINAL,))
    _stop_at_a_rare_outcome(study, total)
    _stop_at_rare_levels(study, total)
    return Counted(
        flow=dict(zip(_steps(study), (round(n) for n in total.sums["flow"]), strict=True)),
        patients=round(float(total.sums["classes"].sum())),
        events=round(float(total.sums["classes"][1:].sum())),
        gaps_to_keep=_gaps_to_keep(total, features),
    )


def _steps(study: Study) -> list[str]:
    """The steps of the flow that a study has."""
    landmark = isinstance(study.outcome, TimedOutcome) and study.outcome.landmark_days > 0
    return [step for step in FLOW_STEPS if step != "at_landmark" or landmark]


def _stop_at_a_rare_outcome(study: Study, total: Total) -> None:
    if total.sums["classes"].min() < SMALLEST_CELL:
        column = study.outcome_columns()[-1]
        raise StudyStopped(
            f"fewer than {SMALLEST_CELL} patients in total have, or have not, the outcome {column}: "
            "there is nothing to model; check the outcome's column and the cohort's criteria"
        )


def _stop_at_rare_levels(study: Study, total: Total) -> None:
    """Stop where a shared batch level is at fewer than three hospitals: its sums would be theirs alone."""
    levels = [(v, level) for v in study.harmonisation.levels for level in study.variable(v).levels or []]
    rare = [
        f"{level} of {variable}: {int(hospitals)}"
        for (variable, level), hospitals in zip(levels, total.sums["hospitals_with_level"], strict=True)
        if 0 < hospitals < FEWEST_HOSPITALS
    ]
    if rare:
        raise StudyStopped(
            f"harmonisation.batch: a level must be at {FEWEST_HOSPITALS} hospitals or more, or its sums would be a "
            f"hospital's own ({'; '.join(rare)}). Merge levels under variables, or take batch: hospital"
        )


def _gaps_to_keep(total: Total, features: tuple[str, ...]) -> frozenset[str]:
    """Features that every hospital lacks for ten patients and more, or for nobody: ComBat may count these singly."""
    kept = (total.sums["feature_gaps"] > 0) & (total.sums["hospitals_with_few_gaps"] == 0)
    return frozenset(name for name, keep in zip(sorted(features), kept, strict=True) if keep)
