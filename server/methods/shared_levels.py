"""ComBat by variables whose levels several hospitals share (kernel, contrast): three rounds a variable.

The levels' means, then products centred on them, then the spread round them: all are totals over hospitals, so the
levels' γ and δ are found by the coordinator and published. Variables are taken one after the other. Exact: as
pooled ComBat with the level as batch (tests/server/test_combat.py).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.study import Study
from harmonization.empirical_bayes import BatchEffect
from harmonization.parameters import CombatParameters
from harmonization.shared_levels import LevelMeans, level_effects, level_means
from server.federation import Federation
from server.methods.layout import Layout
from server.methods.regression import columns_of, combat_view, fit_split


def harmonise_by_levels(
    federation: Federation, study: Study, layout: Layout, view: str
) -> tuple[str, list[CombatParameters]]:
    """Harmonise by every batch variable; the view to the result, and the last variable's parameters."""
    parameters: list[CombatParameters] = []
    for variable in study.harmonisation.levels:
        view, parameters = _one_shared_variable(federation, study, layout, view, variable)
    return view, parameters


def _one_shared_variable(
    federation: Federation, study: Study, layout: Layout, view: str, variable: str
) -> tuple[str, list[CombatParameters]]:
    splits = federation.splits
    asked = columns_of(layout) | {"features": list(layout.features), "variable": variable}
    first = federation.ask("combat_level_sums", view=view, splits=splits, parameters=asked).sums
    means = [level_means({key: value[k] for key, value in first.items()}) for k in range(len(splits))]
    arrays = {
        "level_patients": np.array([m.patients for m in means]),
        "level_covariates": np.array([m.covariates for m in means]),
        "level_features": np.array([m.features for m in means]),
    }
    second = federation.ask(
        "combat_level_products", view=view, splits=splits, parameters=asked, arrays=arrays
    ).sums
    fitted = [
        fit_split(study, layout, {key: value[k] for key, value in second.items()}) for k in range(len(splits))
    ]
    pending = federation.keep(combat_view("combat", federation, layout, view, fitted))
    third = federation.ask(
        "combat_level_spread", view=pending, splits=splits, parameters=asked, arrays=arrays
    ).sums
    effects = [
        _by_level(level_effects({key: value[k] for key, value in third.items()}, means[k], fitted[k]), means[k])
        for k in range(len(splits))
    ]
    step = combat_view("levels", federation, layout, view, fitted)
    step = replace(
        step,
        parameters={**step.parameters, "variable": variable},
        arrays={
            **step.arrays,
            "level_patients": arrays["level_patients"],
            "gamma": np.array([gamma for gamma, _ in effects]),
            "delta": np.array([delta for _, delta in effects]),
        },
    )
    return federation.keep(step), fitted


def _by_level(effects: Mapping[int, BatchEffect], means: LevelMeans) -> tuple[np.ndarray, np.ndarray]:
    """γ and δ as levels × features; a level without patients changes nothing."""
    shape = means.features.shape
    gamma, delta = np.zeros(shape), np.ones(shape)
    for level, effect in effects.items():
        gamma[level], delta[level] = effect.gamma, effect.delta
    return gamma, delta
