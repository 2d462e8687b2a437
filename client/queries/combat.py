"""ComBat's sums: mirrored by server/methods/combat.py, worked out in harmonization/."""

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat

from client.harmonise import design, parameters_of
from client.queries.registry import ColumnNumbers, Knots, Parameters, bounded_array, per_split, query
from client.rows import Rows
from client.view_bounds import LARGEST, refuse
from client.view_values import LAST_DIGITS, check_power
from common.query import Answer
from harmonization.arrays import Sums
from harmonization.covbat import residual_crossproducts, score_sums
from harmonization.reference import no_reference_sums, reference_sums
from harmonization.shared_levels import LevelMeans, level_crossproducts, level_spread_sums, level_sums
from harmonization.sums import combat_sums
from harmonization.transform import magnitude_sums
from harmonization.yeo_johnson import yeo_johnson_sums

MAXIMUM_LEVELS = 1000


class Curve(Parameters):
    """Knots and penalty of one smooth covariate."""

    knots: Knots
    penalty: Annotated[FiniteFloat, Field(ge=0, le=1e6)]


class Combat(Parameters):
    """Numbers of the view's columns: covariates, complete features, and features with gaps."""

    covariates: ColumnNumbers
    features: ColumnNumbers
    incomplete: ColumnNumbers = ()
    smooth: dict[str, Curve] = {}


class LevelCounts(Parameters):
    """One batch variable whose levels several hospitals share."""

    variable: str


class CombatLevels(Parameters):
    """The same for one batch variable whose levels several hospitals share; patients at other levels are left out."""

    covariates: ColumnNumbers
    features: ColumnNumbers
    variable: str
    levels: tuple[Annotated[int, Field(ge=0, lt=MAXIMUM_LEVELS)], ...]
    smooth: dict[str, Curve] = {}


class CombatLevelMeans(CombatLevels):
    """With the levels' means from the first round (splits × levels × columns)."""

    level_patients: per_split(0, 1e9, None)  # type: ignore[valid-type]
    level_covariates: bounded_array(3, -LARGEST, LARGEST)  # type: ignore[valid-type]  # none where nothing is preserved
    level_features: per_split(-LARGEST, LARGEST, None, None)  # type: ignore[valid-type]


class FromView(Parameters):
    """Everything is in the view."""


class Magnitudes(Parameters):
    """Numbers of the feature columns."""

    features: ColumnNumbers


class YeoJohnson(Parameters):
    """A public grid of powers (splits × powers × features), and where features are centred and scaled."""

    features: ColumnNumbers
    grid: per_split(-LAST_DIGITS, 2 + LAST_DIGITS, None, None)  # type: ignore[valid-type]
    location: per_split(-LARGEST, LARGEST, None)  # type: ignore[valid-type]
    scale: per_split(1e-300, LARGEST, None)  # type: ignore[valid-type]


def _stacked(answers: Iterable[Sums], prefix: str = "") -> dict[str, np.ndarray]:
    """The sums of all splits, one leading row each."""
    listed = list(answers)
    return {f"{prefix}{key}": np.array([sums[key] for sums in listed]) for key in listed[0]}


@query(
    "combat",
    Combat,
    leaves="Per fold: number of patients, sums of the covariates and features, and their products centred on this "
    "hospital's own means (covariate × covariate, covariate × feature, feature squared).",
)
def combat(rows: Rows, asked: Combat) -> Answer:
    """The one message of ComBat, for every split."""
    said = _said(rows, asked)
    complete: list[Sums] = []
    with_gaps: list[Sums] = []
    for matrix, batches in zip(rows.matrices(), rows.batches(), strict=True):
        covariates = design(matrix, said)
        complete.append(combat_sums(covariates, matrix[:, list(asked.features)], batches=batches))
        if asked.incomplete:
            gaps = combat_sums(covariates, matrix[:, list(asked.incomplete)], batches=batches, missing=True)
            with_gaps.append(gaps)
    return Answer(sums=_stacked(complete) | (_stacked(with_gaps, "gaps_") if with_gaps else {}))


