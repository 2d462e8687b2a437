"""What FedAdam and FedYogi share (Reddi 2021, arXiv:2003.00295): w ← w + η m / (√v + τ), without bias correction.

m ← β₁ m + (1 − β₁) Δ over rounds, v as the strategy says, from v = τ² on.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from common.networks.settings import Network
from server.methods.network_strategies.joined import Joined


class Adaptive(ABC):
    """A first and a second moment of the mean update."""

    def __init__(self, settings: Network, zeros: np.ndarray, hospitals: int) -> None:
        self._settings = settings
        self._first = zeros
        self._second = zeros + settings.adaptivity**2
        _ = hospitals

    def sent(self) -> Mapping[str, np.ndarray]:
        """Nothing but the weights."""
        return {}

    def step(self, weights: np.ndarray, joined: Joined) -> np.ndarray:
        """The weights moved by the scaled first moment."""
        chosen = self._settings
        self._first = chosen.beta1 * self._first + (1 - chosen.beta1) * joined.update
        self._second = self.second_moment(self._second, joined.update**2)
        scaled = self._first / (np.sqrt(self._second) + chosen.adaptivity)
        moved: np.ndarray = weights + chosen.server_learning_rate * scaled
        return moved

    @abstractmethod
    def second_moment(self, before: np.ndarray, squared: np.ndarray) -> np.ndarray:
        """v after a round."""
