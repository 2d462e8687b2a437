"""Networks with differential privacy: no patient moves a step by more than the clip, and the gate holds the ε."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from client.networks.patient_gradients import patient_gradients, shortened
from client.store import Store
from common.errors import StudyError
from common.networks import flat
from common.networks.build import build, first_weights
from common.privacy_plan import squared_budget
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.methods.private_network import edges_of_a_network
from server.progress import Silence
from server.report.private import render_private
from tests.approved import approve_everywhere, run_between, site_of
from tests.private_studies import FEATURES, hospitals_of, private_study, radiomics

SMALL: dict[str, Any] = {
    **{"hidden": [8], "normalisation": "none", "rounds": 10},
    **{"learning_rate": 3.0, "momentum": 0.5},
}


def private_network(epsilon: float = 8.0, network: dict[str, Any] | None = None, **changes: Any) -> Study:
    content: dict[str, Any] = {"model": {"kind": "network"}, "network": SMALL | (network or {})}
    return private_study({"epsilon": epsilon, "force": True}, **(content | changes))


def some_patients(patients: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(patients, 3)), (rng.uniform(size=patients) < 0.4).astype(float)


@pytest.mark.parametrize("normalisation", ["none", "layer", "group"])
def test_every_patients_gradient_is_that_of_the_patient_alone(normalisation: str) -> None:
    study, (matrix, outcome) = private_network(network={"normalisation": normalisation}), some_patients()
    weights = first_weights(study, 3, "")
    module = build(study, 3)
    flat.load(module, weights)
    alone = []
    for row, y in zip(matrix, outcome, strict=True):  # PyTorch's ordinary backward pass, a patient at a time
        module.zero_grad()
        line = module(torch.tensor(row)[None])[0, 0]
        torch.nn.functional.binary_cross_entropy_with_logits(line, torch.tensor(y)).backward()
        alone.append(-np.concatenate([p.grad.numpy().ravel() for _, p in sorted(module.named_parameters())]))
    found = patient_gradients(study, matrix, outcome, weights, 1e9)
    np.testing.assert_allclose(found, alone, atol=1e-12)
    clipped = patient_gradients(study, matrix, outcome, weights, 0.3)
    lengths = np.linalg.norm(alone, axis=1)
    assert (lengths > 0.3).any()
    np.testing.assert_allclose(np.linalg.norm(clipped, axis=1), np.minimum(lengths, 0.3), rtol=1e-12)


ANYTHING = some.floats(-1e100, 1e100) | some.sampled_from([0.0, 1e-300])


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, (5, 3), elements=ANYTHING),
    arrays(np.float64, 41, elements=some.floats(-1e4, 1e4)),
    some.floats(1e-3, 50),
)
def test_no_table_and_no_weights_make_a_patients_gradient_longer(
    table: np.ndarray, weights: np.ndarray, clip: float
) -> None:
    found = patient_gradients(private_network(), table, np.array([0.0, 1, 1, 0, 1]), weights, clip)
    assert (np.linalg.norm(found, axis=1) <= clip * (1 + 1e-9)).all()
    alone = patient_gradients(private_network(), table[1:], np.array([1.0, 1, 0, 1]), weights, clip)
    assert np.linalg.norm(found.sum(axis=0) - alone.sum(axis=0)) <= clip * (1 + 1e-6)


def test_gradients_that_are_not_finite_are_nothing_and_huge_ones_are_shortened() -> None:
    rows = np.array([[np.nan, 1.0], [np.inf, 1.0], [3e300, 4e300], [3e-320, 0.0], [0.3, 0.4]])
    found = shortened(rows, 2.0)
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [1.2, 1.6], [3e-320, 0], [0.3, 0.4]], atol=1e-300)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three hospitals of 400 patients at ε = 8, and the same without noise beside it."""
    folder = tmp_path_factory.mktemp("private")
    sites = hospitals_of(folder / "sites", 3, 400)
    simulate(Simulation(private_network(), find_hospitals(sites), folder / "out"), Silence())
    found: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return found


def auc_on_new_patients(results: dict[str, Any], weights: list[float]) -> float:
    new, columns = radiomics(2000, seed=99), results["pipeline"]["columns"]
    scaled = [
        (np.clip(new[name], columns[name]["low"], columns[name]["high"]) - columns[name]["centre"])
        / columns[name]["spread"]
        for name in FEATURES
    ]
    module = build(private_network(), len(FEATURES))
    flat.load(module, np.array(weights))
    module.eval()
    with torch.no_grad():
        line = module(torch.tensor(np.column_stack(scaled)))[:, 0].numpy()
    return float(roc_auc_score(new["mvi"], line))


