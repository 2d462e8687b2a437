"""The first model of a run, as results.json says it (docs/results.md describes every key)."""

from typing import Any

import numpy as np

from server.finished import Finished
from server.results.network import model_of_networks


def model_of(finished: Finished) -> dict[str, Any]:
    """The key `model`: the first model of the study, fitted on all rows and in every split."""
    if finished.models.networks is not None:
        return model_of_networks(finished.models.networks)
    columns, fitted, study = finished.groundwork.prepared.columns, finished.models.first, finished.study
    return {
        "kind": study.model.kind,
        "penalty": study.model.penalty,
        "strength": float(finished.models.by_name[""].strength[0]),
        "intercept": float(fitted.original[0, 0]),
        "coefficients": dict(zip(columns, map(float, fitted.original[0, 1:]), strict=True)),
        "standardised": dict(zip(columns, map(float, fitted.standardised[0, 1:]), strict=True)),
        "standard_errors": _standard_errors(finished),
        "log_likelihood": float(fitted.optimum.likelihood[0]),
        "rounds": fitted.optimum.rounds,
        "by_split": {
            split: {
                "intercept": float(fitted.original[k, 0]),
                "coefficients": dict(zip(columns, map(float, fitted.original[k, 1:]), strict=True)),
            }
            for k, split in enumerate(finished.splits)
        },
    }


def _standard_errors(finished: Finished) -> dict[str, float] | None:
    """Wald errors of the coefficients in their own units; a penalised or weighted fit has none that mean anything."""
    if finished.study.model.penalty != "none" or finished.evaluated.horizon:
        return None
    prepared, fits = finished.groundwork.prepared, finished.models.first.optimum
    variance = np.diag(np.linalg.inv(fits.hessian[0]))[fits.family.intercepts :]
    used = fits.problems[0].columns
    return {
        prepared.columns[j]: float(np.sqrt(v) / prepared.spread[0, j]) for j, v in zip(used, variance, strict=True)
    }
