"""FedProx (Li 2020, arXiv:1812.06127): hospitals add ½μ‖w − w₀‖² to their loss; joined as by FedAvg."""

from server.methods.network_strategies.fedavg import FedAvg


class FedProx(FedAvg):
    """FedAvg here; what differs happens in the hospitals."""
