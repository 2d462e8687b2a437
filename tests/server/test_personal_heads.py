"""Personal heads: the last layer is every hospital's own, everything below it is learnt together."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from client.rows import Rows
from client.view import Views
from common.errors import StudyError
from common.networks import flat
from common.networks.build import build, own_layers
from common.query import Query
from server.methods.models import Models
from tests.hospitals_on_disk import study
from tests.server.network_tables import COLUMNS, equal_hospitals, network_tables, standardised, trained
from tests.server.tables import Tables

PERSONAL: dict[str, Any] = {"personal": "head", "rounds": 6}


def opposed() -> pd.DataFrame:
    """Equal hospitals, in one of which what is a risk elsewhere protects."""
    table = equal_hospitals(80)
    turned = table["hospital"] == "cedar"
    table.loc[turned, "mvi"] = 1 - table.loc[turned, "mvi"]
    return table


def lines(federation: Tables, models: Models, hospital: str, split: str = "final") -> np.ndarray:
    """What a hospital's own patients are scored as."""
    members = federation.members[hospital]
    views = Views(members, federation.kept, federation.states[hospital])
    query = Query("x", federation.study.hash, tuple(federation.members), (split,), view=models.scores)
    found: np.ndarray = Rows(None, members, views, query).linear_predictors(split)[:, 0]  # type: ignore[arg-type]
    return found


def test_what_travels_is_the_average_of_the_hospitals_own_heads() -> None:
    table = equal_hospitals()
    federation, view = network_tables(table, PERSONAL)
    models = trained(federation, view)
    assert models.networks is not None
    mine = own_layers(federation.study, 3)
    assert mine.sum() == 4 + 1, "the last layer over four units"
    heads = [state.up_to("final@", 6) for state in federation.states.values()]
    assert np.abs(np.subtract(heads[0], heads[1])).max() > 1e-3, "they differ"
    np.testing.assert_allclose(models.networks.weights[0, 0][mine], np.mean(heads, axis=0), atol=1e-12)


def test_a_hospital_is_scored_with_its_own_head_and_one_left_out_with_the_average() -> None:
    table = equal_hospitals()
    federation, view = network_tables(table, PERSONAL, validation={"folds": 0, "leave_one_hospital_out": True})
    models = trained(federation, view)
    assert models.networks is not None
    module, matrix = build(federation.study, 3), torch.tensor(standardised(table, COLUMNS))
    mine, split = own_layers(federation.study, 3), "leave_one_hospital_out/alder"
    assert federation.states["alder"].up_to(f"{split}@", 6) is None
    for hospital, number in (("alder", models.networks.splits.index(split)), ("birch", 0)):
        weights = models.networks.weights[number, 0].copy()
        if hospital == "birch":
            weights[mine] = federation.states["birch"].up_to("final@", 6)
        flat.load(module, weights)
        with torch.no_grad():
            expected = module(matrix)[(table["hospital"] == hospital).to_numpy(), 0].numpy()
        found = lines(federation, models, hospital, models.networks.splits[number])
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_own_heads_serve_hospitals_whose_outcomes_follow_other_rules() -> None:
    table, areas = opposed(), {}
    for name, settings in (("shared", {}), ("personal", {"personal": "head"})):
        federation, view = network_tables(table, {"rounds": 20, "local_epochs": 3} | settings)
        models = trained(federation, view)
        areas[name] = roc_auc_score(
            table.loc[table["hospital"] == "cedar", "mvi"], lines(federation, models, "cedar")
        )
    assert areas["shared"] < 0.5 < 0.65 < areas["personal"], areas


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"strategy": "scaffold"}, "does not average what hospitals have of their own"),
        ({"strategy": "fedadam"}, "does not average what hospitals have of their own"),
        ({"server_learning_rate": 0.5}, "moves as they do: write 1"),
    ],
)
def test_strategies_that_do_not_average_have_no_personal_heads(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(predictors={"clinical": COLUMNS}, model={"kind": "network"}, network=PERSONAL | settings)
