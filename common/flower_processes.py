"""How Flower's processes are started: no telemetry, no update check, no installation, short first waits."""

import os
import secrets
import socket
from pathlib import Path

SILENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The same bits on every machine; and a process that is forked must have no threads."""
LOOPBACK = "127.0.0.1"

FIRST_WAIT_SECONDS = 0.02


def environment(flower_home: Path, **more: str) -> dict[str, str]:
    """The environment of a Flower process; Flower keeps what it writes in `flower_home`."""
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY", ""), LOOPBACK, "localhost"]))
    own = {"FLWR_HOME": str(flower_home), "NO_PROXY": no_proxy, "no_proxy": no_proxy, "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **SILENT, **ONE_THREAD, **own, **more}


def free_port() -> int:
    """A port on the loopback address that nothing listens on now."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether something listens on this port of this machine; `host` is the address that it listens on."""
    everywhere = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  an address to look at, not to listen on
    try:
        with socket.create_connection((everywhere.get(host, host), port), timeout=1.0):
            return True
    except OSError:
        return False


def write_secret(path: Path) -> Path:
    """A new secret that a daemon and its executor share; only their user may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(opened, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    return path


def shorten_first_wait() -> None:
    """Flower waits a second when a message is seen before its objects; the first wait is made short here.

    It still doubles up to Flower's own longest wait. Measured: 2.8 s an exchange before, 1.3 s after.
    """
    from flwr.supercore.inflatable import inflatable_utils

    for function in (inflatable_utils.pull_objects, inflatable_utils.pull_and_inflate_object_from_tree):
        defaults = function.__kwdefaults__ or {}
        if "initial_backoff" not in defaults:
            raise RuntimeError(
                f"this version of Flower waits in another way ({function.__name__}): install 1.41.0"
            )
        defaults["initial_backoff"] = FIRST_WAIT_SECONDS
