"""A whole federation on one machine: every hospital folder is a hospital, with its own store and log."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context, RecordDict
from flwr.clientapp import ClientApp

from client.app import LOG, Whereabouts, build
from client.site import open_site
from common.errors import HepafedError, HospitalError
from common.frozen_model import FILE_NAME
from common.privacy_plan import is_private
from common.released_model import FILE_NAME as MODEL_FILE
from common.study import Study
from deploy.simulation.grid import RUN_ID, OneProcessGrid
from deploy.simulation.pooled import add_pooled_and_alone
from server.app import CHECKPOINT, Assignment
from server.app import build as build_server
from server.progress import Progress


@dataclass(frozen=True)
class Simulation:
    """A study, the hospitals' folders by name, and where everything goes."""

    study: Study
    folders: dict[str, Path]
    out: Path
    engine: str = "process"

    def own_folder(self, hospital: str) -> Path:
        """What stands for the hospital's own disk."""
        return self.out / "sites" / hospital


def find_hospitals(folder: Path) -> dict[str, Path]:
    """The hospital folders in a folder: those that hold site.yaml or patients.csv."""
    if not folder.is_dir():
        raise HepafedError(f"{folder}: there is no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or not any((path / name).exists() for name in ("site.yaml", "patients.csv")):
            continue
        try:
            name = open_site(path, path, lower_profile=True).name
        except HospitalError:
            name = path.name  # its site.yaml is broken: the hospital itself will say so in its log
        if name in found:
            raise HepafedError(
                f"{found[name]} and {path} are both called '{name}': give each its own name in site.yaml"
            )
        found[name] = path
    if not found:
        raise HepafedError(
            f"{folder}: no hospital here. Each hospital is a folder in it with at least patients.csv "
            "(try: hepafed demo-data FOLDER)"
        )
    return found


def prepare_out(out: Path, hospitals: dict[str, Path], resume: bool, overwrite: bool) -> None:
    """Make the output folder, or refuse to mix two runs in one."""
    if resume and overwrite:
        raise HepafedError("--resume goes on with a run and --overwrite replaces it: give one of them")
    if out.exists() and not out.is_dir():
        raise HepafedError(f"{out} is a file: --out names a folder")
    for folder in hospitals.values():
        if (
            out.resolve() in (folder.resolve(), folder.parent.resolve())
            or folder.resolve() in out.resolve().parents
        ):
            raise HepafedError(f"{out} holds hospitals' data, which is only read: name another folder for --out")
    begun = (out / CHECKPOINT).exists() or (out / "results.json").exists()
    if begun and overwrite:
        for name in ("coordinator", "sites"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in ("results.json", "report.html", FILE_NAME, MODEL_FILE):
            (out / name).unlink(missing_ok=True)
    elif begun and not resume:
        raise HepafedError(
            f"{out} holds a run already: --resume goes on with it, --overwrite replaces it; or name another folder"
        )
    out.mkdir(parents=True, exist_ok=True)


def simulate(simulation: Simulation, progress: Progress) -> None:
    """Run the study; results.json, report.html and sites/ are in the output folder afterwards."""
    assignment = Assignment(simulation.study, simulation.out, simulation.engine, lower_profile=True)
    names = list(simulation.folders)
    client_app = hospitals_app(simulation)
    server_app = build_server(assignment, progress)
    if simulation.engine == "ray":
        from deploy.simulation.ray_engine import run_over_ray

        run_over_ray(server_app, client_app, len(names))
    else:
        grid = OneProcessGrid(client_app, names)
        try:
            context = Context(run_id=RUN_ID, node_id=0, node_config={}, state=RecordDict(), run_config={})
            server_app(grid, context)
        finally:
            grid.close()
    if not is_private(simulation.study):  # beside a private study runs the same one without noise
        add_pooled_and_alone(simulation)


def hospitals_app(simulation: Simulation) -> ClientApp:
    """One ClientApp that answers for every hospital of the simulation, in the order of their names there."""
    own = [
        Whereabouts(folder, simulation.own_folder(name), lower_profile=True)
        for name, folder in simulation.folders.items()
    ]
    return build(_locator(own))


def _locator(whereabouts: list[Whereabouts]) -> Callable[[Context], Whereabouts]:
    """Which hospital a simulated node is."""

    def locate(context: Context) -> Whereabouts:
        return whereabouts[int(context.node_config["partition-id"])]

    return locate


def log_ends(simulation: Simulation) -> dict[str, int]:
    """How long every hospital's own log is now."""
    logs = {name: simulation.own_folder(name) / LOG for name in simulation.folders}
    return {name: log.stat().st_size if log.exists() else 0 for name, log in logs.items()}


def last_words(simulation: Simulation, since: dict[str, int]) -> dict[str, list[str]]:
    """The last error in every hospital's own log since then: on one machine, its operator is you."""
    said = {}
    for name, start in since.items():
        log = simulation.own_folder(name) / LOG
        text = log.read_bytes()[start:].decode("utf-8", "replace") if log.exists() else ""
        entries = re.split(r"\n(?=\d{4}-\d\d-\d\d )", text.strip())
        errors = [entry for entry in entries if " ERROR " in entry.partition("\n")[0]]
        if errors:
            said[name] = errors[-1].splitlines()
    return said
