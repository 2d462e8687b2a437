"""FedBN (Li 2021, arXiv:2102.07623): batch normalisation is every hospital's own, everything else is joined by FedAvg.

The own parameters stay in the hospital's store, round by round; statistics are those of its own rows. The average of
all hospitals' goes along in the weights, for those that did not train (leave one hospital out, a new hospital).
"""

from server.methods.network_strategies.fedavg import FedAvg


class FedBN(FedAvg):
    """FedAvg here; what differs happens in the hospitals."""
