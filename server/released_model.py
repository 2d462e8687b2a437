"""A study's predictive model, released: model.json, with which any hospital scores patients of its own."""

from pathlib import Path

from common.model_steps import chain
from common.released_model import ReleasedModel
from common.splits import APPARENT, FINAL
from common.variables import INDICATOR
from common.whole_files import AS_THE_UMASK_SAYS, whole
from common.whole_hospitals import trains
from server.finished import Finished
from server.frozen_model import final_step, frozen_model

LAST = ("linear", "network")


def released_model(finished: Finished) -> ReleasedModel:
    """The steps from the raw columns to the linear predictors, fitted on all training rows."""
    study, steps = finished.study, []
    for view in finished.scoring_steps:
        steps.append(final_step(view))
        if view.step in LAST:  # after it, models of this study's models' scores
            break
    frozen, operating = frozen_model(finished), finished.evaluated.use.operating.get(APPARENT)
    clinical = {
        c for name in (*study.predictors.clinical, *study.preserved()) for c in study.variable(name).columns(name)
    }
    columns = finished.scoring_steps[0].parameters["columns"]
    return ReleasedModel(
        study=study,
        hospitals=tuple(name for name in finished.roster if trains(study, name)),
        features=tuple(c for c in columns if c not in clinical and not c.endswith(INDICATOR)),
        steps=chain(steps),
        threshold=operating.thresholds[FINAL] if operating else None,
        baseline=finished.evaluated.survival.baseline.get("", {}) if finished.evaluated.survival else {},
        harmonisation=frozen.digest if frozen else "",
    )


def write_released_model(finished: Finished, path: Path) -> None:
    """Write the model so that it is there whole or not at all."""
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(released_model(finished).to_text())
