"""What every query's sums are: how wide, over which rows, how often a study may ask; what is not here is not answered.

`width` is q, the columns of the largest cross-product (an intercept not counted): so many columns need 3(q + 1)
patients in total. `times` is how often a study asks it under one roster, from server/methods and server/evaluation.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.queries.registry import Parameters
from client.rows import Rows
from common.errors import Code, HospitalError
from common.outcomes import needed_for_classes
from common.privacy_plan import times_of
from common.study import Study
from common.variables import INDICATOR

ITERATIONS = 60
"""Of Newton's method; the gate allows a third of the patients, where that is less."""


def _no_products(_: Rows, __: Any, ___: int) -> int:
    return 0


def _none_known(_: Rows, __: Any) -> list[tuple[str, ...]]:
    return [()]


def _no_cells(_: Rows, __: Any) -> Iterator[np.ndarray]:
    return iter(())


def _once(_: Study) -> int:
    return 1


@dataclass(frozen=True)
class Declared:
    """What the gate must know of a query.

    Parameters
    ----------
    width
        Columns of the largest cross-product, for the split of a number.
    times
        How often a study asks it.
    one_view
        All questions of a study name one view.
    known
        Sets of columns; its sums are over the rows in which all of a set are known.
    cells
        Counts of this hospital's own patients whose sums stand by themselves in the total.
    splits_once
        A split is asked about once: further messages are about other splits.
    vectors
        It asks problems, each at coefficients of its own: every one counts towards the third of the patients that
        may be asked of a split. Otherwise a question counts 1.
    rounds
        It asks a round of training by its number, each once; the arrays of a round are large, and are not remembered.
    """

    width: Callable[[Rows, Any, int], int] = _no_products
    times: Callable[[Study], int] = _once
    one_view: bool = False
    known: Callable[[Rows, Any], list[tuple[str, ...]]] = _none_known
    cells: Callable[[Rows, Any], Iterator[np.ndarray]] = _no_cells
    vectors: bool = False
    splits_once: bool = False
    rounds: bool = False


def declared(name: str) -> Declared:
    """What is declared of a query; one of which nothing is declared is refused."""
    if name not in DECLARED:
        raise HospitalError(Code.NOT_ALLOWED, f"query {name!r}: the gate does not know how wide its sums are")
    return DECLARED[name]


def expanded(covariates: tuple[int, ...], smooth: Mapping[str, Any]) -> int:
    """How many columns covariates have after their curves are laid out."""
    return sum(len(smooth[str(j)].knots) + 1 if str(j) in smooth else 1 for j in covariates)


def _widest_problem(rows: Rows, asked: Any, k: int) -> int:
    """Slopes of all columns between which second derivatives of a split are asked, in one problem or in several."""
    blocks = rows.study.lines() if rows.query.name == "multinomial" else 1
    return blocks * len(set[int]().union(*(asked.columns[j] for j in asked.curved if asked.of[j] == k)))


def _all_columns(_: Rows, asked: Any, k: int) -> int:
    """Columns between which second derivatives of a split are asked, in one problem or in several."""
    return len(set[int]().union(*(asked.columns[j] for j, of in enumerate(asked.of) if of == k)))


def _changed_features(rows: Rows, _: Parameters, k: int) -> int:
    return _kept(rows, k, "constant", lambda constant: constant == 0)


def _kept(rows: Rows, k: int, array: str, keeps: Callable[[np.ndarray], np.ndarray]) -> int:
    """How many columns the last step of the view keeps in a split; all where it has no say."""
    if not rows.query.splits:
        return 0
    if array not in rows.views.chain(str(rows.query.view))[0].arrays:
        return rows.width() or 0
    return int(keeps(rows.fitted(rows.query.splits[k]).array(array)).sum())


def _covariates_and_feature(_: Rows, asked: Any, __: int) -> int:
    return expanded(asked.covariates, asked.smooth) + 1


def _effect_columns(_: Rows, asked: Any, __: int) -> int:
    biology = expanded(asked.preserved, asked.smooth) + asked.outcome
    return max(expanded(asked.covariates, asked.smooth), biology) + 1


