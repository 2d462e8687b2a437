"""Two outcomes by one network: shared layers, a head and a loss each, judged within hospitals."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines.utils import concordance_index
from sklearn.metrics import roc_auc_score

from common.errors import HospitalError, StudyError
from common.networks import flat
from common.networks.build import build, first_weights, own_layers
from common.networks.heads import cox, loss_of
from server.evaluation.attention import attention_of
from server.evaluation.second_task import judge_second_task
from tests.hospitals_on_disk import study
from tests.server.network_tables import COLUMNS, equal_hospitals, network_tables, standardised, trained
from tests.server.tables import Tables
from tests.server.test_image_networks import imaged

TIMES: dict[str, Any] = {"also": {"outcome": {"kind": "survival", "time": "days", "event": "died"}, "weight": 0.5}}


def both(table: pd.DataFrame, settings: dict[str, Any], **asked: Any) -> tuple[Tables, str]:
    """A federation whose hospitals also have the columns of the second outcome, in days."""
    federation, view = network_tables(table, TIMES | settings, variables={"days": {"unit": "days"}}, **asked)
    for name, members in federation.members.items():
        own = table[table["hospital"] == name]
        columns = members.cohort.columns | {c: own[c].to_numpy(dtype=float) for c in ("days", "died")}
        federation.members[name] = replace(members, cohort=replace(members.cohort, columns=columns))
    return federation, view


def with_gaps() -> pd.DataFrame:
    """Equal hospitals; birch does not know a third of its patients' times, cedar has three events."""
    table = equal_hospitals()
    birch, cedar = (np.flatnonzero(table["hospital"] == name) for name in ("birch", "cedar"))
    table.loc[birch[::3], "days"] = np.nan
    table.loc[cedar, "died"] = 0.0
    table.loc[cedar[:3], "died"] = 1.0
    return table


def test_two_heads_of_equal_hospitals_with_one_step_are_pooled_training_of_both_losses() -> None:
    table = with_gaps()
    federation, view = both(table, {"local_steps": 1, "batch_size": "all", "rounds": 5})
    found = trained(federation, view).networks
    assert found is not None
    module = build(federation.study, 3)
    flat.load(module, first_weights(federation.study, 3, ""))
    matrix = torch.tensor(standardised(table, COLUMNS))
    for _ in range(5):
        module.zero_grad()
        lines, total = module(matrix), torch.zeros(())
        for name, own in table.groupby("hospital"):
            rows = own.index.to_numpy()
            mvi = torch.tensor(own["mvi"].to_numpy())
            loss = torch.nn.functional.binary_cross_entropy_with_logits(lines[rows, 0], mvi, reduction="sum")
            known = own.dropna()
            if name != "cedar":  # three events are too few for a loss of their own
                days, died = (torch.tensor(known[c].to_numpy()) for c in ("days", "died"))
                loss = loss + 0.5 * len(known) * cox(lines[known.index.to_numpy(), 1], days, died)
            total = total + loss / len(table)
        total.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.3 * parameter.grad
    np.testing.assert_allclose(found.weights[0, 0], flat.vector_of(module), atol=1e-12)
    assert not [name for name, _ in module.named_parameters() if "second.bias" in name], "Cox has no intercept"


def test_the_second_head_is_judged_within_hospitals_as_independent_packages_do() -> None:
    table = with_gaps()
    federation, view = both(table, {"rounds": 2, "hidden": []})
    models = trained(federation, view)
    assert models.networks is not None
    judged = judge_second_task(federation, federation.study, models.scores)["apparent"]
    module = build(federation.study, 3)
    flat.load(module, models.networks.weights[0, 0])
    with torch.no_grad():
        line = module(torch.tensor(standardised(table, COLUMNS)))[:, 1].numpy()
    won = pairs = 0.0
    for name in ("alder", "birch"):  # cedar's few events stay there
        own = table[(table["hospital"] == name)].dropna()
        c = concordance_index(own["days"], -line[own.index], own["died"])
        many = sum(
            ((own["days"] > t) | ((own["days"] == t) & (own["died"] == 0))).sum()
            for t in own.loc[own["died"] == 1, "days"]
        )
        won, pairs = won + c * many, pairs + many
    assert judged.within_sites.value == pytest.approx(won / pairs, abs=1e-9)
    seen = table[table["hospital"] != "cedar"].dropna()
    assert (judged.patients, judged.events) == (len(seen), int(seen["died"].sum()))


