"""Fields of a study that do not fit each other: where each stands, what is wrong with it, and the cure."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.comparing import MODEL_NAME, Candidate
from common.criteria import misfits, nobody_can_meet
from common.differential import misfits_of
from common.outcomes import TimedOutcome
from common.patches import LESS_AND_LESS
from common.strict_yaml import Place
from common.subgroups import unfit
from common.variables import INDICATOR

if TYPE_CHECKING:
    from common.study import Study

ID = "id"


def misfits_of_study(study: "Study") -> Iterator[tuple[Place, str]]:
    """Fields that do not fit each other."""
    outcome, outcome_columns, clinical = study.outcome, study.outcome_columns(), study.predictors.clinical
    if len(set(outcome_columns)) != len(outcome_columns):
        yield ("outcome", "event"), f"{outcome_columns[1]} is the time already: name the column of events"
    yield from _asks_for_the_id(study)
    yield from misfits_of(study)
    for column in sorted(set(outcome_columns) & set(clinical)):
        yield ("predictors", "clinical"), f"{column} is the outcome: take it out"
    for column in sorted({name for name in clinical if clinical.count(name) > 1}):
        yield ("predictors", "clinical"), f"{column} stands here twice: keep one"
    for column in clinical:
        if "=" in column or column.endswith(INDICATOR):
            said = f"{column}: '=' and '{INDICATOR}' belong to derived columns: rename it (columns.yaml)"
            yield ("predictors", "clinical"), said
    if study.features is not None and not study.predictors.radiomics:
        said = "features are computed and none is a predictor: name some here, or take out the section features"
        yield ("predictors", "radiomics"), said
    if not clinical and not study.predictors.radiomics:
        yield ("predictors",), "no column is named: give clinical, radiomics or both"
    for column in sorted(set(outcome_columns) & set(study.harmonisation.preserve or [])):
        yield ("harmonisation", "preserve"), f"{column} is the outcome, it would leak: take it out"
    for column in study.harmonisation.levels:
        if column in outcome_columns:
            yield ("harmonisation", "batch"), f"{column} is the outcome: write hospital"
        elif study.variable(column).type != "category":
            yield ("harmonisation", "batch"), f"{column}: give it type: category and levels under variables"
    criteria = [(criterion, study.variable(criterion.column)) for criterion in study.cohort.include]
    for index, (criterion, variable) in enumerate(criteria):
        yield from ((("cohort", "include", index, *place), said) for place, said in misfits(criterion, variable))
    yield from ((("cohort", "include", index), said) for index, said in nobody_can_meet(criteria))
    declared = study.variables.get(outcome_columns[-1])
    if outcome.kind == "multiclass" and (declared is None or declared.type != "category"):
        yield ("variables", outcome_columns[-1]), "a multiclass outcome needs type: category and its levels"
    if isinstance(outcome, TimedOutcome):
        yield from outcome.misfits(study.variables)
    elif outcome.kind != "multiclass" and declared is not None and declared.type != "binary":
        yield ("variables", outcome_columns[-1], "type"), f"found {declared.type}; this outcome needs binary"
    if study.selection is not None:
        yield from ((("selection", *place), said) for place, said in study.selection.misfits(outcome))
    yield from _compared(study)
    yield from unfit(study.subgroups, study.variable, [ID, *outcome_columns])
    if outcome.kind == "horizon":
        yield from _asked_unweighted(study)
    fitting = {"multiclass": "multinomial", "survival": "cox"}.get(outcome.kind, "logistic")
    if study.model.baseline != "by-hospital" and study.model.kind != "cox":
        yield ("model", "baseline"), f"{study.model.kind} has no baseline: take it out"
    if (outcome.kind, study.model.kind) == ("multiclass", "ordinal"):
        fitting = "ordinal"  # the levels of the outcome then rise
    if study.patches is not None and (study.network is None or not study.network.sees_images):
        said = "no network looks at them: write network.architecture: cnn3d, mil25d or fusion, or take them out"
        yield ("patches",), said
    if study.model.kind == "network" or study.network is not None:
        yield from _with_a_network(study)
    elif study.model.kind != fitting:
        yield ("model", "kind"), f"{study.model.kind} does not fit a {outcome.kind} outcome: write {fitting}"


def _with_a_network(study: "Study") -> Iterator[tuple[Place, str]]:
    """What does not go together with a network."""
    if study.network is not None and study.network.sees_images and study.patches is None:
        said = f"{study.network.architecture} looks at images: add the section patches, or write mlp"
        yield ("network", "architecture"), said
    if study.network is None:
        yield ("network",), "model.kind: network needs this section: write network: {} for its defaults"
        return
    if study.model.kind != "network":
        yield ("network",), f"model.kind is {study.model.kind}: write kind: network, or take the section out"
    for name in sorted(study.model.model_fields_set - {"kind", "inner_folds"}):
        yield ("model", name), "a network has none: take it out; see network.weight_decay and early_stopping"
    if study.network.early_stopping is None and "inner_folds" in study.model.model_fields_set:
        said = "no patient is held out: write network.early_stopping too, or take it out"
        yield ("model", "inner_folds"), said
    if study.stacks():
        yield ("compare",), "networks' scores are not stacked: name columns for every model"
    yield from (
        (("network", *place), said) for place, said in study.network.misfits(study.outcome.kind == "survival")
    )
    if study.network.also is not None:
        taken = dict.fromkeys(study.harmonisation.preserve or [], "kept by harmonisation.preserve")
        taken |= dict.fromkeys(study.harmonisation.levels, "a batch of harmonisation")
        taken |= dict.fromkeys((subgroup.column for subgroup in study.subgroups), "the column of a subgroup")
        taken |= dict.fromkeys(study.predictors.clinical, "among predictors.clinical")
        taken |= dict.fromkeys(study.outcome_columns(), "the study's outcome")
        found = study.network.also.misfits(taken, study.outcome.kind, study.variables)
        yield from ((("network", "also", *place), said) for place, said in found)


def _asked_unweighted(study: "Study") -> Iterator[tuple[Place, str]]:
    """What has no form with weights yet, so that an outcome at a horizon would drop those who were lost."""
    why = "it has no weights for patients who were lost before the horizon"
    if study.model.kind == "network":
        yield ("model", "kind"), f"a network is not fitted to an event at a horizon, {why}: write logistic"
    if study.validation.bootstrap:
        yield ("validation", "bootstrap"), f"{why}: write 0"
    if study.validation.external:
        yield ("validation", "external"), f"external hospitals' follow-up is their own, {why}: take it out"
    if study.subgroups:
        yield ("subgroups",), f"{why}: take the section out"


def _compared(study: "Study") -> Iterator[tuple[Place, str]]:
    """Models of the section `compare` that could not be fitted."""
    for name, candidate in study.compare.items():
        place = ("compare", name)
        if not re.fullmatch(MODEL_NAME, name):
            yield place, "a model's name is letters, digits, spaces and - _ . +, at most 40"
        if candidate.stack is not None and (candidate.clinical or candidate.radiomics):
            yield place, "a model stacks others or looks at columns: make two models of it"
        sees = candidate.stack or candidate.clinical or candidate.radiomics or study.shown_to(name) != "none"
        if not sees:
            yield place, "no column is named: give clinical, radiomics or stack"
        yield from _compared_by_image(study, name, candidate)
        named = candidate.clinical if isinstance(candidate.clinical, list) else []
        for column in sorted(set(named) - set(study.predictors.clinical)):
            yield (*place, "clinical"), f"{column} is not among predictors.clinical: add it there"
        for other in candidate.stack or []:
            if other not in study.compare or study.compare[other].stack is not None:
                yield (*place, "stack"), f"{other} is no model of this section that looks at columns"


def _compared_by_image(study: "Study", name: str, candidate: Candidate) -> Iterator[tuple[Place, str]]:
    """What a model cannot be shown of the patches."""
    place = ("compare", name, "image")
    if study.network is None or not study.network.sees_images or study.patches is None:
        if candidate.image is not None:
            yield place, "no network looks at images: take it out, or write architecture: fusion"
        return
    if LESS_AND_LESS.index(study.shown_to(name)) < LESS_AND_LESS.index(study.patches.shown):
        yield place, f"patches.shown is {study.patches.shown}: {candidate.image} is more than there is"
    if study.network.architecture != "fusion":
        if candidate.image in (None, "none"):
            yield place, f"{study.network.architecture} looks at images alone: say which part, or write fusion"
        if candidate.clinical or candidate.radiomics:
            yield place[:2], f"{study.network.architecture} looks at no column: name none, or write fusion"


def _asks_for_the_id(study: "Study") -> Iterator[tuple[Place, str]]:
    """A study that could look at the id could ask for a person."""
    asked: list[tuple[Place, list[str]]] = [
        (("outcome",), study.outcome_columns()),
        (("network", "also", "outcome"), study.second_columns()),
        (("cohort", "include"), [criterion.column for criterion in study.cohort.include]),
        (("predictors", "clinical"), study.predictors.clinical),
        (("harmonisation", "preserve"), study.harmonisation.preserve or []),
        (("harmonisation", "batch"), study.harmonisation.levels),
        (("variables",), list(study.variables)),
    ]
    for place, columns in asked:
        if ID in columns:
            yield place, f"{ID} names patients and is no column that a study may use: take it out"
