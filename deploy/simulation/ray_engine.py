"""Flower's own simulation engine: every hospital is a Ray actor in a process of its own."""

import logging
import os

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from common.errors import HepafedError


def run_over_ray(server_app: ServerApp, client_app: ClientApp, hospitals: int) -> None:
    """Run the two apps over Ray."""
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: F401
    except ImportError:
        raise HepafedError("--engine ray needs Flower's simulation extra: pip install 'hepafed[ray]'") from None
    from flwr.simulation import run_simulation

    logging.getLogger("flwr").setLevel(logging.ERROR)
    run_simulation(
        server_app=server_app,
        client_app=client_app,
        num_supernodes=hospitals,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": os.cpu_count()},
        },
    )
