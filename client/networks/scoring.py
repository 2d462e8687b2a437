"""The step `network` of a view: from prepared columns to the outputs of every model's network."""

import numpy as np

from client.networks.local_training import lines_of
from client.networks.own_state import OwnState
from client.patches.packing import packed_patches
from client.steps import Fitted
from common.networks import flat
from common.networks.build import build
from common.networks.settings import Network


def network(matrix: np.ndarray, fitted: Fitted, own: OwnState) -> np.ndarray:
    """Outputs of all models' networks, side by side: patients × (models × lines).

    Arrays: `weights` (models × weights); `columns` (models × inputs), the numbers of the columns that each looks at, −1
    for none; `rounds` (models), after how many rounds these are the weights. Under FedBN the hospital's own
    normalisation of that round is taken, with statistics over its training rows; where it did not train, the average of
    the others' with statistics over all of its rows.
    """
    study = fitted.members.study
    settings = study.network or Network()
    found, images = [], packed_patches(study, fitted.members.cohort)
    for m, (weights, columns, after) in enumerate(
        zip(fitted.array("weights"), fitted.array("columns"), fitted.array("rounds"), strict=True)
    ):
        numbers = columns[columns >= 0].astype(np.int64)
        x = np.zeros((len(matrix), len(columns)))
        x[:, : len(numbers)] = matrix[:, numbers]
        x = np.concatenate([x, images], axis=1)
        reference = None
        if settings.strategy == "fedbn":
            trains = fitted.members.training(fitted.split)
            reference = x[: len(trains)][trains] if trains.any() else x
            kept = own.up_to(f"{fitted.split}@{study.models()[m]}", int(after))
            if kept is not None:
                weights = weights.copy()
                weights[flat.of_batch_normalisation(build(study, len(columns)))] = kept
        found.append(lines_of(study, x, weights, reference))
    return np.concatenate(found, axis=1)
