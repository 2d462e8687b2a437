"""What models are of use for: at which thresholds, better than which other, and what their predictions are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from common.splits import Label
from common.study import Study
from server.evaluation.comparison import Comparison, LikelihoodRatio, Pair, compare, likelihood_ratio
from server.evaluation.discrimination import Discrimination
from server.evaluation.operating import OperatingPoint, judge_thresholds
from server.evaluation.parts import Part, share_parts
from server.federation import Federation
from server.methods.models import Models
from server.methods.pipeline import Prepared


@dataclass(frozen=True)
class Released:
    """One model as fitted to all patients.

    Parameters
    ----------
    coefficients
        On the standardised columns, the intercept first; None for a model of other models' scores, and a network.
    likelihood
        Its log-likelihood; None where the fit was penalised, so that no likelihood ratio means anything.
    """

    coefficients: np.ndarray | None
    likelihood: float | None = None


def released_models(study: Study, models: Models) -> dict[str, Released]:
    """Every model as fitted to all patients, with its log-likelihood where no penalty or weights stand in its way."""
    plain = study.model.penalty == "none" and study.outcome.kind != "horizon"
    return {
        name: Released(
            model.fitted.standardised[0] if model.fitted else None,
            float(model.fitted.optimum.likelihood[0]) if model.fitted and plain else None,
        )
        for name, model in models.by_name.items()
    }


@dataclass(frozen=True)
class Use:
    """Operating points by label, comparisons by pair of labels, likelihood ratios by pair of models, parts by model."""

    operating: dict[str, OperatingPoint] = field(default_factory=dict)
    compared: dict[Pair, Comparison] = field(default_factory=dict)
    likelihood_ratios: dict[Pair, LikelihoodRatio] = field(default_factory=dict)
    parts: dict[str, dict[str, Part]] = field(default_factory=dict)


def judge_use(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    view: str,
    splits: tuple[str, ...],
    found: Mapping[str, Discrimination],
    models: Mapping[str, Released],
) -> Use:
    """Judge the use of all models of a study; what its outcome does not allow is empty.

    Parameters
    ----------
    view
        The models' linear predictors.
    splits
        The study's outer splits.
    found
        How every label discriminates; empty where the outcome is a time.
    """
    linear = {name: m.coefficients for name, m in models.items() if m.coefficients is not None}
    return Use(
        operating=judge_thresholds(federation, view, splits, found, study.evaluation) if found else {},
        compared=compare(federation, view, found, pairs_of(tuple(found))),
        likelihood_ratios=_likelihood_ratios(prepared, models),
        parts=share_parts(federation, study, prepared, linear) if linear and study.lines() == 1 else {},
    )


def pairs_of(labels: tuple[str, ...]) -> list[Pair]:
    """Every two models by the same scheme and class; the study's first model is the second of its pairs."""
    side_by_side: dict[tuple[str, str], list[str]] = {}
    for label in labels:
        read = Label.read(label)
        side_by_side.setdefault((read.scheme, read.level), []).append(label)
    return [
        (b, a) if not Label.read(a).model else (a, b) for s in side_by_side.values() for a, b in combinations(s, 2)
    ]


def _likelihood_ratios(prepared: Prepared, models: Mapping[str, Released]) -> dict[Pair, LikelihoodRatio]:
    """Every two nested models, the smaller first."""
    tested = {}
    columns = {
        name: {c for c, b in zip(prepared.columns, m.coefficients[1:], strict=True) if b != 0}
        for name, m in models.items()
        if m.coefficients is not None
    }
    for small in columns:
        for large in columns:
            a, b = models[small].likelihood, models[large].likelihood
            ratio = None if a is None or b is None else likelihood_ratio(a, b, columns[small], columns[large])
            if ratio is not None:
                tested[small, large] = ratio
    return tested
