"""ComBat by variables whose levels several hospitals share (kernel, contrast): four rounds a variable.

How many patients each level has, then the levels' means, products centred on them, and the spread round them: all
are totals over hospitals, so the levels' γ and δ are found by the coordinator and published. A level that fewer
than ten patients have in some split is treated as unknown: its sums would be theirs. Its patients are left as they
are, and are ten at least, or subtracting two totals would show them. Variables are taken one after the other.
Exact: as pooled ComBat with the level as batch (tests/server/test_combat.py).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from common.errors import StudyStopped
from common.query import SMALLEST_DIFFERENCE
from common.study import Study
from harmonization.empirical_bayes import BatchEffect
from harmonization.parameters import CombatParameters
from harmonization.shared_levels import LevelMeans, level_effects, level_means
from server.federation import Federation
from server.methods.layout import Layout
from server.methods.regression import columns_of, combat_view, fit_split


def harmonise_by_levels(
    federation: Federation, study: Study, layout: Layout, view: str
) -> tuple[str, list[CombatParameters], list[str]]:
    """Harmonise by every batch variable: the view to the result, the last variable's parameters, and notes."""
    parameters: list[CombatParameters] = []
    notes: list[str] = []
    for variable in study.harmonisation.levels:
        levels, said = _levels_of_enough_patients(federation, study, view, variable)
        view, parameters = _one_shared_variable(federation, study, layout, view, variable, levels)
        notes += said
    return view, parameters, notes


def _levels_of_enough_patients(
    federation: Federation, study: Study, view: str, variable: str
) -> tuple[list[int], list[str]]:
    """The levels that ten patients and more have in every split; StudyStopped where those left over are too few."""
    counts = federation.ask(
        "combat_level_counts", view=view, splits=federation.splits, parameters={"variable": variable}
    ).sums["patients"]
    names = study.variable(variable).levels or []
    levels = np.flatnonzero(counts[:, :-1].min(axis=0) > SMALLEST_DIFFERENCE - 0.5).tolist()
    rare = [name for k, name in enumerate(names) if k not in levels and counts[:, k].any()]
    left_over = counts.sum(axis=1) - counts[:, levels].sum(axis=1)
    found = f"{variable}: {', '.join(rare) or 'no level'}"
    if not levels:
        raise StudyStopped(
            f"harmonisation.batch: no level of {variable} has {SMALLEST_DIFFERENCE} patients in every training set. "
            "Merge levels under variables, or take batch: hospital"
        )
    if ((left_over > 0.5) & (left_over < SMALLEST_DIFFERENCE - 0.5)).any():
        raise StudyStopped(
            f"harmonisation.batch: fewer than {SMALLEST_DIFFERENCE} patients of a training set have a rare level of "
            f"{variable} or none ({found} is rare), and the difference of two totals would show their features. "
            f"Merge levels under variables, or ask for {variable} by a criterion of the cohort (known: true)"
        )
    notes = (
        [f"Harmonisation: {found} has too few patients for an effect of its own; left as it is"] if rare else []
    )
    return levels, notes


def _one_shared_variable(
    federation: Federation, study: Study, layout: Layout, view: str, variable: str, levels: list[int]
) -> tuple[str, list[CombatParameters]]:
    splits = federation.splits
    asked = columns_of(layout) | {"features": list(layout.features), "variable": variable, "levels": levels}
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
