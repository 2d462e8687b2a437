"""A hospital that joins later: it harmonises its own table with a study's frozen model, and sends nothing.

B, grand mean and σ stay as the study fitted them; γ and δ are worked out here from the hospital's own patients,
without their outcomes. No round, no message: this file knows neither Flower nor a coordinator.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from client import harmonise
from client.cohort.cohort import Cohort, read_cohort
from client.cohort.faults import counted, near_miss, some
from client.harmonised_table import harmonised_lines
from client.members import Members
from client.own_files import write_csv
from client.site import Site
from client.view import Views
from common.errors import HepafedError
from common.frozen_model import FrozenModel
from common.model_steps import chain
from common.query import View
from common.splits import FINAL
from harmonization.apply import check_cells
from harmonization.new_hospital import estimate_new_hospital

ESTIMATED_HERE = ("combat", "covbat")
"""Steps for which a hospital needs a shift and scale of its own; those of shared levels are in the model."""


@dataclass(frozen=True)
class Joined:
    """What was done: for how many patients and features, and what the hospital should know about it."""

    patients: int
    features: int
    notes: tuple[str, ...]
    advice: tuple[str, ...]


class NeedsFeatures(Protocol):
    """A model that asks for features by their names."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def features(self) -> tuple[str, ...]:
        """The features that a hospital needs."""


@dataclass(frozen=True)
class InTheModel:
    """The views of a model file, by their hash."""

    path: Path
    steps: tuple[View, ...]

    def view(self, view_hash: str) -> bytes:
        return next(view.to_bytes() for view in self.steps if view.hash == view_hash)


def harmonise_here(site: Site, model: FrozenModel, out: Path, *, mean_only: bool = False) -> Joined:
    """Harmonise a hospital's features with a frozen model; write them beside the patients' ids.

    Parameters
    ----------
    out
        The csv file to write: id, then the features on the scale they came in; gaps stay gaps.
    mean_only
        Shift only, whatever the study did: recommended under 30 patients.

    Raises
    ------
    HepafedError
        Where the hospital's files do not hold what the model needs.
    """
    cohort, notes = as_the_model_needs(read_cohort(site, model.study, outcome_needed=False), model, site)
    members = Members(site.name, model.study, cohort, guard="none")
    steps = _for_a_newcomer(model, mean_only)
    views = Views(members, InTheModel(out, steps))
    try:
        lines = list(harmonised_lines(cohort, views, steps[-1].hash))
        advice = [text for view in steps for text in _advice(view, views, members, model)]
    except (ValueError, KeyError, IndexError) as error:
        raise HepafedError(f"the model {model.name} does not fit its own study ({error})") from error
    write_csv(out, ["id", *cohort.feature_names], lines)
    return Joined(len(cohort.ids), len(cohort.feature_names), notes, tuple(advice))


def as_the_model_needs(cohort: Cohort, model: NeedsFeatures, site: Site) -> tuple[Cohort, tuple[str, ...]]:
    """The cohort with the model's features alone; columns are found by their names, in whatever order they stand."""
    path = site.folder / site.file.features
    absent = [name for name in model.features if name not in cohort.feature_names]
    if absent:
        near = {name: near_miss(name, cohort.feature_names) for name in absent[:3]}
        hints = "; ".join(f"{found} looks like {name}" for name, found in near.items() if found)
        raise HepafedError(
            f"{path}: {len(absent)} of the {counted(len(model.features), 'feature')} that the model {model.name} "
            f"was fitted on are not there: {some(absent, 5)}; extract them with the study's settings, or rename "
            f"their columns{f' ({hints})' if hints else ''}"
        )
    known = set(model.features)
    kept = [j for j, name in enumerate(cohort.feature_names) if name in known]
    others = [name for name in cohort.feature_names if name not in known]
    notes = cohort.notes
    if others:
        notes += (f"{path}: the model does not know {some(others, 5)}: not written",)
    names = tuple(cohort.feature_names[j] for j in kept)
    return replace(cohort, feature_names=names, features=cohort.features[:, kept]), notes


def _for_a_newcomer(model: FrozenModel, mean_only: bool) -> tuple[View, ...]:
    """The model's steps, with gaps of features left open: here every feature's n may be its own, for none leaves.

    CovBat cannot work round gaps; there they are filled with the study's means, and opened again at the end.
    """
    columns = [str(name) for name in model.steps[0].parameters["columns"]]
    features = [columns.index(name) for name in model.features]
    complete = any(view.step == "covbat" for view in model.steps)
    steps: list[tuple[str, dict[str, Any], dict[str, np.ndarray]]] = []
    for view in model.steps:
        parameters, arrays = dict(view.parameters), {name: array[0] for name, array in view.arrays.items()}
        if view.step == "impute" and not complete:
            arrays["fill"] = arrays["fill"].copy()
            arrays["fill"][features] = np.nan
        if view.step in ESTIMATED_HERE and mean_only:
            parameters["settings"] = parameters["settings"] | {"mean_only": True}
        steps.append((view.step, parameters, arrays))
    return chain(steps)


def _advice(view: View, views: Views, members: Members, model: FrozenModel) -> list[str]:
    """What a step could not do, and how well the hospital's own shift and scale are known."""
    if view.parent is None or view.step not in (*ESTIMATED_HERE, "levels"):
        return []
    fitted = views.fitted(view, FINAL)
    before = views.matrix(view.parent, FINAL)
    numbers = fitted.numbers("features")
    harmonised = model.features[: len(numbers)]  # after them stand features that were left out as too rare
    parameters = replace(
        harmonise.parameters_of(fitted), feature_names=harmonised, covariate_names=model.covariates
    )
    covariates = harmonise.design(before, view.parameters)
    features = before[:, numbers]
    advice = check_cells(covariates, features, parameters)
    if view.step == "levels":
        return advice + _on_levels(view, members)
    if parameters.reference == members.hospital:
        return [*advice, f"{members.hospital} is the study's reference: its table stays as it is"]
    batches = members.batches()
    labels = np.unique(batches).tolist()
    for label in labels:
        rows = batches == label
        found = estimate_new_hospital(parameters, covariates[rows], features[rows]).advice
        advice += [f"{label}: {text}" if len(labels) > 1 else text for text in found]
    return advice


def _on_levels(view: View, members: Members) -> list[str]:
    """Whose level the study never saw."""
    variable = str(view.parameters["variable"])
    names = members.study.variable(variable).levels or []
    codes, seen = members.levels(variable), view.arrays["level_patients"][0] > 0
    here = {names[code] for code in np.unique(codes[codes >= 0]).tolist()}
    advice = [f"{variable}: the effects of its levels are in the model; nothing was estimated here"]
    unseen = sorted(here - {name for name, known in zip(names, seen, strict=True) if known})
    if unseen:
        advice.append(f"{variable}: no patient of the study had {', '.join(unseen)}: left as they are here")
    if (codes < 0).any():
        patients = counted(int((codes < 0).sum()), "patient")
        advice.append(f"{variable}: not known for {patients}: not harmonised by it")
    return advice
