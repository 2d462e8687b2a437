"""One study asks a few questions, through one view of each step; what differs by a hair could be subtracted."""

from collections.abc import Callable, Mapping

import numpy as np

from client.gate_rules.declared import Declared
from client.gate_rules.grids import check_grid
from client.gate_rules.memory import Earlier
from client.rows import Rows
from common.dimension import times_allowed
from common.errors import Code, HospitalError
from common.privacy_plan import is_private
from common.query import Query, View
from common.study import Study

HAIR = 1e-6
"""Of a number's size, or of 1: what no longer is another question but the same one, shifted."""
MOST_NEAR = 4
"""The last steps of Newton's method come this close, once as a rule; rounding may spoil a step that is then halved."""

PRODUCTS_OF_ALL = ("cox_curvature", "proportional_hazards")
"""Queries that answer second derivatives of every problem."""

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
    "bound": lambda _: 1,
    "scale": lambda _: 3,
    "weigh": lambda _: 1,
    "network": lambda _: 1,
    "linear": lambda _: 1,
    "stack": lambda _: 1,
    "blend": lambda _: 1,
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
    third = max(1, times_allowed(smallest))
    times = declared.times(rows.study) if declared.vectors else min(declared.times(rows.study), third)
    if len(same) >= times:
        raise _many(
            query, f"it was asked {len(same)} times, a study with {smallest} patients asks it {times} times"
        )
    views = {asked.view for asked in same} | {query.view}
    # A model of scores is fitted like the others, on another view.
    if declared.one_view and len(views) > 1 + (declared.vectors and rows.study.stacks()):
        raise HospitalError(Code.SECOND_VIEW, f"query {query.name!r}: it was asked through another view before")
    if declared.rounds:
        _check_round(query, same)
    if declared.splits_once and (again := set(query.splits) & {split for asked in same for split in asked.splits}):
        raise _many(query, f"it was asked about {min(again)} before; a split is asked about once")
    if declared.vectors:
        _check_vectors(query, same, third)
        _check_products(rows, query, same, third)
    check_grid(query, same, smallest)
    if query.name == "baseline_hazard":
        _check_baseline(query, same)
    if declared.rounds:  # neighbouring rounds are alike once training has settled
        return
    near = sum(_nearly(query, asked) for asked in same)
    if near >= MOST_NEAR:
        raise HospitalError(
            Code.NEARLY_ASKED,
            f"query {query.name!r}: {near} questions that differ by less than {HAIR:g} were answered",
        )


def _check_round(query: Query, same: list[Earlier]) -> None:
    """A round is asked once: from other weights it would be a question that the study does not ask."""
    number = query.parameters["round"]
    if any(asked.parameters["round"] == number for asked in same):
        raise HospitalError(
            Code.NEARLY_ASKED, f"query {query.name!r}: round {number} was answered before, from other weights"
        )


def _many(query: Query, found: str) -> HospitalError:
    return HospitalError(Code.MANY_QUERIES, f"query {query.name!r}: {found} (policy: maximum_queries)")


def _check_vectors(query: Query, same: list[Earlier], third: int) -> None:
    """Every coefficient vector gives one equation a column for the patients of its split."""
    vectors = dict.fromkeys(query.splits, 0)
    for splits, parameters in [(query.splits, query.parameters), *((a.splits, a.parameters) for a in same)]:
        for split, _ in _problems(splits, parameters):
            if split in vectors:
                vectors[split] += 1
    split = max(vectors, key=lambda name: vectors[name], default="")
    if split and vectors[split] > third:
        raise HospitalError(
            Code.MANY_QUERIES,
            f"query {query.name!r}: {vectors[split]} coefficient vectors for {split}, this question's among them; "
            f"a third of the smallest row set's patients are allowed, {third}",
            split,
        )


