"""FedAvg (McMahan 2017, arXiv:1602.05629): w ← w + η Σ n_h Δ_h / Σ n_h, η the server's rate, 1 as a rule."""

from collections.abc import Mapping

import numpy as np

from common.networks.settings import Network
from server.methods.network_strategies.joined import Joined


class FedAvg:
    """The mean of hospitals' weights, by their patients."""

    def __init__(self, settings: Network, zeros: np.ndarray, hospitals: int) -> None:
        self._settings = settings
        self._hospitals = hospitals
        _ = zeros

    def sent(self) -> Mapping[str, np.ndarray]:
        """Nothing but the weights."""
        return {}

    def step(self, weights: np.ndarray, joined: Joined) -> np.ndarray:
        """The weights moved by the mean update."""
        moved = joined.update
        if self._settings.server_learning_rate != 1.0:
            moved *= self._settings.server_learning_rate
        moved += weights
        return moved
