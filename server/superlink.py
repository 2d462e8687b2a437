"""Flower's SuperLink at the coordinator: plain HTTP on the loopback address, every hospital's key checked.

Only processes of this machine reach it: the gateway, which lets hospitals through to `/v1/fleet/` and ends TLS, the
executor, and the commands of `hepafed`. Flower refuses to check keys without TLS of its own; on one machine there is
nothing between the gateway and this port for TLS to protect.

    python -m server.superlink --port PORT --database FILE --secret FILE
"""

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Any

from anyio import to_thread
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from flwr.supercore.routers.runtime.tracing import RuntimeTracingMiddleware
from flwr.superlink.routers.control.middlewares import (
    ControlAuthenticationMiddleware,
    ControlEventLogMiddleware,
    ControlLicenseMiddleware,
    ControlSensitiveResponseMiddleware,
)
from flwr.superlink.routers.fleet.middlewares import FleetEventLogMiddleware
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware

from common.flower_processes import LOOPBACK
from common.skipped_middleware import CONTROL, FLEET, never, pass_by, under
from server.waiting_pulls import let_pulls_wait

LOOK_SECONDS = 1.0
SWITCH_SECONDS = 0.0005
"""A thread that comes back from the database waits so long for the one that answers requests; 5 ms is Python's own,
and one request comes back from the database a dozen times."""


def serve(port: int, database: Path, secret: Path) -> None:
    """Run the SuperLink until it is ended; what it knows is in the database."""
    database.parent.mkdir(parents=True, exist_ok=True)
    database.touch(mode=0o600)
    flower = importlib.import_module("flwr.superlink.cli.flower_superlink")
    sys.argv = [
        "flower-superlink",
        "--insecure",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--database",
        str(database),
        "--isolation",
        "process",
        "--superexec-auth-secret-file",
        str(secret),
        "--disable-runtime-dependency-installation",
    ]
    config = flower._parse_superlink_lifespan_config()
    config.enable_supernode_auth = True
    answer_one_at_a_time(flower.SuperLinkLifespan)
    spare_writes()
    spare_layers()
    let_pulls_wait(importlib.import_module("flwr.superlink.main"), SqlLinkState)
    sys.setswitchinterval(SWITCH_SECONDS)
    flower._run_superlink_http_api(lifespan_config=config)


def answer_one_at_a_time(lifespan: Any) -> None:
    """Let the SuperLink's threads not wait for each other's locks on the database.

    Almost every request writes, and SQLite lets one write; a thread that finds the database locked sleeps for ever
    longer before it tries again. Measured with four hospitals: most of all threads' time was that sleep.
    """
    startup = lifespan.startup

    def start(self: Any) -> None:
        to_thread.current_default_thread_limiter().total_tokens = 1
        startup(self)

    lifespan.startup = start


def spare_writes() -> None:
    """Leave out two writes that Flower makes at almost every request: they were half of its work.

    Tasks whose process fell silent are looked for once a second instead; bytes are not counted, since a run's own
    transport figures say them.
    """
    look, looked = SqlCoreState._cleanup_expired_task_tokens, 0.0

    def look_now_and_then(self: Any) -> None:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            look(self)

    SqlCoreState._cleanup_expired_task_tokens = look_now_and_then
    SqlLinkState.store_traffic = lambda *_, **__: None


def spare_layers() -> None:
    """Leave out layers of middleware that do nothing for a request; see common/skipped_middleware.py.

    Event logs are off because no plugin for them is installed, traces because nothing here switches them on.
    """
    for layer in (
        ControlSensitiveResponseMiddleware,
        ControlAuthenticationMiddleware,
        ControlLicenseMiddleware,
        ControlEventLogMiddleware,
    ):
        pass_by(layer, under(CONTROL))
    pass_by(NodeAuthMiddleware, under(FLEET))
    pass_by(FleetEventLogMiddleware, logs_fleet)
    pass_by(RuntimeTracingMiddleware, never)


def logs_fleet(scope: Any) -> bool:
    """Whether the SuperLink has a log of what hospitals ask, and this is such a request."""
    return under(FLEET)(scope) and scope["app"].state.fleet_event_log_plugin is not None


def main() -> None:
    """The SuperLink as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--secret", type=Path, required=True)
    asked = parser.parse_args()
    serve(asked.port, asked.database, asked.secret)


if __name__ == "__main__":
    main()
