"""What a round's total says, and what a strategy makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Joined:
    """One round's total for all networks, made for one step, which may work in its arrays: they are large.

    Parameters
    ----------
    update
        Networks × weights: the mean update, each hospital counting by its patients; 0 where none trained.
    control
        SCAFFOLD: the sum of the changes of control variates.
    """

    update: np.ndarray
    control: np.ndarray | None = None


class Strategy(Protocol):
    """Coordinator's side of a strategy; what it does within a hospital stands in client/networks/local_training.py."""

    def sent(self) -> Mapping[str, np.ndarray]:
        """What travels with a round beside the weights."""

    def step(self, weights: np.ndarray, joined: Joined) -> np.ndarray:
        """The weights after a round."""


def joined_of(sums: Mapping[str, np.ndarray]) -> Joined:
    """Means over the patients of the hospitals that trained, worked out in the total's own array."""
    patients = np.maximum(sums["weight"], 1.0)
    return Joined(np.divide(sums["update"], patients[:, None], out=sums["update"]), sums.get("control"))