def _check_baseline(query: Query, same: list[Earlier]) -> None:
    """A model's baseline is asked once, and all of them over one grid: cells of two could be subtracted."""
    for asked in same:
        if asked.parameters.get("model", "") == query.parameters.get("model", ""):
            raise _many(query, "a model's baseline is asked about once")
        if asked.parameters["months"] != query.parameters["months"]:
            raise HospitalError(
                Code.NEARLY_ASKED,
                f"query {query.name!r}: the study's baselines were asked over the months {asked.parameters['months']}",
            )


def _check_products(rows: Rows, query: Query, same: list[Earlier], third: int) -> None:
    """Narrow cross-products of one split, asked one after another, are as wide as their columns together."""
    curved: dict[str, set[int]] = {split: set() for split in query.splits}
    same_view = [(a.splits, a.parameters) for a in same if a.view == query.view]
    for splits, parameters in [(query.splits, query.parameters), *same_view]:
        for split, columns in _curved(query.name, splits, parameters):
            curved.setdefault(split, set()).update(columns)
    blocks = rows.study.lines() if query.name == "multinomial" else 1
    for split in query.splits:
        width = blocks * len(curved[split])
        if width and width + 1 > third and not is_private(rows.study):
            raise HospitalError(
                Code.TOO_WIDE,
                f"query {query.name!r}: cross-products of {width} columns in {split}, over all questions; with "
                f"{third * 3} patients and more in every row set {third - 1} are allowed",
                split,
            )


def _curved(
    name: str, splits: tuple[str, ...], parameters: Mapping[str, object]
) -> list[tuple[str, tuple[int, ...]]]:
    """Split and columns of the problems of which second derivatives are asked."""
    problems = _problems(splits, parameters)
    if name in PRODUCTS_OF_ALL:
        return problems
    curved = parameters.get("curved", ())
    return [problems[k] for k in curved] if isinstance(curved, list | tuple) else []


def _nearly(query: Query, asked: Earlier) -> bool:
    """Whether, for some split, label or problem, another question differed by a hair and was not the same."""
    own, old = _labels(query.splits, query.parameters), _labels(asked.splits, asked.parameters)
    for label in set(own) & set(old):
        pairs = [(array[own[label]], asked.arrays[name][old[label]]) for name, array in query.arrays.items()]
        if not pairs or any(a.ndim != b.ndim or a.shape[2:] != b.shape[2:] for a, b in pairs):
            continue
        if any(a.shape[1:] != b.shape[1:] for a, b in pairs):
            if not isinstance(label, tuple):
                continue
            pairs = [_as_wide(a, b) for a, b in pairs]
        close, differ = np.array(True), np.array(False)
        for a, b in pairs:  # all that are asked for a label now, against all that were
            now, then = a.reshape(len(a), 1, -1), b.reshape(1, len(b), -1)
            close = close & (np.abs(now - then) <= HAIR * np.maximum(1.0, np.abs(then))).all(axis=-1)
            differ = differ | (now != then).any(axis=-1)
        if (close & differ).any():
            return True
    return False


def _as_wide(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Problems of the same columns: beyond the narrower array, both hold zeros."""
    width = min(a.shape[1], b.shape[1])
    return a[:, :width], b[:, :width]


def _problems(splits: tuple[str, ...], parameters: object) -> list[tuple[str, tuple[int, ...]]]:
    """Split and columns of every problem of a question that asks some."""
    if not isinstance(parameters, Mapping) or "of" not in parameters:
        return []
    return [
        (splits[of], tuple(columns)) for of, columns in zip(parameters["of"], parameters["columns"], strict=True)
    ]


def _labels(splits: tuple[str, ...], parameters: object) -> dict[object, list[int]]:
    """What the leading axis of a question's arrays stands for; several problems may share split and columns."""
    schemes = parameters.get("schemes", []) if isinstance(parameters, Mapping) else []
    places: dict[object, list[int]] = {}
    for k, label in enumerate(_problems(splits, parameters) or splits or schemes):
        places.setdefault(label, []).append(k)
    return places
