"""CovBat (doi:10.1002/hbm.25688): after ComBat, bring the hospitals' covariances together; three more rounds.

The residuals' mean, their p × p covariance (so at most N/3 − 1 features), the scores' spread within hospitals.
What leaves: those, as masked totals. Exact: as on the pooled table (tests/server/test_combat.py).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.query import View
from harmonization.arrays import symmetric
from harmonization.covbat import Components, components
from harmonization.parameters import CombatParameters
from server.federation import Federation
from server.methods.layout import Layout
from server.methods.regression import combat_view


def covbat_view(federation: Federation, layout: Layout, parent: str, fitted: list[CombatParameters]) -> View:
    """Three more rounds: the residuals' mean, their covariance, the scores' spread within hospitals."""
    splits = federation.splits
    residuals = federation.keep(combat_view("residuals", federation, layout, parent, fitted))
    nowhere = np.zeros((len(splits), len(layout.harmonised_features)))
    first = federation.ask("moments", view=residuals, splits=splits, arrays={"centre": nowhere}).sums
    mean = first["first"] / np.maximum(first["known"], 1)
    products = federation.ask("covariance", view=residuals, splits=splits, arrays={"centre": mean}).sums[
        "products"
    ]
    bases = [_basis(products[k], mean[k], float(first["known"][k].max()), fitted[k]) for k in range(len(splits))]
    arrays = _component_arrays(bases, fitted)
    scored = _with_arrays(combat_view("residual_scores", federation, layout, parent, fitted), arrays)
    spread = federation.ask("within_spread", view=federation.keep(scored), splits=splits).sums["spread"]
    patients = first["known"].max(axis=1)
    variance = {"score_variance": spread / patients[:, None]}
    return _with_arrays(combat_view("covbat", federation, layout, parent, fitted), arrays | variance)


def _basis(products: np.ndarray, mean: np.ndarray, patients: float, fitted: CombatParameters) -> Components:
    kept = np.flatnonzero(fitted.harmonised)
    whole = symmetric(products, len(mean))
    triangle = whole[np.ix_(kept, kept)][np.triu_indices(len(kept))]
    return components({"n": np.array([patients]), "ee": triangle}, mean[kept])


def _component_arrays(bases: list[Components], fitted: list[CombatParameters]) -> dict[str, np.ndarray]:
    """The components of all splits in arrays of one shape; what is not there is 0 and changes nothing."""
    features, most = len(fitted[0].grand_mean), max(basis.rotation.shape[1] for basis in bases)
    mean, scale = np.zeros((len(bases), features)), np.ones((len(bases), features))
    rotation = np.zeros((len(bases), features, most))
    for k, (basis, parameters) in enumerate(zip(bases, fitted, strict=True)):
        kept = np.flatnonzero(parameters.harmonised)
        mean[k, kept], scale[k, kept] = basis.mean, basis.scale
        rotation[k, kept, : basis.rotation.shape[1]] = basis.rotation
    return {"component_mean": mean, "component_scale": scale, "component_rotation": rotation}


def _with_arrays(view: View, arrays: Mapping[str, np.ndarray]) -> View:
    return replace(view, arrays={**view.arrays, **arrays})
