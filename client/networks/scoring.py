"""The step `network` of a view: from prepared columns to the outputs of every model's network."""

from collections.abc import Iterator

import numpy as np

from client.networks.local_training import AT_A_TIME, lines_of
from client.networks.own_state import OwnState
from client.patches.packing import packed_patches
from client.steps import Fitted
from common.networks.build import own_layers, settings_of
from common.networks.packing import packed_width


def network(matrix: np.ndarray, fitted: Fitted, own: OwnState) -> np.ndarray:
    """Outputs of all models' networks, side by side: patients × (models × lines).

    Arrays: `weights` (models × weights); `columns` (models × inputs), the numbers of the columns that each looks at, −1
    for none; `rounds` (models), after how many rounds these are the weights. Of FedBN's normalisation and a personal
    head the hospital's own of that round are taken; where it did not train, the average of the others'. Statistics of
    FedBN are those of its training rows; where it did not train, of all of its rows.
    """
    lines = fitted.members.study.lines()
    return np.concatenate([found[:, :lines] for found in _outputs(matrix, fitted, own)], axis=1)


def second_lines(matrix: np.ndarray, fitted: Fitted, own: OwnState) -> np.ndarray:
    """Linear predictors of the second outcome by all models' networks: patients × models."""
    lines = fitted.members.study.lines()
    return np.column_stack([found[:, lines] for found in _outputs(matrix, fitted, own)])


def _outputs(matrix: np.ndarray, fitted: Fitted, own: OwnState) -> Iterator[np.ndarray]:
    """Patients × all lines, model by model."""
    study = fitted.members.study
    settings = settings_of(study)
    for m in range(len(study.models())):
        x, weights = columns_of(matrix, fitted, m), own_weights(fitted, m, own)
        if packed_width(study):
            yield _with_images(x, fitted, weights, study.models()[m])
            continue
        reference = None
        if settings.strategy == "fedbn":
            trains = fitted.members.training(fitted.split)
            reference = x[: len(trains)][trains] if trains.any() else x
        yield lines_of(study, x, weights, reference)


def columns_of(matrix: np.ndarray, fitted: Fitted, model: int) -> np.ndarray:
    """The columns that a model's network looks at, and zeros up to the width that all have."""
    columns = fitted.array("columns")[model]
    numbers = columns[columns >= 0].astype(np.int64)
    found = np.zeros((len(matrix), len(columns)))
    found[:, : len(numbers)] = matrix[:, numbers]
    return found


def own_weights(fitted: Fitted, model: int, own: OwnState) -> np.ndarray:
    """A model's weights, with this hospital's own layers where it has such."""
    study, weights = fitted.members.study, fitted.array("weights")[model]
    if not settings_of(study).keeps_own:
        return weights
    kept = own.up_to(f"{fitted.split}@{study.models()[model]}", int(fitted.array("rounds")[model]))
    if kept is None:
        return weights
    mixed = weights.copy()
    mixed[own_layers(study, fitted.array("columns").shape[-1])] = kept
    return mixed


def _with_images(x: np.ndarray, fitted: Fitted, weights: np.ndarray, model: str) -> np.ndarray:
    """A few patients at a time: the patches of all of them are gigabytes."""
    study, cohort = fitted.members.study, fitted.members.cohort
    found = []
    for first in range(0, len(x), AT_A_TIME):
        some = np.zeros(len(x), dtype=bool)
        some[first : first + AT_A_TIME] = True
        packed = np.concatenate([x[some], packed_patches(study, cohort, some, model)], axis=1)
        found.append(lines_of(study, packed, weights))
    return np.concatenate(found)
