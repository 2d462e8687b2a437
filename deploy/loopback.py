"""The whole of a real federation on one machine: a coordinator, and a daemon for every hospital's folder.

Everything is what real hospitals run, processes, keys and network alike, except two things, which are said: the
machine holds all hospitals' data, and the hospitals run in the lower profile, as in `simulate`. So the results are
`simulate`'s, bit for bit; a difference is a fault.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.connection import Connection
from client.joining import join
from common.errors import HepafedError, StudyStopped
from common.flower_processes import LOOPBACK, accepts, free_port
from common.frozen_model import FILE_NAME
from common.privacy_plan import is_private
from common.released_model import FILE_NAME as MODEL_FILE
from common.study import Study
from common.supervision import die_with_the_parent
from deploy.following import follow
from deploy.pki import file_of, found_consortium, invite
from deploy.simulation.pooled import add_pooled_and_alone
from deploy.simulation.simulate import Simulation
from server.coordinator_daemon import RUNS_FOLDER
from server.coordinator_folder import CoordinatorFolder, split_address
from server.progress import Progress
from server.runs import Request, Run, all_runs, create_run

CONSORTIUM = "consortium"
START_SECONDS = 90.0
STOP_SECONDS = 40.0


@dataclass
class Loopback:
    """A federation on this machine, while it runs."""

    out: Path
    folders: dict[str, Path]
    coordinator: subprocess.Popen[bytes]
    sites: dict[str, subprocess.Popen[bytes]]

    @property
    def consortium(self) -> Path:
        """The coordinator's folder."""
        return self.out / CONSORTIUM

    @property
    def runs(self) -> Path:
        """The coordinator's runs."""
        return self.consortium / RUNS_FOLDER

    def own_folder(self, hospital: str) -> Path:
        """What stands for the hospital's own disk."""
        return self.out / "sites" / hospital

    def raise_if_dead(self) -> None:
        """HepafedError where the coordinator's daemon has ended; a hospital's is the study's business."""
        if self.coordinator.poll() is not None:
            raise HepafedError(f"the coordinator's daemon has ended; {self.consortium / 'logs'} says why")


@contextmanager
def federation(out: Path, folders: dict[str, Path]) -> Iterator[Loopback]:
    """Found a consortium, let every hospital join it, start all daemons; end them afterwards."""
    consortium = CoordinatorFolder(out / CONSORTIUM)
    gateway = f"{LOOPBACK}:{free_port()}"
    if not consortium.pki.exists():
        found_consortium(consortium.path, file_of("loopback", gateway, gateway, [], free_port()))
    listening = consortium.read().listen
    running = Loopback(out, folders, _start("server.coordinator_daemon", consortium.path), {})
    try:
        _wait(lambda: accepts(split_address(listening)[1]), running)
        for name, folder in folders.items():
            connection = Connection(running.own_folder(name))
            connection.own_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not connection.path.exists():
                join(connection, invite(consortium, name))
            running.sites[name] = start_site(folder, connection.own_folder)
        yield running
    finally:
        for process in (*running.sites.values(), running.coordinator):
            process.send_signal(signal.SIGTERM)
        for process in (*running.sites.values(), running.coordinator):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def start_site(folder: Path, own_folder: Path) -> subprocess.Popen[bytes]:
    """Start the daemon of a hospital's folder."""
    return _start("client.daemon", folder, "--own", own_folder, "--lower-profile")


def run_study(running: Loopback, study: Study, progress: Progress) -> Run:
    """Run a study over the federation; results and report are in its output folder afterwards."""
    request = Request(
        "running", tuple(sorted(running.folders)), time.time(), lower_profile=True, engine="loopback"
    )
    run = create_run(running.runs, study, request)
    finish(running, run, progress)
    return run


def interrupted(running: Loopback, study: Study) -> Run | None:
    """The run of this study that was begun here and not finished, going on; None: there is none."""
    found = [run for run in all_runs(running.runs) if run.study.hash == study.hash and run.state != "finished"]
    if not found:
        return None
    if found[-1].outcome is not None:
        found[-1].reopen()
    return found[-1]


def finish(running: Loopback, run: Run, progress: Progress) -> None:
    """Follow a run to its end and take over what it wrote; StudyStopped says why it stopped."""
    outcome = follow(run, progress, running.raise_if_dead)
    if outcome.state != "finished":
        raise StudyStopped(outcome.reason)
    for name in ("results.json", "report.html", FILE_NAME, MODEL_FILE):
        if (run.folder / name).exists():
            shutil.copy(run.folder / name, running.out / name)
    study = run.study
    if not is_private(study):  # as in simulate
        add_pooled_and_alone(Simulation(study, running.folders, running.out))


def _start(module: str, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this command, which ends the daemons in order
        preexec_fn=die_with_the_parent,
    )


def _wait(ready: Callable[[], bool], running: Loopback) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        running.raise_if_dead()
        if time.monotonic() > deadline:
            raise HepafedError(f"the coordinator did not start within {START_SECONDS:.0f} s; see {running.out}")
        time.sleep(0.1)
