"""All models of a study, side by side, in the same exchanges: the one over all predictors and those of `compare`.

Every model is a set of columns of the same prepared view; late fusion is a second model over the scores of others,
fitted on scores of patients that those did not see (inner folds). Where the strength of the penalty is cross-validated,
it is chosen for each model and training set by itself (server/methods/tuning.py). Rounds: those of one fit, and of the
tuning and the second fit where there are such.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from common.query import View
from common.splits import INNER
from common.study import Study
from server.federation import Federation
from server.methods.model import Fitted, explain_failure, fit
from server.methods.pipeline import Prepared, design_columns
from server.methods.problems import Fits, Problem, fit_problems
from server.methods.tuning import tune

if TYPE_CHECKING:
    from server.methods.network import Networks


@dataclass(frozen=True)
class OneModel:
    """One model in every outer split.

    Parameters
    ----------
    columns
        Outer splits × columns: what it looked at.
    fitted
        None for a model of scores, and for a network.
    strength
        λ in every outer split.
    weights
        Late fusion: outer splits × (intercept and the weight of each stacked model).
    """

    columns: np.ndarray
    fitted: Fitted | None
    strength: np.ndarray
    stacked: tuple[str, ...] = ()
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class Models:
    """The study's models by name ('' is the first), the view to their linear predictors, and networks' training."""

    by_name: dict[str, OneModel]
    scores: str
    networks: "Networks | None" = None

    @property
    def lines(self) -> np.ndarray:
        """Outer splits × linear predictors × (1 + columns): of the first model; a network has none."""
        return np.zeros((len(self.by_name[""].columns), 0, 0)) if self.networks is not None else self.first.lines

    @property
    def first(self) -> Fitted:
        """The model over all predictors."""
        fitted = self.by_name[""].fitted
        if fitted is None:
            raise ValueError("the first model of a study looks at columns")
        return fitted


def fit_models(federation: Federation, study: Study, prepared: Prepared, active: np.ndarray) -> Models:
    """Fit every model in every split.

    Parameters
    ----------
    active
        Splits × columns: what selection left.
    """
    outer = tuple(split for split in federation.splits if INNER not in split)
    masks = columns_of_models(study, prepared, active)
    problems = [_problem(federation, mask, split) for mask in masks.values() for split in outer]
    strengths = _strengths(federation, study, prepared, problems, masks)
    fits = fit(federation, study, prepared, problems, strengths)
    models = {
        name: OneModel(
            columns=mask[: len(outer)],
            fitted=_part(fits, slice(m * len(outer), (m + 1) * len(outer))),
            strength=strengths[m * len(outer) : (m + 1) * len(outer)],
        )
        for m, (name, mask) in enumerate(masks.items())
    }
    if not study.stacks():
        return Models(models, federation.keep(_linear(study, prepared, models, outer)))
    return _with_stacks(federation, study, prepared, models, masks, outer)


def columns_of_models(study: Study, prepared: Prepared, active: np.ndarray) -> dict[str, np.ndarray]:
    """What every model of columns looks at: splits × columns."""
    features = set(prepared.columns[len(design_columns(study, ())) :])
    masks = {"": active & prepared.used}
    for name, candidate in study.compare.items():
        if candidate.stack is None:
            masks[name] = masks[""] & np.array(candidate.takes(prepared.columns, features.__contains__))
    return masks


def _problem(federation: Federation, mask: np.ndarray, split: str) -> Problem:
    return Problem(split, tuple(np.flatnonzero(mask[federation.splits.index(split)]).tolist()))


def _strengths(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    problems: list[Problem],
    masks: dict[str, np.ndarray],
) -> np.ndarray:
    """λ of every problem: the study's, or what its inner folds choose."""
    if study.model.strength != "cross-validated":
        return np.full(len(problems), float(study.model.strength))
    outer = len(problems) // len(masks)
    inner = [
        [_problem(federation, mask, f"{problem.split}{INNER}{fold}") for fold in range(study.inner_folds())]
        for m, mask in enumerate(masks.values())
        for problem in problems[m * outer : (m + 1) * outer]
    ]
    return tune(federation, study, prepared, problems, inner)


