"""FedAdam: v ← β₂ v + (1 − β₂) Δ²; the rest stands in adaptive.py."""

import numpy as np

from server.methods.network_strategies.adaptive import Adaptive


class FedAdam(Adaptive):
    """Adam on the mean update."""

    def second_moment(self, before: np.ndarray, squared: np.ndarray) -> np.ndarray:
        """A running mean of squares."""
        return self._settings.beta2 * before + (1 - self._settings.beta2) * squared
