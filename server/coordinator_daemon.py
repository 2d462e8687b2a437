"""The coordinator's daemon: SuperLink, executor and gateway, kept alive, and the runs that are wanted kept going.

python -m server.coordinator_daemon FOLDER
"""

import argparse
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.daemon_log import daemon_log, noting, only_one, read_state
from common.errors import HepafedError
from common.flower_processes import LOOPBACK, accepts, environment, write_secret
from common.supervision import Kept, Supervisor, stop_on_signals
from server.coordinator_folder import CoordinatorFile, CoordinatorFolder, split_address
from server.deployed import RUNS
from server.run_keeper import RunKeeper

STATE = "daemon.json"
LOG = "daemon.log"
LOCK = "daemon.lock"
RUNS_FOLDER = "runs"
DRAIN_SECONDS = 15.0
KEEPER_SECONDS = 0.2
BELL = "bell"
"""Beside the executor's secret: a named pipe that wakes the executor when a run is started."""


@dataclass(frozen=True)
class CoordinatorDaemon:
    """A coordinator's daemon."""

    folder: Path
    file: CoordinatorFile

    @property
    def port(self) -> int:
        """The SuperLink's, on the loopback address."""
        return self.file.superlink_port

    def processes(self) -> list[Kept]:
        """The processes to be kept alive, in the order in which they start."""
        secret = write_secret(self.folder / "superlink" / "executor.secret")
        surroundings = environment(
            self.folder / "superlink" / "flower", **{RUNS: str(self.folder / RUNS_FOLDER), "MPLBACKEND": "agg"}
        )

        def kept(name: str, *command: str, ready: Callable[[], bool] = lambda: True) -> Kept:
            log = self.folder / "logs" / f"{name}.log"
            return Kept(name, (sys.executable, "-m", *command), surroundings, log, ready, DRAIN_SECONDS)

        database = self.folder / "superlink" / "state.sqlite"
        superlink = ("--port", str(self.port), "--database", str(database), "--secret", str(secret))
        bell = ("--bell", str(secret.with_name(BELL)))
        executor = ("--api", f"{LOOPBACK}:{self.port}", "--secret", str(secret), "--kind", "serverapp", *bell)
        host, gateway = split_address(self.file.listen)
        return [
            kept("superlink", "server.superlink", *superlink, ready=lambda: accepts(self.port)),
            kept("executor", "common.warm_executor", *executor, "--import", "server.deployed"),
            kept("gateway", "server.gateway", str(self.folder), ready=lambda: accepts(gateway, host)),
        ]

    def run(self) -> None:
        """Run until SIGTERM; runs that are going on are found again at the next start."""
        with only_one(self.folder / LOCK, "this coordinator"):
            log = daemon_log(self.folder / LOG)
            supervisor = Supervisor(self.processes(), log)
            supervisor.every_turn = noting(self.folder / STATE, supervisor, {"port": self.port})
            stop_on_signals(supervisor)
            keeper = RunKeeper(self.folder / RUNS_FOLDER, self.port, log, self.folder / "superlink" / BELL)
            ended = threading.Event()

            def keep() -> None:
                while not ended.wait(KEEPER_SECONDS):
                    keeper.look()

            # Beside: a SuperLink that hangs must not keep the supervisor from starting it again.
            threading.Thread(target=keep, daemon=True).start()
            log.info("coordinator started")
            try:
                supervisor.run()
            finally:
                ended.set()
                (self.folder / STATE).unlink(missing_ok=True)
                log.info("coordinator ended")


def port_of(folder: Path) -> int:
    """The SuperLink's port of the coordinator that runs in this folder."""
    state = read_state(folder / STATE)
    if state is None:
        raise HepafedError(f"the coordinator of {folder} does not run: hepafed coordinator start {folder}")
    return int(str(state["port"]))


def main() -> None:
    """The daemon as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    try:
        CoordinatorDaemon(folder, CoordinatorFolder(folder).read()).run()
    except HepafedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
