"""SCAFFOLD (Karimireddy 2020, arXiv:1910.06378, option II): c ← c + Σ_h (c_h' − c_h) / N.

N are the hospitals of the roster. Hospitals step along g − c_h + c and keep c_h in their store; the weights are
joined as by FedAvg.
"""

from collections.abc import Mapping

import numpy as np

from common.networks.settings import Network
from server.methods.network_strategies.fedavg import FedAvg
from server.methods.network_strategies.joined import Joined


class Scaffold(FedAvg):
    """FedAvg and the control variate of everybody."""

    def __init__(self, settings: Network, zeros: np.ndarray, hospitals: int) -> None:
        super().__init__(settings, zeros, hospitals)
        self._control = zeros

    def sent(self) -> Mapping[str, np.ndarray]:
        """The control variate."""
        return {"control": self._control}

    def step(self, weights: np.ndarray, joined: Joined) -> np.ndarray:
        """The weights moved by the mean update, and the control variate by the hospitals' changes."""
        if joined.control is not None:
            self._control = self._control + joined.control / self._hospitals
        return super().step(weights, joined)
