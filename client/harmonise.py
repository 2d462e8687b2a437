"""Harmonisation as steps of a view: transform, ComBat, shared levels, CovBat.

The federated parameters arrive as arrays; this hospital's own shift and scale are estimated here, from the rows
that the split trains on, and stay here. A hospital that a split holds out whole estimates them on one unlabelled
half of its patients for the other half, and the other way round (`unseen: calibrate`), or is left as it is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from client.steps import Fitted
from harmonization.apply import estimate_batches, harmonise_batches
from harmonization.arrays import Array
from harmonization.covbat import Components, estimate_scores, harmonise_covariance, residuals
from harmonization.empirical_bayes import BatchEffect, unchanged
from harmonization.parameters import CombatParameters, CombatSettings
from harmonization.transform import Transform


def transform_of(fitted: Fitted) -> Transform:
    """The shared transform of a view."""
    return Transform(
        fitted.view.parameters["kind"], fitted.array("location"), fitted.array("scale"), fitted.array("powers")
    )


def transform(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """The shared transform of the feature columns."""
    columns = fitted.numbers("features")
    result = matrix.copy()
    result[:, columns] = transform_of(fitted).forward(matrix[:, columns])
    return result


def parameters_of(fitted: Fitted) -> CombatParameters:
    """ComBat's federated parameters for one split."""
    said = fitted.view.parameters
    return CombatParameters(
        settings=CombatSettings(**said["settings"]),
        coefficients=fitted.array("coefficients"),
        grand_mean=fitted.array("grand_mean"),
        variance=fitted.array("variance"),
        constant=fitted.array("constant") > 0,
        groups=np.asarray(said["groups"], dtype=np.int64),
        patients=fitted.array("patients"),
        reference=str(said["reference"][fitted.view.splits.index(fitted.split)]),
    )


def _tables(matrix: np.ndarray, fitted: Fitted) -> tuple[Array, Array]:
    """Preserved covariates and features of all patients."""
    return design(matrix, fitted.view.parameters), matrix[:, fitted.numbers("features")]


def design(matrix: np.ndarray, said: Any) -> Array:
    """The covariates as ComBat sees them: single precision as neuroHarmonize has it, smooth ones expanded."""
    from harmonization.neuroharmonize import single_precision
    from harmonization.splines import SmoothTerm, with_splines

    numbers = [int(n) for n in said["covariates"]]
    smooth = {str(n): SmoothTerm(tuple(term["knots"]), term["penalty"]) for n, term in said["smooth"].items()}
    names = [str(n) for n in numbers]
    values = matrix[:, numbers]
    linear = [name not in smooth for name in names]
    values = np.where(linear, single_precision(values), values)
    table, _, _ = with_splines(values, names, smooth)
    return table


def _by_rows_that_may_teach(
    fitted: Fitted, features: Array, adjust: Callable[[np.ndarray, np.ndarray], Array]
) -> Array:
    """Adjust all patients by an effect learned from some of them: `adjust(teachers, pupils)`."""
    members = fitted.members
    taught = members.training(fitted.split)
    if taught.any():
        return adjust(taught, np.ones(len(taught), dtype=bool))
    if members.study.harmonisation.unseen == "none":
        return features
    half = members.calibration_half()
    result = features.copy()
    result[half] = adjust(~half, half)
    result[~half] = adjust(half, ~half)
    return result


def combat(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """ComBat by hospital, or by scanner within the hospital."""
    parameters = parameters_of(fitted)
    covariates, features = _tables(matrix, fitted)
    fitted.require(features.shape[1] == len(parameters.grand_mean), "one grand mean a feature")
    batches = fitted.members.batches()

    def adjust(teachers: np.ndarray, pupils: np.ndarray) -> Array:
        effects = _effects(fitted, parameters, covariates, features, batches, teachers)
        harmonised, _ = harmonise_batches(
            covariates[pupils], features[pupils], parameters, batches[pupils], effects
        )
        return harmonised

    result = matrix.copy()
    result[:, fitted.numbers("features")] = _by_rows_that_may_teach(fitted, features, adjust)
    return result


def _effects(
    fitted: Fitted,
    parameters: CombatParameters,
    covariates: Array,
    features: Array,
    batches: np.ndarray,
    teachers: np.ndarray,
) -> dict[Any, BatchEffect]:
    """γ and δ of every batch in this hospital; the reference hospital stays as it is."""
    if parameters.reference == fitted.members.hospital:
        return {fitted.members.hospital: unchanged(features.shape[1])}
    return estimate_batches(covariates[teachers], features[teachers], parameters, batches[teachers])


def levels(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """ComBat by the levels of a variable that several hospitals share; their γ and δ are published."""
    parameters = parameters_of(fitted)
    covariates, features = _tables(matrix, fitted)
    gamma, delta = fitted.array("gamma"), fitted.array("delta")
    seen = fitted.array("level_patients") > 0
    nothing = np.zeros(features.shape[1])
    effects: dict[Any, BatchEffect] = {
        level: BatchEffect(nothing, gamma[level], delta[level], gamma[level], delta[level], nothing, nothing)
        for level in np.flatnonzero(seen).tolist()
    }
    codes = fitted.members.levels(str(fitted.view.parameters["variable"]))
    harmonised, _ = harmonise_batches(covariates, features, parameters, codes, effects)
    result = matrix.copy()
    result[:, fitted.numbers("features")] = harmonised
    return result


def residual_table(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """CovBat's residuals after ComBat, a column a feature; for the patients that the split trains on."""
    parameters = parameters_of(fitted)
    covariates, features = _tables(matrix, fitted)
    batches, taught = fitted.members.batches(), fitted.members.training(fitted.split)
    effects = _effects(fitted, parameters, covariates, features, batches, taught)
    table = np.zeros((len(matrix), len(fitted.numbers("features"))))
    for label, effect in effects.items():
        rows = np.flatnonzero((batches == label) & taught)
        table[np.ix_(rows, np.flatnonzero(parameters.harmonised))] = residuals(
            covariates[rows], features[rows], parameters, effect
        )
    return table


def _components(fitted: Fitted, parameters: CombatParameters) -> Components:
    kept = parameters.harmonised
    return Components(
        fitted.array("component_mean")[kept],
        fitted.array("component_scale")[kept],
        fitted.array("component_rotation")[kept],
        0.0,
    )


def residual_scores(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """The residuals' scores on CovBat's components."""
    parameters = parameters_of(fitted)
    return _components(fitted, parameters).scores(residual_table(matrix, fitted)[:, parameters.harmonised])


def covbat(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
    """ComBat, then the hospital's scores on the shared components to mean 0 and the pooled spread."""
    parameters = parameters_of(fitted)
    covariates, features = _tables(matrix, fitted)
    basis, variance = _components(fitted, parameters), fitted.array("score_variance")
    batches = fitted.members.batches()

    def adjust(teachers: np.ndarray, pupils: np.ndarray) -> Array:
        effects = _effects(fitted, parameters, covariates, features, batches, teachers)
        adjusted = features.copy()
        for label, effect in effects.items():
            taught, rows = teachers & (batches == label), pupils & (batches == label)
            own = residuals(covariates[taught], features[taught], parameters, effect)
            scores = estimate_scores(own, basis, variance)
            adjusted[rows] = harmonise_covariance(
                covariates[rows], features[rows], parameters, effect, basis, variance, scores
            )
        return adjusted[pupils]

    result = matrix.copy()
    result[:, fitted.numbers("features")] = _by_rows_that_may_teach(fitted, features, adjust)
    return result
