"""Weights that only one patient moves: the loss at them must not spell that patient's columns."""

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from common.networks.build import size
from tests.client.curious_coordinator import log_of
from tests.client.test_participation_attacks import PATIENTS, asking, hospital, trained

__all__ = ["hospital"]


def test_a_loss_of_thousands_tells_four_digits(hospital: Whereabouts) -> None:
    table = pd.read_csv(hospital.folder / "patients.csv").sort_values("age")
    second, oldest = table["age"].iloc[-2], table["age"].iloc[-1]
    chosen = asking(network={"rounds": 1, "normalisation": "none", "learning_rate": 1e-9, "local_steps": 10})
    weights = np.zeros(size(chosen, 2))  # first layer: bias and weight; last layer: bias and weight
    weights[0], weights[2] = -1e3 * (second + oldest) / 2, 1e3
    weights[-2] = -1e4 if table["mvi"].iloc[-1] else 1e4
    answer = trained(hospital, chosen, 80, weights)
    assert answer.sums, log_of(hospital)
    mean = float(answer.sums["loss"][0]) / PATIENTS
    assert mean == pytest.approx(1e7 * (oldest - second) / 2 / PATIENTS, rel=1e-3)
    assert mean == pytest.approx(float(f"{mean:.4g}"), rel=1e-12), "no digit more"
