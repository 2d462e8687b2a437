"""FedYogi: v ← v − (1 − β₂) Δ² sign(v − Δ²); the rest stands in adaptive.py."""

import numpy as np

from server.methods.network_strategies.adaptive import Adaptive


class FedYogi(Adaptive):
    """Yogi on the mean update: v moves by no more than a share of Δ²."""

    def second_moment(self, before: np.ndarray, squared: np.ndarray) -> np.ndarray:
        """A step towards the squares that does not depend on the distance."""
        return before - (1 - self._settings.beta2) * squared * np.sign(before - squared)
