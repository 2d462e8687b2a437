"""ComBat from sums, in every fold at once: mirrored by client/queries/combat.py, worked out in harmonization/.

y = grand + c·B + γ_h·σ + δ_h·σ·ε: the coordinator finds B, grand and σ from one message of hospital-centred sums
(Frisch–Waugh), each hospital finishes alone, and its γ, δ never leave. Rounds: 1 for the plain variant, whatever
the number of folds; one more with a reference hospital. Exact: within 1e-9 SD of pooled neuroHarmonize
(tests/server/test_combat.py, tests/harmonization).
"""

from dataclasses import dataclass

import numpy as np

from common.study import Study
from harmonization.parameters import CombatParameters
from harmonization.reference import fit_reference
from harmonization.transform import Transform
from server.federation import Federation
from server.methods.covbat import covbat_view
from server.methods.layout import Layout
from server.methods.regression import combat_view, fit_all
from server.methods.shared_levels import harmonise_by_levels
from server.methods.transform import YEO_JOHNSON_ROUNDS, choose_transforms, transform_view


@dataclass(frozen=True)
class Harmonised:
    """The views just before and after harmonisation, on one scale, and the parameters of every split."""

    before: str
    view: str
    parameters: tuple[CombatParameters, ...]
    transforms: tuple[Transform, ...]
    notes: tuple[str, ...]


def harmonise(
    federation: Federation, study: Study, layout: Layout, view: str, mean: np.ndarray, spread: np.ndarray
) -> Harmonised:
    """Fit the study's harmonisation on the training rows of every split.

    Parameters
    ----------
    view
        Imputed columns.
    mean, spread
        Of all columns, splits × columns, from earlier totals: where the transform is centred.
    """
    transforms = choose_transforms(federation, study, layout, view, mean, spread)
    if study.harmonisation.transform != "none":
        view = federation.keep(transform_view(federation, layout, view, transforms))
    if study.harmonisation.levels:
        after, by_level, said = harmonise_by_levels(federation, study, layout, view)
        return Harmonised(view, after, tuple(by_level), tuple(transforms), (*said, *_notes(by_level)))
    parameters = fit_all(federation, study, layout, view)
    step = combat_view("combat", federation, layout, view, parameters)
    if study.harmonisation.reference is not None:
        parameters = _to_reference(federation, study.harmonisation.reference, federation.keep(step), parameters)
        step = combat_view("combat", federation, layout, view, parameters)
    if study.harmonisation.method == "covbat":
        step = covbat_view(federation, layout, view, parameters)
    return Harmonised(view, federation.keep(step), tuple(parameters), tuple(transforms), _notes(parameters))


def rounds_of(study: Study) -> int:
    """How many exchanges the study's harmonisation takes."""
    chosen = study.harmonisation
    if chosen.method == "none":
        return 0
    transform = {"none": 0, "signed-log": 1, "yeo-johnson": YEO_JOHNSON_ROUNDS}[chosen.transform]
    if chosen.levels:
        return transform + 4 * len(chosen.levels)
    return transform + 1 + (chosen.reference is not None) + 3 * (chosen.method == "covbat")


def _to_reference(
    federation: Federation, reference: str, view: str, fitted: list[CombatParameters]
) -> list[CombatParameters]:
    """Move grand and σ to the reference hospital's; a split that leaves it out keeps the pooled ones."""
    sums = federation.ask("combat_reference", view=view, splits=federation.splits).sums
    return [
        fit_reference(p, {key: value[k] for key, value in sums.items()}, reference) if sums["n"][k].any() else p
        for k, p in enumerate(fitted)
    ]


def _notes(fitted: list[CombatParameters]) -> tuple[str, ...]:
    """What the fit on all rows had to say, and what only some folds said."""
    notes = [f"Harmonisation: {finding}" for finding in fitted[0].findings]
    later = {finding for p in fitted[1:] for finding in p.findings} - set(fitted[0].findings)
    return (*notes, *(f"Harmonisation, in some folds: {finding}" for finding in sorted(later)))