@query(
    "combat_reference",
    FromView,
    leaves="From the reference hospital alone: mean and variance of every feature. From all others: zeros.",
)
def combat_reference(rows: Rows, _: FromView) -> Answer:
    """The reference hospital's own mean and variance, on the rows that each split trains on."""
    answers = []
    for split, chosen in rows.chosen():
        fitted = rows.fitted(split)
        if fitted.view.step != "combat":
            refuse("combat_reference: the view must hold ComBat's parameters")
        parameters = parameters_of(fitted)
        if rows.study.harmonisation.reference != rows.site.name or not chosen.any():
            answers.append(no_reference_sums(parameters))
            continue
        before = rows.parent_matrix(split)[chosen]
        features = before[:, fitted.numbers("features")]
        answers.append(reference_sums(design(before, fitted.view.parameters), features, parameters))
    return Answer(sums=_stacked(answers))


@query(
    "combat_level_counts",
    LevelCounts,
    leaves="Per fold: how many patients each level of the batch variable has, and of how many it is unknown.",
)
def combat_level_counts(rows: Rows, asked: LevelCounts) -> Answer:
    """Patients by level, those of unknown level last."""
    number = rows.number_of_levels(asked.variable)
    codes = rows.members.levels(asked.variable)
    counts = [
        np.bincount(np.where(codes < 0, number, codes)[chosen], minlength=number + 1)
        for _, chosen in rows.chosen()
    ]
    return Answer(sums={"patients": np.array(counts, dtype=np.float64)})


@query(
    "combat_level_sums",
    CombatLevels,
    leaves="Per fold and level of the batch variable: patients, sums of columns.",
)
def combat_level_sums(rows: Rows, asked: CombatLevels) -> Answer:
    """Round 2 of ComBat over shared levels."""
    return Answer(
        sums=_stacked(
            level_sums(covariates, features, codes, rows.number_of_levels(asked.variable))
            for covariates, features, codes in _by_level(rows, asked)
        )
    )


@query(
    "combat_level_products",
    CombatLevelMeans,
    leaves="Per fold: products of covariates and features, centred on the levels' means over all hospitals.",
)
def combat_level_products(rows: Rows, asked: CombatLevelMeans) -> Answer:
    """Round 3 of ComBat over shared levels."""
    return Answer(
        sums=_stacked(
            level_crossproducts(covariates, features, codes, _means(rows, asked, k))
            for k, (covariates, features, codes) in enumerate(_by_level(rows, asked))
        )
    )


@query(
    "combat_level_spread", CombatLevelMeans, leaves="Per fold and level: squared distances from the level's mean."
)
def combat_level_spread(rows: Rows, asked: CombatLevelMeans) -> Answer:
    """Round 4 of ComBat over shared levels; the view is the one whose parameters round 3 gave."""
    view = rows.fitted(rows.query.splits[0]).view if rows.query.splits else None
    if view is None or view.step != "combat" or list(asked.features) != view.parameters["features"]:
        refuse("combat_level_spread: the view must hold the parameters of these features")
    answers = []
    for k, (split, chosen) in enumerate(rows.chosen()):
        fitted = rows.fitted(split)
        before = rows.parent_matrix(split)[chosen]
        codes = _codes(rows, asked)[chosen]
        known = codes >= 0
        covariates = design(before, fitted.view.parameters)[known]
        features = before[:, list(asked.features)][known]
        answers.append(
            level_spread_sums(covariates, features, codes[known], _means(rows, asked, k), parameters_of(fitted))
        )
    return Answer(sums=_stacked(answers))


@query("magnitudes", Magnitudes, leaves="Per fold and feature: number of known values and the sum of their sizes.")
def magnitudes(rows: Rows, asked: Magnitudes) -> Answer:
    """Σ|x|, for the power of ten that the signed log starts from."""
    return Answer(sums=_stacked(magnitude_sums(matrix[:, list(asked.features)]) for matrix in rows.matrices()))


