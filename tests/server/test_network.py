"""Networks in rounds: FedAvg is pooled training where it must be, and every strategy does what its paper says."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import HospitalError, StudyError
from common.networks import flat
from common.networks.bounds import bounds
from common.networks.build import build, first_weights, size
from common.networks.heads import cox
from common.networks.rounds import batches, learning_rate, participants
from common.networks.settings import Network
from common.query import Total
from tests.hospitals_on_disk import study
from tests.server.network_tables import COLUMNS, equal_hospitals, network_tables, pooled, trained

SURVIVAL = ["days", "died"]


@pytest.mark.parametrize("batch", ["all", 8])
def test_fedavg_of_equal_hospitals_with_one_step_is_pooled_sgd(batch: Any) -> None:
    table = equal_hospitals()
    federation, view = network_tables(table, {"local_steps": 1, "batch_size": batch, "rounds": 6})
    found = trained(federation, view).networks
    assert found is not None
    np.testing.assert_allclose(found.weights[0, 0], pooled(federation.study, table, ["mvi"]), atol=1e-12)


def test_deepsurv_of_equal_hospitals_with_one_step_is_pooled_stratified_training() -> None:
    table = equal_hospitals()
    federation, view = network_tables(table, {"local_steps": 1, "rounds": 5}, SURVIVAL)
    found = trained(federation, view).networks
    assert found is not None
    expected = pooled(federation.study, table, SURVIVAL)
    assert np.abs(expected - first_weights(federation.study, 3, "")).max() > 0.01, "training went somewhere"
    np.testing.assert_allclose(found.weights[0, 0], expected, atol=1e-12)


def test_more_local_work_is_no_longer_pooled_training() -> None:
    table = equal_hospitals()
    federation, view = network_tables(table, {"local_epochs": 5})
    found = trained(federation, view).networks
    assert found is not None
    assert np.abs(found.weights[0, 0] - pooled(federation.study, table, ["mvi"])).max() > 1e-3


def test_the_survival_loss_is_efrons() -> None:
    from client.queries.cox import efron

    rng = np.random.default_rng(5)
    outcome = np.column_stack([rng.integers(1, 12, 60).astype(float), rng.integers(0, 2, 60).astype(float)])
    line = rng.normal(size=60)
    expected = efron(line[:, None], outcome, line, np.exp(line - line.max()), float(line.max()), curved=False)
    tensor = torch.tensor(line, requires_grad=True)
    found = cox(tensor, torch.tensor(outcome[:, 0]), torch.tensor(outcome[:, 1]))
    found.backward()
    assert found.item() == pytest.approx(-expected[0] / 60, rel=1e-12)
    assert (tensor.grad @ tensor.detach()).item() == pytest.approx(-expected[1][0] / 60, rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "fedprox", "mu": 1.0},
        {"strategy": "fedadam", "server_learning_rate": 0.1},
        {"strategy": "fedyogi", "server_learning_rate": 0.1},
        {"strategy": "scaffold"},
        {"strategy": "fedbn", "normalisation": "batch"},
        {"dropout": 0.2, "momentum": 0.5, "clip_gradient": 1.0, "schedule": "cosine", "normalisation": "group"},
        {"participation": 0.5, "precision": "single"},
    ],
    ids=lambda settings: settings.get("strategy", "other"),
)
def test_every_strategy_learns_and_repeats_itself_to_the_last_bit(settings: dict[str, Any]) -> None:
    table = equal_hospitals()
    runs = []
    for _ in range(2):
        federation, view = network_tables(table, settings | {"rounds": 8, "local_epochs": 2, "batch_size": 16})
        found = trained(federation, view).networks
        assert found is not None
        runs.append(found.weights)
        losses = [loss for loss in found.curves["", "final"].loss if loss is not None]
        assert losses[-1] < losses[0] - 0.02
    np.testing.assert_array_equal(*runs)


def test_mixed_precision_is_single_where_there_is_no_gpu_and_near_it_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from client.networks import local_training

    def weights(precision: str) -> np.ndarray:
        federation, view = network_tables(table, asked | {"precision": precision, "device": "auto"})
        found = trained(federation, view).networks
        assert found is not None
        return found.weights[0, 0]

    table, asked = equal_hospitals(), {"hidden": [8], "rounds": 4, "local_epochs": 2, "batch_size": 16}
    single = weights("single")
    if not torch.cuda.is_available():
        np.testing.assert_array_equal(weights("mixed"), single)

    def on_this_processor(settings: Network, device: torch.device) -> torch.autocast:  # as a GPU would
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.precision == "mixed")

    monkeypatch.setattr(local_training, "halved", on_this_processor)
    mixed = weights("mixed")
    assert (mixed == mixed.astype(np.float32)).all()
    assert 0 < np.linalg.norm(mixed - single) < 0.02 * np.linalg.norm(single)


def test_inner_folds_want_a_training_that_may_stop_early() -> None:
    with pytest.raises(StudyError, match=r"model\.inner_folds: no patient is held out"):
        network_tables(equal_hospitals(), {"hidden": [4]}, model={"kind": "network", "inner_folds": 3})


def test_mixed_precision_wants_a_device_that_may_be_a_gpu() -> None:
    (misfit,) = Network(precision="mixed").misfits(survival=False)
    assert misfit[0] == ("precision",)
    assert not list(Network(precision="mixed", device="auto").misfits(survival=False))


def test_adaptive_strategies_step_as_published() -> None:
    from server.methods.network_strategies import strategy_of
    from server.methods.network_strategies.joined import Joined

    updates = [np.array([[0.5, -0.1]]), np.array([[0.2, 0.3]])]
    for name, second in (("fedadam", lambda v, d: 0.99 * v + 0.01 * d * d), ("fedyogi", None)):
        strategy = strategy_of(Network(strategy=name, server_learning_rate=0.1), (1, 2), 4)
        w, m, v = np.zeros((1, 2)), np.zeros((1, 2)), np.full((1, 2), 1e-6)
        found = w
        for update in updates:
            found = strategy.step(found, Joined(update))
            m = 0.9 * m + 0.1 * update
            v = second(v, update) if second else v - 0.01 * update**2 * np.sign(v - update**2)
            w = w + 0.1 * m / (np.sqrt(v) + 1e-3)
        np.testing.assert_allclose(found, w, rtol=1e-14)


@pytest.mark.slow
def test_scaffold_takes_the_drift_out_of_hospitals_that_differ() -> None:
    """With full batches, unlike hospitals and many local steps, FedAvg stops away from the pooled optimum."""
    table = equal_hospitals()
    table.loc[table["hospital"] == "alder", "a"] += 3.0
    table.loc[table["hospital"] == "cedar", "mvi"] = (table.loc[table["hospital"] == "cedar", "b"] > 0).astype(
        float
    )
    common = {"hidden": [], "local_steps": 20, "batch_size": "all", "weight_decay": 0.1, "rounds": 60}
    optimum = _trained(
        table, {"hidden": [], "local_steps": 1, "batch_size": "all", "weight_decay": 0.1, "rounds": 400}
    )
    averaged = np.abs(_trained(table, common) - optimum).max()
    corrected = np.abs(_trained(table, common | {"strategy": "scaffold"}) - optimum).max()
    assert averaged > 0.02
    assert corrected < averaged / 20


def _trained(table: Any, settings: dict[str, Any]) -> np.ndarray:
    found = trained(*network_tables(table, settings)).networks
    assert found is not None
    weights: np.ndarray = found.weights[0, 0]
    return weights


def test_fedbn_keeps_normalisation_in_the_hospital_and_scores_with_it() -> None:
    table = equal_hospitals()
    table.loc[table["hospital"] == "alder", COLUMNS] = 5 + 4 * table.loc[table["hospital"] == "alder", COLUMNS]
    settings = {"strategy": "fedbn", "normalisation": "batch", "rounds": 6}
    federation, view = network_tables(table, settings)
    models = trained(federation, view)
    own = {name: state.up_to("final@", 6) for name, state in federation.states.items()}
    assert all(len(state) == 8 for state in own.values() if state is not None), "scale and shift of four units"
    assert np.abs(np.subtract(own["alder"], own["birch"])).max() > 1e-4
    from client.rows import Rows
    from client.view import Views
    from common.query import Query

    lines = {}
    for name in ("alder", "birch"):
        members = federation.members[name]
        for state in (federation.states[name], None):
            views = Views(members, federation.kept, state)
            query = Query("x", federation.study.hash, tuple(federation.members), ("final",), view=models.scores)
            lines[name, state is None] = Rows(None, members, views, query).linear_predictors("final")  # type: ignore[arg-type]
            federation.kept.path = federation.kept.path / "other"  # another key of the cache
    assert np.abs(lines["alder", False] - lines["alder", True]).max() > 1e-4, "its own, not the others' average"


def test_early_stopping_takes_the_weights_after_the_best_round() -> None:
    settings = {
        "early_stopping": {"patience": 4, "smallest_gain": 0.0},
        "rounds": 40,
        "hidden": [32],
        "local_epochs": 5,
        "learning_rate": 0.5,
    }
    federation, view = network_tables(equal_hospitals(), settings, model={"kind": "network", "inner_folds": 3})
    found = trained(federation, view).networks
    assert found is not None
    curve = found.curves["", "final"]
    validation = np.array(curve.validation, dtype=float)
    assert found.rounds < 40
    assert curve.chosen == int(np.argmin(validation[1:])) + 1
    shorter, again = network_tables(
        equal_hospitals(), {k: v for k, v in settings.items() if k != "early_stopping"} | {"rounds": curve.chosen}
    )
    fewer = trained(shorter, again).networks
    assert fewer is not None
    np.testing.assert_array_equal(fewer.weights[0], found.weights[0])


def test_weights_travel_once_a_round_for_all_training_sets() -> None:
    full = {"batch_size": "all"}  # batches are drawn by the training set's name
    everyone = equal_hospitals()
    own = everyone.groupby("hospital")[COLUMNS]  # so that columns are scaled alike with and without one
    everyone[COLUMNS] = (everyone[COLUMNS] - own.transform("mean")) / own.transform("std", ddof=0)
    federation, view = network_tables(everyone, full, validation={"folds": 3, "leave_one_hospital_out": True})
    found = trained(federation, view).networks
    assert found is not None
    asked = [query for query in federation.asked if query.name == "train_network"]
    assert len(asked) == 3
    assert len(asked[0].splits) == 7
    left_out = found.weights[found.splits.index("leave_one_hospital_out/alder"), 0]
    alone = _trained(everyone[everyone["hospital"] != "alder"], full)
    np.testing.assert_allclose(left_out, alone, atol=1e-12)
    assert np.abs(found.weights[found.splits.index("final"), 0] - alone).max() > 1e-3


def test_models_side_by_side_see_their_own_columns() -> None:
    federation, view = network_tables(equal_hospitals(), {}, compare={"only a": {"clinical": ["a"]}})
    models = trained(federation, view)
    assert models.networks is not None
    assert models.networks.columns[0].tolist() == [[0, 1, 2], [0, -1, -1]]


def test_three_hospitals_at_least_train_and_the_study_draws_them() -> None:
    chosen = study(model={"kind": "network"}, network={"participation": 0.2})
    drawn = [participants(chosen, "ihgfedcba", number) for number in range(1, 30)]
    assert {len(names) for names in drawn} == {3}
    assert len(set(drawn)) == 3
    assert drawn == [participants(chosen, "abcdefghi", number) for number in range(1, 30)]


def test_batches_are_epochs_and_rates_follow_their_schedule() -> None:
    found = batches(25, 8, 8, 3)
    assert sorted(np.concatenate(found[:4]).tolist()) == list(range(25))
    assert min(map(len, found)) >= 6
    cosine = Network(schedule="cosine", rounds=10, learning_rate=1.0)
    assert [learning_rate(cosine, n) for n in (1, 6)] == pytest.approx([1.0, 0.5])
    assert learning_rate(Network(schedule="step", rounds=9, learning_rate=1.0), 7) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": {"normalisation": "batch"}}, "fedbn"),
        ({"network": {"strategy": "scaffold", "momentum": 0.9}}, "write 0"),
        ({"network": {"mu": 1.0}}, "no mu"),
        ({"network": {}, "model": {"kind": "logistic"}}, "write kind: network"),
        ({"network": None}, "network: \\{\\}"),
        ({"network": {}, "model": {"kind": "network", "strength": 3.0}}, "weight_decay"),
    ],
)
def test_settings_that_do_not_fit_are_said_with_their_cure(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(**({"model": {"kind": "network"}} | changes))


class Spoilt:
    """A federation whose coordinator changes a question on its way."""

    def __init__(self, federation: Any, change: Any) -> None:
        self._federation, self._change = federation, change
        self.splits = federation.splits

    def keep(self, view: Any) -> str:
        kept: str = self._federation.keep(view)
        return kept

    def ask(self, name: str, **asked: Any) -> Total:
        self._change(asked)
        total: Total = self._federation.ask(name, **asked)
        return total


def _wider_bounds(asked: dict[str, Any]) -> None:
    asked["parameters"] = asked["parameters"] | {"bounds": {"update": 64}}


def _fewer_patients(asked: dict[str, Any]) -> None:
    few = 8
    asked["parameters"] = asked["parameters"] | {"patients": few, "bounds": bounds(Network(rounds=3), 1, few)}


def _other_round(asked: dict[str, Any]) -> None:
    asked["parameters"] = asked["parameters"] | {"round": 900}


def _fewer_weights(asked: dict[str, Any]) -> None:
    asked["arrays"] = {"weights": asked["arrays"]["weights"][:, :-1]}


@pytest.mark.parametrize("change", [_wider_bounds, _fewer_patients, _other_round, _fewer_weights])
def test_a_question_that_is_not_the_studys_is_refused(change: Any) -> None:
    federation, view = network_tables(equal_hospitals(), {})
    with pytest.raises(HospitalError, match="train_network"):
        trained(federation, view, through=Spoilt(federation, change))


def test_a_hospital_sends_nothing_of_an_exploded_update_and_clips_a_large_one() -> None:
    table = equal_hospitals()
    federation, view = network_tables(
        table, {"learning_rate": 9.0, "clip": 1e-3, "local_epochs": 20, "weight_decay": 1.0}
    )
    with pytest.raises(HospitalError, match="diverged"):
        trained(federation, view)
    federation, view = network_tables(table, {"clip": 0.01, "rounds": 1})
    found = trained(federation, view).networks
    assert found is not None
    moved = np.sqrt(((found.weights[0, 0] - first_weights(federation.study, 3, "")) ** 2).sum())
    assert moved <= 0.01 + 1e-12
    assert moved > 0.005


def test_a_networks_weights_are_one_vector_and_back() -> None:
    chosen = study(model={"kind": "network"}, network={"hidden": [5, 4], "normalisation": "group"})
    vector = np.random.default_rng(1).normal(size=size(chosen, 7))
    module = build(chosen, 7)
    flat.load(module, vector)
    np.testing.assert_array_equal(flat.vector_of(module), vector)
    with pytest.raises(ValueError, match="weights for a network"):
        flat.load(module, vector[:-1].repeat(2))


def test_only_networks_own_modules_import_torch() -> None:
    import ast
    from pathlib import Path

    root = Path(__file__).parents[2]
    allowed = ("common/networks/", "client/networks/", "client/patches/")
    for room in ("common", "client", "server", "deploy", "harmonization"):
        for path in (root / room).rglob("*.py"):
            where = str(path.relative_to(root))
            tree = ast.parse(path.read_text(encoding="utf-8"))
            top: Iterable[Any] = tree.body
            names = {a.name for n in top if isinstance(n, ast.Import) for a in n.names}
            names |= {n.module or "" for n in top if isinstance(n, ast.ImportFrom)}
            assert where.startswith(allowed) or not any(name.split(".")[0] == "torch" for name in names), where