def _part(fits: Fitted, chosen: slice) -> Fitted:
    """The fits of one model."""
    found = fits.optimum
    optimum = replace(
        found,
        problems=found.problems[chosen],
        beta=found.beta[chosen],
        likelihood=found.likelihood[chosen],
        gradient=found.gradient[chosen],
        hessian=found.hessian[chosen],
        converged=found.converged[chosen],
        separated=found.separated[chosen],
        rank_lost=found.rank_lost[chosen],
    )
    return Fitted(fits.lines[chosen], fits.own_units[chosen], optimum)


def _linear(study: Study, prepared: Prepared, models: dict[str, OneModel], splits: tuple[str, ...]) -> View:
    """Linear predictors of all models in the order of the study; models of scores have none yet."""
    width = 1 + len(prepared.columns)
    beta = np.zeros((len(splits), len(study.models()), study.lines(), width))
    for m, name in enumerate(study.models()):
        if name in models:
            beta[:, m] = models[name].fitted.lines  # type: ignore[union-attr]
    lines = beta.reshape(len(splits), -1, width)
    return View(step="linear", parent=prepared.view, splits=splits, arrays={"beta": lines})


def _with_stacks(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    models: dict[str, OneModel],
    masks: dict[str, np.ndarray],
    outer: tuple[str, ...],
) -> Models:
    """Late fusion: inner fits of the stacked models, then a second fit over the scores that they give."""
    inside = tuple(split for split in federation.splits if INNER in split)
    outer_of = [outer.index(split.partition(INNER)[0]) for split in inside]
    problems = [_problem(federation, mask, split) for mask in masks.values() for split in inside]
    strengths = np.concatenate([models[name].strength[outer_of] for name in masks])
    fits = fit(federation, study, prepared, problems, strengths)
    both = {
        name: replace(
            models[name],
            fitted=_joined(models[name].fitted, _part(fits, slice(m * len(inside), (m + 1) * len(inside)))),
        )
        for m, name in enumerate(masks)
    }
    linear = federation.keep(_linear(study, prepared, both, (*outer, *inside)))
    stack = federation.keep(View(step="stack", parent=linear, splits=outer))
    order = study.models()
    stacks = {name: candidate.stack for name, candidate in study.compare.items() if candidate.stack is not None}
    second = [
        Problem(split, tuple(sorted(order.index(part) for part in parts)))
        for parts in stacks.values()
        for split in outer
    ]
    nothing = np.zeros(len(second))
    found = fit_problems(federation, study, stack, second, nothing, nothing, len(order))
    explain_failure(found, order)
    blend = np.zeros((len(outer), len(order), 1 + len(order)))
    for m, name in enumerate(order):
        if name not in stacks:
            blend[:, m, 1 + m] = 1.0
    found_models = dict(models)
    for place, (name, parts) in enumerate(stacks.items()):
        chosen = slice(place * len(outer), (place + 1) * len(outer))
        weights = _weights(found, chosen, len(order))
        blend[:, order.index(name)] = weights
        numbers = sorted(order.index(part) for part in parts)
        found_models[name] = OneModel(
            columns=np.any([models[order[j]].columns for j in numbers], axis=0),
            fitted=None,
            strength=np.zeros(len(outer)),
            stacked=tuple(order[j] for j in numbers),
            weights=weights[:, [0, *(1 + j for j in numbers)]],
        )
    view = View(step="blend", parent=linear, splits=outer, arrays={"beta": blend})
    return Models({name: found_models[name] for name in order}, federation.keep(view))


def _joined(outer: Fitted | None, inner: Fitted) -> Fitted:
    """Lines of outer and inner splits, one after the other; only they are needed of inner fits."""
    if outer is None:
        raise ValueError("a stacked model looks at columns")
    return replace(outer, lines=np.concatenate([outer.lines, inner.lines]))


def _weights(found: Fits, chosen: slice, width: int) -> np.ndarray:
    """Intercept and weights of a model of scores; a Cox model has no intercept."""
    heads, slopes = np.split(found.beta[chosen], [found.family.intercepts], axis=1)
    intercept = heads if heads.shape[1] else np.zeros((len(slopes), 1))
    return np.concatenate([intercept, slopes[:, :width]], axis=1)
