"""One study asks a few questions, through one view of each step; what differs by a hair could be subtracted."""

from collections.abc import Callable

import numpy as np

from client.gate_rules.declared import Declared
from client.gate_rules.memory import Earlier
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import Query, View
from common.study import Study

HAIR = 1e-6
"""Of a number's size, or of 1: what no longer is another question but the same one, shifted."""
MOST_NEAR = 4
"""The last steps of Newton's method come this close, once as a rule; rounding may spoil a step that is then halved."""

STEPS: dict[str, Callable[[Study], int]] = {
    "columns": lambda _: 3,
    "impute": lambda study: 1 + (study.harmonisation.method != "none"),
    "transform": lambda _: 1,
    "combat": lambda study: max(1, len(study.harmonisation.levels)) + (study.harmonisation.reference is not None),
    "levels": lambda study: len(study.harmonisation.levels),
    "residuals": lambda _: 1,
    "residual_scores": lambda _: 1,
    "covbat": lambda _: 1,
    "select": lambda _: 1,
    "scale": lambda _: 3,
    "linear": lambda _: 1,
}
"""How many views of a step a study has: the model's columns, what describes the cohort, image features measured again;
features as they are judged before and after harmonisation have a scale each."""


def check_view(study: Study) -> Callable[[View, str, list[tuple[str, str]]], None]:
    """A judge of one more view of a study beside the steps and places (step, parent, splits) of the others."""

    def judge(view: View, place: str, known: list[tuple[str, str]]) -> None:
        allowed = STEPS[view.step](study)
        there = sum(step == view.step for step, _ in known)
        again = view.step != "columns" and sum(other == place for _, other in known)
        if there >= allowed or again > (view.step == "combat" and study.harmonisation.reference is not None):
            raise HospitalError(
                Code.SECOND_VIEW,
                f"{view.step}: {there} views of this step were used in this study, {again} of them at the same place; "
                f"a study fits it {allowed} times at {allowed} places. Two views that differ by a hair could be "
                "subtracted",
            )

    return judge


def check_repetition(
    rows: Rows, declared: Declared, earlier: list[Earlier], total: int, most: int, smallest: int
) -> None:
    """Refuse one question too many: in all, of this name, through another view, or nearly one that was answered.

    Parameters
    ----------
    most
        Questions that the study may ask in all.
    smallest
        Patients in the smallest row set: iterations are at most a third of them.
    """
    query = rows.query
    if total >= most:
        raise _many(query, f"{total} questions of this study were answered, {most} are allowed")
    same = [asked for asked in earlier if asked.name == query.name]
    times = min(declared.times(rows.study), max(1, smallest // 3))
    if len(same) >= times:
        raise _many(
            query, f"it was asked {len(same)} times, a study with {smallest} patients asks it {times} times"
        )
    if declared.one_view and any(asked.view != query.view for asked in same):
        raise HospitalError(Code.SECOND_VIEW, f"query {query.name!r}: it was asked through another view before")
    near = sum(_nearly(query, asked) for asked in same)
    if near >= MOST_NEAR:
        raise HospitalError(
            Code.NEARLY_ASKED,
            f"query {query.name!r}: {near} questions that differ by less than {HAIR:g} were answered",
        )


def _many(query: Query, found: str) -> HospitalError:
    return HospitalError(Code.MANY_QUERIES, f"query {query.name!r}: {found} (policy: maximum_queries)")


def _nearly(query: Query, asked: Earlier) -> bool:
    """Whether, for some split or scheme, another question differed by a hair and was not the same."""
    own, old = _labels(query.splits, query.parameters), _labels(asked.splits, asked.parameters)
    for label in set(own) & set(old):
        pairs = [(array[own[label]], asked.arrays[name][old[label]]) for name, array in query.arrays.items()]
        if not pairs or any(a.shape != b.shape for a, b in pairs):
            continue
        close = all((np.abs(a - b) <= HAIR * np.maximum(1.0, np.abs(b))).all() for a, b in pairs)
        if close and any((a != b).any() for a, b in pairs):
            return True
    return False


def _labels(splits: tuple[str, ...], parameters: object) -> dict[str, int]:
    """What the leading axis of a question's arrays stands for."""
    schemes = parameters.get("schemes", []) if isinstance(parameters, dict) else []
    return {str(label): k for k, label in enumerate(splits or schemes)}
