"""A study's harmonisation, frozen: harmonisation.json, with which a hospital can join later on its own."""

from pathlib import Path

import numpy as np

from common.frozen_model import FrozenModel
from common.model_steps import chain
from common.query import View
from common.splits import FINAL
from common.whole_files import AS_THE_UMASK_SAYS, whole
from server.finished import Finished


def frozen_model(finished: Finished) -> FrozenModel | None:
    """The steps to the harmonised features, fitted on all training rows; None where nothing was harmonised."""
    prepared, stable = finished.groundwork.prepared, finished.groundwork.stable
    harmonised, layout = prepared.harmonised, prepared.layout
    if harmonised is None or layout is None:
        return None
    features = stable.kept if stable else finished.present.features
    return FrozenModel(
        study=finished.study,
        covariates=harmonised.parameters[0].covariate_names,
        features=(*layout.feature_names, *sorted(set(features) - set(layout.feature_names))),
        findings=harmonised.parameters[0].findings,
        steps=chain([final_step(view) for view in finished.harmonising_steps]),
    )


def write_frozen_model(finished: Finished, path: Path) -> None:
    """Write the model so that it is there whole or not at all; nothing where the study does not harmonise."""
    model = frozen_model(finished)
    if model is None:
        return
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(model.to_text())


def final_step(view: View) -> tuple[str, dict[str, object], dict[str, np.ndarray]]:
    """A step for the split of all training rows alone."""
    if not view.splits:
        return view.step, dict(view.parameters), {}
    k = view.splits.index(FINAL)
    parameters = dict(view.parameters)
    if "reference" in parameters:  # the reference of each split
        parameters["reference"] = [parameters["reference"][k]]
    return view.step, parameters, {name: array[k] for name, array in view.arrays.items()}
