"""Weights by which one patient alone is moved: that patient's columns must not be what an explanation adds up."""

import numpy as np
import torch

from common.networks.build import size, with_weights
from common.query import View
from tests.server.network_tables import COLUMNS
from tests.server.tables import Tables
from tests.server.test_image_networks import imaged


def moved_above(federation: Tables, view: str, level: float) -> np.ndarray:
    """Σ|a_j| by a fused network of which one hidden unit sees the columns, from this level of the first one on."""
    module = with_weights(federation.study, 3, np.zeros(size(federation.study, 3)))
    named = dict(module.named_parameters())
    with torch.no_grad():
        named["network.embeddings.1.weight"][:3, :3] = torch.eye(3)
        columns = named["network.embeddings.1.weight"].shape[0]
        named["network.joined.0.weight"][0, columns : columns + 3] = torch.tensor([1000.0, 1.0, 1.0])
        named["network.joined.0.bias"][0] = -1000.0 * level
        named["network.joined.2.weight"][0, 0] = 1.0
    weights = np.concatenate([named[name].detach().numpy().ravel() for name in sorted(named)])
    arrays = {"weights": weights[None, None], "columns": np.array([[[0.0, 1.0, 2.0]]]), "rounds": np.ones((1, 1))}
    scores = federation.keep(View("network", view, ("final",), {}, arrays))
    return federation.ask("attribution", view=scores, splits=("final",)).sums["columns"]


def test_columns_that_move_one_patient_are_not_added_up() -> None:
    federation, view, _ = imaged(90, {"architecture": "fusion", "rounds": 1})
    first = np.concatenate([members.cohort.columns[COLUMNS[0]] for members in federation.members.values()])
    largest = np.sort((first - first.mean()) / first.std())[-2:]
    alone = 0.2 * largest[0] + 0.8 * 0.98 * largest[1]
    assert largest[0] < alone < largest[1]
    assert moved_above(federation, view, alone)[0] > 0, "a simulation on one machine"
    federation.lower_profile = False
    assert not moved_above(federation, view, alone).any()
    assert (moved_above(federation, view, -5.0) > 0).all(), "what moves everybody is told"