@query(
    "yeo_johnson",
    YeoJohnson,
    leaves="Per fold, feature and candidate power: sum and sum of squares of the transformed values.",
)
def yeo_johnson(rows: Rows, asked: YeoJohnson) -> Answer:
    """The sums from which the coordinator chooses each feature's power."""
    if rows.study.harmonisation.transform != "yeo-johnson" or rows.study.harmonisation.method == "none":
        refuse("yeo_johnson: the study does not ask for this transform")
    if not asked.grid.shape[2] == asked.location.shape[1] == asked.scale.shape[1] == len(asked.features):
        refuse("yeo_johnson: expected powers, location and scale of every feature")
    answers = []
    for matrix, grid, location, scale in zip(
        rows.matrices(), asked.grid, asked.location, asked.scale, strict=True
    ):
        features = matrix[:, list(asked.features)]
        if len(features):
            check_power(features, location, scale)
        answers.append(yeo_johnson_sums(features, grid, location, scale))
    return Answer(sums=_stacked(answers))


class Centre(Parameters):
    """Where each column is centred (splits × columns)."""

    centre: per_split(-LARGEST, LARGEST, "columns")  # type: ignore[valid-type]


@query(
    "covariance", Centre, leaves="Per fold: products of the residuals of every two harmonised features (CovBat)."
)
def covariance(rows: Rows, asked: Centre) -> Answer:
    """The upper triangle of Σ (x − c)(x − c)ᵀ."""
    triangles = [
        residual_crossproducts(matrix, centre)["ee"]
        for matrix, centre in zip(rows.matrices(), asked.centre, strict=True)
    ]
    return Answer(sums={"products": np.array(triangles)})


@query(
    "within_spread", FromView, leaves="Per fold and component: squared distances from this hospital's own mean."
)
def within_spread(rows: Rows, _: FromView) -> Answer:
    """Σ (x − x̄ of the batch)², summed over this hospital's batches."""
    spread = [
        score_sums(matrix, batches)["zz"] for matrix, batches in zip(rows.matrices(), rows.batches(), strict=True)
    ]
    return Answer(sums={"spread": np.array(spread)})


def _said(rows: Rows, asked: Combat | CombatLevels) -> dict[str, object]:
    """The covariates and their curves, which must be the study's."""
    smooth = {k: v.model_dump() | {"knots": list(v.knots)} for k, v in asked.smooth.items()}
    rows.refuse_other_covariates(asked.covariates, smooth)
    return {"covariates": asked.covariates, "smooth": smooth}


def _by_level(rows: Rows, asked: CombatLevels) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Covariates, features and level codes of the patients at the levels asked about, split by split."""
    said = _said(rows, asked)
    for matrix, (_, chosen) in zip(rows.matrices(), rows.chosen(), strict=True):
        codes = _codes(rows, asked)[chosen]
        known = codes >= 0
        yield design(matrix, said)[known], matrix[:, list(asked.features)][known], codes[known]


def _codes(rows: Rows, asked: CombatLevels) -> np.ndarray:
    """Every patient's level; −1 where it is unknown or not asked about."""
    codes = rows.members.levels(asked.variable)
    return np.where(np.isin(codes, asked.levels), codes, -1)


def _means(rows: Rows, asked: CombatLevelMeans, k: int) -> LevelMeans:
    """The levels' means for one split."""
    levels, features = rows.number_of_levels(asked.variable), len(asked.features)
    shapes = asked.level_patients.shape[1], asked.level_covariates.shape[:2], asked.level_features.shape[1:]
    if shapes != (levels, (len(rows.query.splits), levels), (levels, features)):
        refuse(f"the levels' means have the shapes {shapes}, expected {levels} levels of {features} features")
    return LevelMeans(asked.level_patients[k], asked.level_covariates[k], asked.level_features[k])