def _classifier_columns(_: Rows, asked: Any, k: int) -> int:
    widest = len(asked.columns[k]) if k < len(asked.columns) else 0
    return max(widest, expanded(asked.covariates, asked.smooth))


def _named_columns(_: Rows, asked: Any, k: int) -> int:
    return len(asked.columns[k]) if k < len(asked.columns) else 0


def _groups(_: Rows, asked: Any, __: int) -> int:
    return int(asked.beta.shape[1])


def _phases(rows: Rows, _: Parameters, __: int) -> int:
    features = rows.study.features
    return len(features.habitats.phases) if features is not None and features.habitats is not None else 0


def _names(rows: Rows, numbers: tuple[int, ...]) -> tuple[str, ...]:
    """The columns of patients.csv or features.csv behind columns of the view."""
    names = rows.views.chain(str(rows.query.view))[-1].parameters["columns"]
    return tuple(str(names[j]).partition("=")[0] for j in numbers if not str(names[j]).endswith(INDICATOR))


def _targets_known(rows: Rows, asked: Any) -> list[tuple[str, ...]]:
    return [_names(rows, asked.targets)]


def _each_feature_known(rows: Rows, asked: Any) -> list[tuple[str, ...]]:
    return [(), *((name,) for name in _names(rows, asked.incomplete))]


def _outcome_known(rows: Rows, _: Any) -> list[tuple[str, ...]]:
    """At a horizon, sums of classes are over those of whom it is known; whoever is not counts as a gap there."""
    return [needed_for_classes(rows.study.outcome)]


def _each_outcome_known(rows: Rows, asked: Any) -> list[tuple[str, ...]]:
    """A network's losses: of the study's outcome, and of a second one over those of whom it is known."""
    return _outcome_known(rows, asked) + [(column,) for column in rows.study.second_columns()[-1:]]


def _second_known(rows: Rows, _: Any) -> list[tuple[str, ...]]:
    return [tuple(rows.study.second_columns()[-1:])]


def _patients_by_level(rows: Rows, asked: Any) -> Iterator[np.ndarray]:
    codes = rows.members.levels(asked.variable)
    for _, chosen in rows.chosen():
        counts = np.bincount(codes[chosen & (codes >= 0)], minlength=rows.number_of_levels(asked.variable))
        yield counts[[level for level in asked.levels if level < len(counts)]]


def _clinical_columns(study: Study) -> int:
    return 1 + sum(len(study.variable(name).columns(name)) for name in study.predictors.clinical)


def _level_variables(study: Study) -> int:
    return max(1, len(study.harmonisation.levels))


def _habitat_iterations(study: Study) -> int:
    features = study.features
    return features.habitats.iterations if features is not None and features.habitats is not None else 1


def _iterations(_: Study) -> int:
    return ITERATIONS


def _rounds(study: Study) -> int:
    return study.network.rounds if study.network is not None else 0


def _times(number: int) -> Callable[[Study], int]:
    return lambda _: number


_BY_LEVEL = Declared(times=_level_variables, cells=_patients_by_level)
_PRODUCTS_BY_LEVEL = Declared(_covariates_and_feature, _level_variables, cells=_patients_by_level)
_SCREENING = Declared(times=_times(12), one_view=True, splits_once=True)
_ALIKE = Declared(_named_columns, times=_times(12), one_view=True, splits_once=True)
_CLASSIFIER = Declared(width=_classifier_columns)
_LEARNT = Declared(width=_phases, times=_habitat_iterations)
_FIT = Declared(
    width=_widest_problem, times=_times(3 * ITERATIONS), one_view=True, vectors=True, known=_outcome_known
)

