"""How hospitals' updates are joined, a strategy a file."""

from collections.abc import Callable

import numpy as np

from common.networks.settings import Network
from server.methods.network_strategies.fedadam import FedAdam
from server.methods.network_strategies.fedavg import FedAvg
from server.methods.network_strategies.fedbn import FedBN
from server.methods.network_strategies.fedprox import FedProx
from server.methods.network_strategies.fedyogi import FedYogi
from server.methods.network_strategies.joined import Strategy
from server.methods.network_strategies.scaffold import Scaffold

STRATEGIES: dict[str, Callable[[Network, np.ndarray, int], Strategy]] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "scaffold": Scaffold,
    "fedbn": FedBN,
}


def strategy_of(settings: Network, shape: tuple[int, ...], hospitals: int) -> Strategy:
    """The study's strategy, at its start.

    Parameters
    ----------
    shape
        Networks × weights.
    """
    return STRATEGIES[settings.strategy](settings, np.zeros(shape), hospitals)


__all__ = ["STRATEGIES", "Strategy", "strategy_of"]
