"""What follows from the number of a round alone, so that no coordinator can choose it: who trains, and how fast."""

from collections.abc import Sequence
from math import ceil, cos, pi

import numpy as np

from common.networks.seeds import seed_of
from common.networks.settings import Network
from common.query import FEWEST_HOSPITALS


def participants(seed: int, settings: Network, hospitals: Sequence[str], round_number: int) -> tuple[str, ...]:
    """The hospitals that train in a round: the study's share of them, three at least, drawn by the study's seed."""
    everyone = sorted(hospitals)
    many = max(min(FEWEST_HOSPITALS, len(everyone)), ceil(settings.participation * len(everyone)))
    if many >= len(everyone):
        return tuple(everyone)
    drawn = np.random.default_rng(seed_of("participants", seed, round_number))
    return tuple(sorted(everyone[k] for k in drawn.permutation(len(everyone))[:many]))


def learning_rate(settings: Network, round_number: int) -> float:
    """The rate of local steps in a round, the first of which is 1."""
    passed = (round_number - 1) / settings.rounds
    if settings.schedule == "cosine":
        return settings.learning_rate * (1 + cos(pi * passed)) / 2
    if settings.schedule == "step" and passed >= 2 / 3:
        return settings.learning_rate / 10
    return settings.learning_rate


def batches(patients: int, size: int, steps: int, seed: int) -> list[np.ndarray]:
    """The rows of every step: epochs in a new order each, cut into batches of nearly equal size."""
    drawn = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while len(found) < steps:
        order = np.arange(patients) if size >= patients else drawn.permutation(patients)
        found += np.array_split(order, -(-patients // size))
    return found[:steps]
