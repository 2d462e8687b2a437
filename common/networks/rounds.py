"""What follows from the number of a round alone, so that no coordinator can choose it: who trains, and how fast.

Where some hospitals train in a round and others do not, two rounds from the same weights could be subtracted. So
hospitals train in groups of three and more that stay the same: what differs is a group's total, no hospital's own.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, cos, pi

import numpy as np

from common.networks.seeds import seed_of
from common.networks.settings import Network
from common.query import FEWEST_HOSPITALS
from common.study import Study
from common.whole_hospitals import trains


def participants(study: Study, hospitals: Sequence[str], round_number: int) -> tuple[str, ...]:
    """The hospitals that train in a round: the study's share of the groups, drawn by its seed."""
    groups = training_groups(study, hospitals)
    share = 1.0 if study.network is None else study.network.participation
    drawn = _drawn(study.seed, len(groups), ceil(share * len(groups)), round_number)
    return tuple(sorted(name for number in drawn for name in groups[number]))


def training_groups(study: Study, hospitals: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Who trains with whom in every round: the groups that are left out together, else as the seed deals them."""
    everyone = sorted(name for name in hospitals if trains(study, name))
    named = [sorted(set(group) & set(everyone)) for group in study.validation.leave_groups_out.values()]
    if named:
        return tuple(map(tuple, named)) if sum(map(len, named)) == len(everyone) else (tuple(everyone),)
    many = max(1, len(everyone) // FEWEST_HOSPITALS)
    dealt = np.random.default_rng(seed_of("groups that train", study.seed)).permutation(len(everyone))
    return tuple(tuple(sorted(everyone[k] for k in part)) for part in np.array_split(dealt, many))


@lru_cache(maxsize=2048)
def _drawn(seed: int, groups: int, many: int, round_number: int) -> tuple[int, ...]:
    drawn = np.random.default_rng(seed_of("participants", seed, round_number))
    return tuple(drawn.permutation(groups)[:many].tolist())


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
