"""The coordinator's runs: a folder each, and in it who wants what of it.

request.json is written by the commands (what is wanted), launches.json by the daemon (what it started), outcome.json
and progress.jsonl by the run itself. No file has two writers, so nothing is locked.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from common.errors import HepafedError
from common.study import Study
from common.whole_files import AS_THE_UMASK_SAYS, whole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
State = Literal["waiting", "running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Request:
    """What the coordinator's operator wants of a run.

    Parameters
    ----------
    hospitals
        Who is waited for before the roll call; a hospital that stays away is left out after the study's time.
    """

    wanted: Literal["running", "stopped"]
    hospitals: tuple[str, ...]
    created: float
    lower_profile: bool = False
    engine: str = "flower"


@dataclass(frozen=True)
class Launches:
    """The Flower runs that were started for a run; several where the coordinator's process for it died."""

    numbers: tuple[int, ...] = ()
    without_progress: int = 0
    exchanges: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    state: State
    reason: str = ""
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Run:
    """One run of a study."""

    folder: Path

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name

    @property
    def progress_file(self) -> Path:
        """What happened, a line an event."""
        return self.folder / "progress.jsonl"

    @property
    def study(self) -> Study:
        """The study as it was when the run was created."""
        path = self.folder / "study.json"
        return Study.from_content(json.loads(path.read_text(encoding="utf-8")), str(path))

    @property
    def request(self) -> Request:
        """What is wanted."""
        content = _read(self.folder / "request.json")
        return Request(**{**content, "hospitals": tuple(content["hospitals"])})

    @property
    def launches(self) -> Launches:
        """What was started."""
        path = self.folder / "launches.json"
        if not path.exists():
            return Launches()
        content = _read(path)
        return Launches(**{**content, "numbers": tuple(content["numbers"])})

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it goes on."""
        path = self.folder / "outcome.json"
        return Outcome(**_read(path)) if path.exists() else None

    @property
    def state(self) -> State:
        """In one word."""
        if (outcome := self.outcome) is not None:
            return outcome.state
        if self.request.wanted == "stopped":
            return "stopped"
        return "running" if self.launches.numbers else "waiting"

    def want(self, request: Request) -> None:
        """Write down what is wanted."""
        _write(self.folder / "request.json", asdict(request))

    def launched(self, launches: Launches) -> None:
        """Write down what was started."""
        _write(self.folder / "launches.json", asdict(launches))

    def end(self, outcome: Outcome) -> None:
        """Write down how it ended."""
        _write(self.folder / "outcome.json", asdict(outcome))

    def reopen(self) -> None:
        """Forget how it ended: it goes on from its checkpoint."""
        request = self.request
        self.want(Request(**{**asdict(request), "wanted": "running", "hospitals": request.hospitals}))
        self.launched(Launches())
        # The last of all: a keeper that looked in between would find a run to be stopped, and end it again.
        (self.folder / "outcome.json").unlink(missing_ok=True)

    def exchanges(self) -> int:
        """How many exchanges with the hospitals are done."""
        return sum(event["event"] == "exchanged" and not event["replayed"] for event in self.events())

    def events(self) -> Iterator[dict[str, Any]]:
        """What happened so far."""
        if self.progress_file.exists():
            for line in self.progress_file.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):  # the last line may be half written
                    yield json.loads(line)


def create_run(runs: Path, study: Study, request: Request) -> Run:
    """A new run's folder, named after the study and the time."""
    stem = f"{study.study}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        folder = runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            continue
        run = Run(folder)
        (folder / "study.json").write_text(study.to_json(), encoding="utf-8")
        run.want(request)
        return run
    raise HepafedError(f"{runs} holds a thousand runs of this second: wait a moment")


def find_run(runs: Path, name: str) -> Run:
    """The run of this name, or the newest one whose name begins so."""
    if not NAME.fullmatch(name):
        raise HepafedError(f"{name!r} is no name of a run; hepafed runs lists them")
    found = [run for run in all_runs(runs) if run.name.startswith(name)]
    exact = [run for run in found if run.name == name]
    if not found:
        raise HepafedError(f"there is no run {name} in {runs}; hepafed runs lists them")
    return (exact or found)[-1]


def all_runs(runs: Path) -> list[Run]:
    """All runs, the oldest first."""
    found = (
        [Run(folder) for folder in runs.iterdir() if (folder / "request.json").exists()] if runs.exists() else []
    )
    return sorted(found, key=lambda run: (run.request.created, run.name))


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise HepafedError(f"{path} is damaged: put it back from a backup, or start a new run")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    with whole(path, AS_THE_UMASK_SAYS, durable=False, several_writers=True) as file:
        json.dump(content, file, indent=1)
