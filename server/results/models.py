"""The models of a run, as results.json says it (docs/results.md describes every key)."""

from typing import Any

import numpy as np

from server.finished import Finished
from server.methods.models import OneModel
from server.methods.pipeline import design_columns
from server.results.performance import performance_of


def models_of(finished: Finished) -> dict[str, Any]:
    """Every model by name; the first, over all predictors, is called ''."""
    return {name: _one(finished, name, model) for name, model in finished.models.by_name.items()}


def _one(finished: Finished, name: str, model: OneModel) -> dict[str, Any]:
    clinical = len(design_columns(finished.study, ()))
    looked_at = model.columns[0]
    return {
        "clinical": int(looked_at[:clinical].sum()),
        "radiomics": int(looked_at[clinical:].sum()),
        "image": None if (seen := finished.study.shown_to(name)) == "none" else seen,
        "weighed": _weighed(model),
        "strength": float(model.strength[0]) if model.fitted and finished.study.model.penalty != "none" else None,
        "strength_by_split": dict(zip(finished.splits, map(float, model.strength), strict=True))
        if model.fitted and finished.study.model.strength == "cross-validated"
        else {},
        "stack": dict(zip(model.stacked, map(float, model.weights[0, 1:]), strict=True))
        if model.stacked
        else None,
        "coefficients": _coefficients(finished, model),
        "performance": performance_of(finished, name),
    }


def _weighed(model: OneModel) -> int:
    """Columns of the final model whose coefficient is not 0."""
    if model.fitted is None:
        return int(model.columns[0].sum())
    return int((model.fitted.lines[0, :, 1:] != 0).any(axis=0).sum())


def _coefficients(finished: Finished, model: OneModel) -> dict[str, Any]:
    """Of the final model, on the columns in their own units: a list where there is one for every class."""
    if model.fitted is None:
        return {}
    own = model.fitted.own_units[0]
    named = {"": own[:, 0]} | {
        c: own[:, 1 + j] for j, c in enumerate(finished.groundwork.prepared.columns) if np.any(own[:, 1 + j])
    }
    return {name or "intercept": float(v[0]) if len(v) == 1 else list(map(float, v)) for name, v in named.items()}