def test_a_binary_second_outcome_is_judged_by_auc() -> None:
    table = equal_hospitals()
    second = {"also": {"outcome": {"kind": "binary", "column": "mvi"}}}
    asked: dict[str, Any] = {"observed": ["days", "died"]}
    federation, view = network_tables(table, second | {"rounds": 3}, **asked)
    for name, members in federation.members.items():
        own = table.loc[table["hospital"] == name, "mvi"].to_numpy()
        federation.members[name] = replace(
            members, cohort=replace(members.cohort, columns=members.cohort.columns | {"mvi": own})
        )
    models = trained(federation, view)
    assert models.networks is not None
    judged = judge_second_task(federation, federation.study, models.scores)["apparent"]
    module = build(federation.study, 3)
    flat.load(module, models.networks.weights[0, 0])
    with torch.no_grad():
        line = module(torch.tensor(standardised(table, COLUMNS)))[:, 1].numpy()
    won = pairs = 0.0
    for _, own in table.groupby("hospital"):
        many = own["mvi"].sum() * (1 - own["mvi"]).sum()
        won, pairs = won + many * roc_auc_score(own["mvi"], line[own.index]), pairs + many
    assert judged.within_sites.value == pytest.approx(won / pairs, abs=1e-12)


def test_the_second_loss_shapes_what_both_heads_share() -> None:
    federation, view = both(equal_hospitals(), {"rounds": 3})
    alone, alone_view = network_tables(equal_hospitals(), {"rounds": 3, "batch_size": "all"})
    found, single = trained(federation, view).networks, trained(alone, alone_view).networks
    assert found is not None
    assert single is not None
    assert found.number_of_weights == single.number_of_weights + 4, "a head of four weights, without an intercept"
    assert not np.allclose(found.weights[0, 0][:12], single.weights[0, 0][:12])


def test_where_nobodys_second_outcome_is_known_the_loss_is_the_first_ones() -> None:
    federation, _ = both(equal_hospitals(), {})
    lines, outcome = torch.randn(8, 2), torch.tensor([0.0, 1.0] * 4)
    nobody = torch.full((8, 2), torch.nan)
    found = loss_of(federation.study, lines, outcome, nobody)
    assert found == loss_of(federation.study, lines, outcome)


def test_a_study_without_a_second_outcome_is_not_asked_about_it() -> None:
    federation, view = network_tables(equal_hospitals(), {"rounds": 1})
    models = trained(federation, view)
    assert judge_second_task(federation, federation.study, models.scores) == {}
    with pytest.raises(HospitalError, match="no second outcome"):
        federation.ask("second_task", view=models.scores, rows="held_out", parameters={"schemes": ["apparent"]})


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ({"outcome": {"kind": "binary", "column": "mvi"}}, "mvi is the study's outcome"),
        ({"outcome": {"kind": "binary", "column": "a"}}, "among predictors.clinical"),
        ({"outcome": {"kind": "binary", "column": "id"}}, "names patients"),
        ({"outcome": {"kind": "survival", "time": "days", "event": "days"}}, "is the time already"),
        (
            {"outcome": {"kind": "survival", "time": "days", "event": "died", "landmark_days": 90}},
            "only the study's own outcome has a landmark",
        ),
        ({"outcome": {"kind": "binary", "column": "x"}, "weight": 0}, "greater than 0"),
    ],
)
def test_second_outcomes_that_do_not_fit_are_said_with_their_cure(also: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(predictors={"clinical": COLUMNS}, model={"kind": "network"}, network={"also": also})


def test_a_fused_network_on_images_has_two_heads_and_explains_the_first() -> None:
    second = {"outcome": {"kind": "binary", "column": "b_high"}}
    federation, view, _ = imaged(36, {"architecture": "fusion", "rounds": 2, "also": second, "personal": "head"})
    for name, members in federation.members.items():
        known = members.cohort.columns | {"b_high": (members.cohort.columns["b"] > 0).astype(float)}
        federation.members[name] = replace(members, cohort=replace(members.cohort, columns=known))
    models = trained(federation, view)
    assert models.networks is not None
    judged = judge_second_task(federation, federation.study, models.scores)["apparent"]
    assert judged.patients % 12 == 0, "a hospital with fewer than five of either kind takes no part"
    heads = own_layers(federation.study, 3)
    assert heads.sum() == 2 * (32 + 1), "two heads over 32 joined units"
    own = federation.states["alder"].up_to("final@", 2)
    assert own is not None
    assert len(own) == heads.sum()
    prepared: Any = SimpleNamespace(columns=tuple(COLUMNS))
    seen = attention_of(federation, federation.study, prepared, models.scores, models.networks.columns[0, 0])
    assert seen is not None
    assert sum(seen.shares.values()) == pytest.approx(1, abs=1e-6)