def test_a_private_network_learns_and_its_report_says_epsilon_and_delta(results: dict[str, Any]) -> None:
    privacy = results["privacy"]
    assert (privacy["epsilon"], privacy["delta"], privacy["iterations"]) == (8.0, 1e-5, 10)
    assert privacy["epsilon_spent"] == pytest.approx(8.0, rel=1e-6)
    assert privacy["clip"] == 1.0
    without = auc_on_new_patients(results, results["without_noise"]["model"]["weights"])
    assert without > 0.7
    assert auc_on_new_patients(results, results["model"]["weights"]) > without - 0.06
    page = render_private(results)
    for said in ("ε = <b>8.0</b>", "20 → 8 → output", "Longest gradient of a patient", "10 noisy steps"):
        assert said in page


def test_without_noise_the_steps_are_plain_descent_on_shortened_gradients(results: dict[str, Any]) -> None:
    study, new, found = private_network(), radiomics(1200), results["without_noise"]["model"]
    pooled = new[FEATURES].to_numpy().clip(-4, 4)
    matrix = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    weights = first_weights(study, len(FEATURES), "")
    moved = np.zeros_like(weights)
    for _ in range(10):
        each = patient_gradients(study, matrix, new["mvi"].to_numpy(dtype=float), weights, 1.0)
        moved = 0.5 * moved + each.mean(axis=0)
        weights = weights + 3.0 * moved
    np.testing.assert_allclose(found["weights"], weights, atol=1e-6)


def test_bins_of_risk_follow_from_the_weights_alone() -> None:
    study = private_network()
    edges = edges_of_a_network(study, first_weights(study, 20, ""), 20)
    assert len(edges) == 9
    assert (np.diff(edges) > 0).all()
    flattened = edges_of_a_network(study, np.zeros(len(first_weights(study, 20, ""))), 20)
    assert (np.diff(flattened) > 0).all()


@pytest.mark.slow
def test_a_gate_pays_for_every_step_and_the_whole_run_spends_the_budget(tmp_path: Path) -> None:
    sites = hospitals_of(tmp_path / "sites", 4, 100)
    chosen = private_network(4.0)
    hospitals = approve_everywhere(chosen, find_hospitals(sites))
    found = run_between(chosen, hospitals, tmp_path / "out")
    assert found["without_noise"] is None
    assert [asked["query"] for asked in found["exchanges"]["asked"]].count("private_gradient") == 10
    for whereabouts in hospitals.values():
        with closing(Store(site_of(whereabouts).own)) as store:
            spent = store.first("SELECT count(*), sum(squared) FROM gate_spent")
        assert spent is not None
        assert spent[0] == 12
        assert spent[1] == pytest.approx(squared_budget(chosen), rel=1e-9), "the whole ε, and no more"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"normalisation": "batch", "strategy": "fedbn"}, "batch normalisation mixes patients"),
        ({"strategy": "scaffold"}, "write fedavg"),
        ({"early_stopping": {}}, "network.early_stopping"),
        ({"dropout": 0.1}, "network.dropout"),
        ({"precision": "mixed", "device": "auto"}, r"network\.precision: a gradient a patient"),
        ({"also": {"outcome": {"kind": "binary", "column": "z"}}}, "network.also"),
        ({"personal": "head"}, "network.personal"),
        ({"participation": 0.5}, "network.participation"),
        ({"local_epochs": 3}, "network.local_epochs"),
    ],
)
def test_what_would_cost_or_mix_is_refused_with_its_cure(network: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        private_network(network=network)


def test_iterations_are_the_networks_rounds() -> None:
    with pytest.raises(StudyError, match=r"network\.rounds says how many steps"):
        private_study({"iterations": 3}, model={"kind": "network"}, network=SMALL)


def test_deepsurv_has_no_gradient_a_patient_and_is_refused() -> None:
    with pytest.raises(StudyError, match="one patient moves the gradients of many"):
        private_study(
            model={"kind": "network"}, network=SMALL, outcome={"kind": "survival", "time": "days", "event": "died"}
        )