DECLARED: Mapping[str, Declared] = {
    "roll_call": Declared(),
    "cohort_counts": Declared(),
    "moments": Declared(times=_times(5)),
    "complete_rows": Declared(times=_clinical_columns),
    "cross_products": Declared(width=lambda _, asked, __: len(asked.predictors), known=_targets_known),
    "combat": Declared(width=_covariates_and_feature, known=_each_feature_known),
    "combat_reference": Declared(width=lambda *_: 1),
    "combat_level_counts": Declared(times=_level_variables),
    "combat_level_sums": _BY_LEVEL,
    "combat_level_products": _PRODUCTS_BY_LEVEL,
    "combat_level_spread": _BY_LEVEL,
    "magnitudes": Declared(),
    "yeo_johnson": Declared(times=_times(2), one_view=True),
    "covariance": Declared(width=_changed_features),
    "within_spread": Declared(),
    "hospital_effect": Declared(width=_effect_columns),
    "rank_counts": Declared(),
    "rank_sums": Declared(),
    "classifier_sums": _CLASSIFIER,
    "classifier_auc": _CLASSIFIER,
    "retest": Declared(width=lambda *_: 2),
    "logistic": _FIT,
    "multinomial": _FIT,
    "ordinal": _FIT,
    "cox": _FIT,
    "attention": Declared(one_view=True),
    "attribution": Declared(one_view=True),
    "train_network": Declared(times=_rounds, one_view=True, vectors=True, known=_each_outcome_known, rounds=True),
    "second_task": Declared(one_view=True, known=_second_known),
    "cox_cells": Declared(times=_times(6), one_view=True),
    "cox_risk_sets": Declared(times=_iterations, one_view=True, vectors=True),
    "cox_curvature": Declared(
        width=_all_columns,
        times=_iterations,
        one_view=True,
        vectors=True,
    ),
    "tuning": Declared(one_view=True, vectors=True, known=_outcome_known),
    "recalibration": Declared(width=lambda *_: 1, times=_iterations, one_view=True, known=_outcome_known),
    "class_sums": _SCREENING,
    "class_histograms": _SCREENING,
    "cox_scores": _SCREENING,
    "rank_histograms": _SCREENING,
    "rank_products": _ALIKE,
    "feature_products": _ALIKE,
    "column_counts": Declared(times=_times(5), one_view=True),
    "score_counts": Declared(times=_times(4), one_view=True),
    "discrimination": Declared(one_view=True),
    "bootstrap": Declared(one_view=True),
    "subgroup_counts": Declared(),
    "subgroup_sums": Declared(one_view=True),
    "lone_columns": Declared(one_view=True),
    "membership": Declared(one_view=True),
    "external_figures": Declared(one_view=True),
    "training_classes": Declared(one_view=True),
    "training_counts": Declared(one_view=True),
    "group_counts": Declared(one_view=True),
    "threshold_classes": Declared(one_view=True),
    "paired_predictions": Declared(one_view=True),
    "placement_products": Declared(one_view=True),
    "parts": Declared(width=_groups, one_view=True),
    "private_moments": Declared(one_view=True),
    "private_gradient": Declared(times=lambda study: times_of(study, "private_gradient"), one_view=True),
    "private_histograms": Declared(one_view=True),
    "exits": Declared(),
    "survival_counts": Declared(),
    "censoring": Declared(),
    "horizon_predictions": Declared(one_view=True, known=_outcome_known),
    "paired_at_horizon": Declared(one_view=True, known=_outcome_known),
    "survival_order": Declared(one_view=True),
    "training_risk": Declared(times=lambda study: 4 * len(study.models()), one_view=True),
    "baseline_hazard": Declared(times=lambda study: len(study.models()), one_view=True),
    "survival_risk": Declared(one_view=True),
    "survival_bootstrap": Declared(one_view=True),
    "survival_subgroup_sums": Declared(one_view=True),
    "paired_concordance": Declared(one_view=True),
    "proportional_hazards": Declared(width=_all_columns, one_view=True, vectors=True),
    "own_survival": Declared(),
    "own_copy": Declared(),
    "nyul_landmarks": Declared(),
    "habitat_moments": Declared(width=_phases, times=_times(2)),
    "habitat_clusters": _LEARNT,
    "habitat_mixture": _LEARNT,
    "stability_counts": Declared(),
    "stability_sums": Declared(),
}
