"""A consortium as its operators run it: every step is a command of `hepafed`, and so is every daemon."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from client.daemon import health
from common.flower_processes import LOOPBACK, accepts, free_port
from common.supervision import die_with_the_parent
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import find_hospitals
from server.coordinator_folder import CoordinatorFolder, split_address
from server.runs import Run, all_runs
from tests.system.running import mentioning
from tests.waiting import until

DRAIN_SECONDS = 60.0
LONGEST_SECONDS = 600.0


def hepafed(*words: object, code: int | None = 0) -> str:
    """Run a command to its end; what it said. `code`: the exit code that is expected, None: any."""
    try:
        done = subprocess.run(
            command(*words),
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
            env=surroundings(),
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(part for part in (late.stdout, late.stderr) if isinstance(part, bytes)).decode()
        pytest.fail(f"hepafed {' '.join(map(str, words))}: no end after {LONGEST_SECONDS} s; it said\n{said}")
    said = done.stdout + done.stderr
    assert code is None or done.returncode == code, (
        f"hepafed {' '.join(map(str, words))}: {done.returncode}\n{said}"
    )
    return said


def command(*words: object) -> list[str]:
    """`hepafed …` as a process of its own."""
    return [sys.executable, "-m", "deploy", *map(str, words)]


def surroundings() -> dict[str, str]:
    """A wide terminal, so that no sentence is broken."""
    return {**os.environ, "COLUMNS": "400"}


@dataclass
class Consortium:
    """Everything in one folder: the coordinator's folder, the hospitals' folders, and the daemons that run."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def coordinator(self) -> Path:
        """The coordinator's folder."""
        return self.folder / "consortium"

    @property
    def hospitals(self) -> dict[str, Path]:
        """The hospitals' folders by name."""
        return {name: path.resolve() for name, path in find_hospitals(self.folder / "hospitals").items()}

    @property
    def study(self) -> Path:
        """The study's file, as it was sent to everybody."""
        return self.folder / "study.yaml"

    def found(self, study: str, patients: int = 60) -> None:
        """Write demo hospitals and a study, and found the consortium."""
        write_hospitals(self.folder / "hospitals", 4, patients, 7, images=False, say=lambda _: None)
        self.study.write_text(study, encoding="utf-8")
        address = f"{LOOPBACK}:{free_port()}"
        where = ("--address", address, "--listen", address, "--superlink-port", free_port())
        hepafed("coordinator", "init", self.coordinator, "--name", "liver", *where)

    def start_coordinator(self) -> None:
        """`hepafed coordinator start`, until its gateway answers."""
        self.start("coordinator", "coordinator", "start", self.coordinator)
        _, port = split_address(CoordinatorFolder(self.coordinator).read().address)
        until(lambda: accepts(port), 90, "the gateway listens")

    def start(self, name: str, *words: object) -> None:
        """A daemon by its command; what it prints goes to NAME.out."""
        with (self.folder / f"{name}.out").open("ab") as output:
            self.daemons[name] = subprocess.Popen(
                command(*words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=surroundings(),
                preexec_fn=die_with_the_parent,  # a test that is killed leaves nothing behind
            )

    def invite_and_join(self) -> None:
        """An invitation a hospital, and the hospital's answer to it."""
        for name, folder in self.hospitals.items():
            invitation = self.folder / f"{name}.invitation"
            hepafed("coordinator", "invite", name, self.coordinator, "--out", invitation)
            said = hepafed("site", "join", invitation, folder)
            assert f"{name} has joined" in said

    def approve(self) -> None:
        """Collect the fingerprints as run-a-consortium.md says, and approve at every hospital."""
        said = [hepafed("site", "identity", folder) for folder in self.hospitals.values()]
        lines = [text.partition("Line for a roster: ")[2].strip() for text in said]
        roster = self.folder / "roster.yaml"
        roster.write_text("\n".join(lines) + "\n", encoding="utf-8")
        for folder in self.hospitals.values():
            who = ("--roster", roster, "--approved-by", "A. Physician", "--ethics", "2026-041", "--yes")
            hepafed("site", "approve", self.study, folder, *who)

    def start_sites(self) -> None:
        """`hepafed site start` at every hospital, until each says that it is well."""
        for name, folder in self.hospitals.items():
            self.start(name, "site", "start", folder)
        for name, folder in self.hospitals.items():
            until(lambda f=folder: health(f / ".hepafed").code == 0, 120, f"{name} is well")  # type: ignore[misc]

    def run(self) -> Run:
        """The newest run."""
        return all_runs(self.coordinator / "runs")[-1]

    def end(self, name: str) -> int:
        """SIGTERM to a daemon, as a service manager sends it; its exit code."""
        process = self.daemons.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(DRAIN_SECONDS)


@contextmanager
def consortium(folder: Path) -> Iterator[Consortium]:
    """A consortium whose daemons end with the test, whatever happens."""
    found = Consortium(folder)
    try:
        yield found
    finally:
        for process in found.daemons.values():
            process.terminate()
        for process in found.daemons.values():
            try:
                process.wait(DRAIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def left_behind(folder: Path) -> list[str]:
    """The processes that were started for a folder and are still there."""
    return [
        Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        for process in mentioning(folder)
    ]
