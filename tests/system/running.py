"""Real federations for the system tests: demo hospitals, daemons, and what can be killed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.daemon_log import read_state
from common.study import Study
from deploy.loopback import Loopback
from deploy.simulation.simulate import Simulation, find_hospitals, prepare_out, simulate
from server.progress import Silence
from server.runs import Run
from tests.waiting import until

STUDY = """
study: small-demo
outcome: {kind: binary, column: mvi}
predictors:
  clinical: [age, afp, tumour_size_mm, albi]
model: {kind: logistic, penalty: ridge, strength: 1.0}
validation: {folds: 3, repeats: 1, leave_one_hospital_out: false}
privacy: {minimum_patients: 10, secure_sum: true}
lost_hospital: {wait_minutes: %s}
seed: 7
"""


def without_transport(path: Path) -> dict[str, Any]:
    """results.json, times and retries apart."""
    found = json.loads(path.read_text(encoding="utf-8"))
    found.pop("transport")
    return dict(found)


def simulated(hospitals: Path) -> dict[str, Any]:
    """What study.yaml of a folder of hospitals gives in one process, without_transport."""
    out = hospitals.parent / "simulated"
    simulation = Simulation(Study.from_file(hospitals / "study.yaml"), find_hospitals(hospitals), out)
    prepare_out(out, simulation.folders, resume=False, overwrite=False)
    simulate(simulation, Silence())
    return without_transport(out / "results.json")


def after_exchanges(run: Run, number: int) -> None:
    """Wait until a run has done so many exchanges."""
    until(lambda: run.exchanges() >= number, 300, f"{number} exchanges of {run.name}; {list(run.events())[-3:]}")


def process_of(folder: Path, name: str) -> int:
    """The process that a daemon keeps under this name."""
    found: list[int] = []

    def look() -> bool:
        processes = (read_state(folder / "daemon.json") or {}).get("processes")
        if isinstance(processes, dict) and processes[name]["running"]:
            found.append(int(processes[name]["pid"]))
        return bool(found)

    until(look, 60, f"{name} of {folder}")
    return found[-1]


def children(process: int) -> list[int]:
    """The children of a process, the youngest last."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except FileNotFoundError:
        return []
    return [int(number) for number in text.split()]


def kill(process: int) -> None:
    """As the kernel does when memory runs out."""
    os.kill(process, signal.SIGKILL)


def kill_kept(folder: Path, name: str) -> None:
    """Kill a process that a daemon keeps."""
    kill(process_of(folder, name))


def kill_app(folder: Path, after: Callable[[], object] = lambda: None) -> None:
    """Kill the process of an app: a child of the executor's template."""
    (template,) = children(process_of(folder, "executor"))
    after()
    found: list[int] = []
    until(lambda: found.extend(children(template)) or found, 120, "a process of an app")
    kill(found[0])


def own(running: Loopback, hospital: str) -> Path:
    """A hospital's own folder."""
    return running.own_folder(hospital)


def mentioning(folder: Path) -> list[int]:
    """The processes that were started for a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found
