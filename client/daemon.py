"""The hospital's daemon: the forwarder, the SuperNode and a warm executor, kept alive.

The forwarder makes the one connection out of the hospital, with the hospital's certificate; the SuperNode fetches the
coordinator's questions through it; the executor answers them (client/app.py), behind the gate. None of them listens
on anything but the loopback address. A process that dies is started again; a coordinator that is away is tried again
for ever.

    python -m client.daemon FOLDER
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.deployed import FOLDER, LOWER_PROFILE, OWN_FOLDER
from client.site import open_site
from common.daemon_log import daemon_log, noting, only_one, read_state
from common.errors import HepafedError
from common.flower_processes import LOOPBACK, accepts, environment, free_port, write_secret
from common.supervision import Kept, Supervisor, stop_on_signals

STATE = "daemon.json"
LOG = "daemon.log"
LOCK = "daemon.lock"
CONTACT = "last_contact"  # as client/supernode.py names it; to import that would load all of Flower
CONNECTION = "connection.json"
DRAIN_SECONDS = 15.0


@dataclass(frozen=True)
class Daemon:
    """One hospital's daemon.

    Parameters
    ----------
    lower_profile
        As in a simulation (client/site.py): for rehearsals on a machine that holds all the data.
    """

    folder: Path
    own_folder: Path
    lower_profile: bool = False

    def processes(self) -> list[Kept]:
        """The processes to be kept alive, in the order in which they start."""
        running = self.own_folder / "run"
        secret = write_secret(running / "executor.secret")
        port = free_port()
        where = {FOLDER: str(self.folder), OWN_FOLDER: str(self.own_folder)}
        if self.lower_profile:
            where[LOWER_PROFILE] = "1"
        surroundings = environment(running / "flower", **where)

        def kept(name: str, *command: str, ready: Callable[[], bool] = lambda: True) -> Kept:
            log = self.own_folder / "logs" / f"{name}.log"
            return Kept(name, (sys.executable, "-m", *command), surroundings, log, ready, DRAIN_SECONDS)

        forwarded = free_port()
        link = f"{LOOPBACK}:{forwarded}"
        forwarder = ("client.forwarder", str(self.own_folder), str(forwarded))
        supernode = ("--own", str(self.own_folder), "--link", link, "--port", str(port), "--secret", str(secret))
        executor = (
            "--api",
            f"{LOOPBACK}:{port}",
            "--secret",
            str(secret),
            "--kind",
            "clientapp",
            "--bell",
            str(secret.with_name("bell")),
        )
        return [
            kept("forwarder", *forwarder, ready=lambda: accepts(forwarded)),
            kept("supernode", "client.supernode", *supernode, ready=lambda: accepts(port)),
            kept("executor", "common.warm_executor", *executor, "--import", "client.deployed"),
        ]

    def run(self) -> None:
        """Run until SIGTERM; the answer that is being worked out is sent first."""
        if not (self.own_folder / CONNECTION).exists():
            raise HepafedError(
                f"{self.own_folder / CONNECTION}: this hospital has joined no consortium yet. Ask the coordinator for "
                "an invitation, then: hepafed site join INVITATION"
            )
        with only_one(self.own_folder / LOCK, "this hospital's daemon"):
            log = daemon_log(self.own_folder / LOG)
            supervisor = Supervisor(self.processes(), log)
            supervisor.every_turn = noting(self.own_folder / STATE, supervisor)
            stop_on_signals(supervisor)
            log.info("daemon started")
            try:
                supervisor.run()
            finally:
                (self.own_folder / STATE).unlink(missing_ok=True)
                log.info("daemon ended")


@dataclass(frozen=True)
class Health:
    """How a daemon is, in words, and as what an exit code says: 0 well, 1 not connected or not whole, 2 not running."""

    code: int
    lines: tuple[str, ...]


STALE_SECONDS = 15.0
CONTACT_SECONDS = 90.0


def health(own_folder: Path) -> Health:
    """How the daemon of this hospital is."""
    state = read_state(own_folder / STATE)
    if state is None or time.time() - float(str(state["at"])) > STALE_SECONDS:
        return Health(2, ("the daemon does not run: hepafed site start",))
    lines = [f"the daemon runs (process {state['pid']}) since {_ago(float(str(state['began'])))}"]
    processes = state["processes"]
    assert isinstance(processes, dict)
    broken = []
    for name, found in processes.items():
        well = bool(found["running"] and found["ready"])
        again = f", started {found['starts']} times" if found["starts"] > 1 else ""
        lines.append(f"{name}: {'runs' if well else 'is being started again'}{again}")
        if not well:
            broken.append(name)
    contact = own_folder / CONTACT
    if not contact.exists():
        lines.append("the coordinator has not been reached yet: hepafed site doctor says what is in the way")
        return Health(1, tuple(lines))
    since = time.time() - contact.stat().st_mtime
    lines.append(f"the coordinator last answered {_ago(contact.stat().st_mtime)} ago")
    if since > CONTACT_SECONDS:
        lines.append("it is tried again for ever; hepafed site doctor says what may be in the way")
    return Health(int(bool(broken) or since > CONTACT_SECONDS), tuple(lines))


def _ago(then: float) -> str:
    seconds = max(time.time() - then, 0)
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def main() -> None:
    """The daemon as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--own", type=Path)
    parser.add_argument("--lower-profile", action="store_true")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    own = open_site(folder).own_folder if asked.own is None else asked.own
    try:
        Daemon(folder, own.resolve(), asked.lower_profile).run()
    except HepafedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
