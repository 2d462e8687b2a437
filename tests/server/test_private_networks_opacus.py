"""Gradients of single patients and their account, next to opacus, which works both out in its own way."""

import numpy as np
import opacus
import pytest
import torch

from client.networks.patient_gradients import patient_gradients
from common.networks import flat
from common.networks.build import build, first_weights
from common.privacy_plan import epsilon_of
from tests.server.test_private_networks import private_network, some_patients


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("normalisation", ["none", "layer", "group"])
def test_a_clipped_sum_is_that_of_opacus(normalisation: str) -> None:
    study, (matrix, outcome) = private_network(network={"normalisation": normalisation}), some_patients()
    weights = first_weights(study, 3, "")
    module = build(study, 3)
    flat.load(module, weights)
    optimiser = opacus.optimizers.DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=0.3,
        expected_batch_size=1,
        loss_reduction="sum",
    )
    sampled = opacus.GradSampleModule(module, loss_reduction="sum")
    line = sampled(torch.from_numpy(matrix))[:, 0]
    torch.nn.functional.binary_cross_entropy_with_logits(
        line, torch.from_numpy(outcome), reduction="sum"
    ).backward()
    optimiser.pre_step()
    theirs = np.concatenate([p.grad.numpy().ravel() for _, p in sorted(module.named_parameters())])
    ours = patient_gradients(study, matrix, outcome, weights, 0.3)
    np.testing.assert_allclose(-ours.sum(axis=0), theirs, rtol=1e-4, atol=1e-5)  # opacus adds 1e-6 to every length


@pytest.mark.parametrize(("noise", "steps"), [(2.0, 10), (8.0, 30), (20.0, 100)])
def test_steps_cost_no_more_than_opacus_bound_and_hardly_less(noise: float, steps: int) -> None:
    accountant = opacus.accountants.RDPAccountant()
    for _ in range(steps):
        accountant.step(noise_multiplier=noise, sample_rate=1.0)
    bound = accountant.get_epsilon(delta=1e-5)
    exact = epsilon_of(steps / noise**2, 1e-5)
    assert 0.8 * bound < exact <= bound * (1 + 1e-6)
