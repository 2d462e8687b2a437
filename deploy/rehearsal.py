"""A study rehearsed inside one hospital: its real answers, its real gate, and nothing sent.

The other hospitals are copies of this one under their names. So the arrays are this hospital's own and its rules are
held in earnest; numbers of patients in total are what they would be if all hospitals were like this one. Everything
is kept in a temporary folder of this machine and deleted.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from flwr.app import Context, RecordDict

from client.app import LOG, Whereabouts, build
from client.approval import approve, approved_now
from client.cohort.cohort import read_cohort
from client.gate_rules.budget import check_budget
from client.gate_rules.cohorts import check_cohort, check_withdrawals
from client.gate_rules.memory import Memory
from client.identity import Identity
from client.ledger import Entry, Kind, entries
from client.sealing import KEYRING
from client.site import Site, open_site
from client.store import Store
from common.errors import HepafedError, StudyError
from common.study import Study
from deploy.simulation.grid import RUN_ID, OneProcessGrid
from server.app import Assignment
from server.app import build as build_server
from server.progress import Silence

FILES = ("patients", "features", "retest", "columns", "images", "own_folder")
"""What site.yaml says of where things are."""


@dataclass(frozen=True)
class Rehearsed:
    """What this hospital answered or refused, in order; why the run stopped, if it did; what its log says."""

    answers: tuple[Entry, ...]
    stopped: str
    reasons: tuple[str, ...]


def rehearse(site: Site, study: Study, roster: Mapping[str, str], most: int) -> Rehearsed:
    """Run a study with copies of this hospital in the others' places.

    Raises
    ------
    HospitalError
        Where the study would be refused for what this hospital has answered before, or who has withdrawn.
    """
    if site.file.store_key == KEYRING:
        raise StudyError("site.yaml says store_key: keyring, and a rehearsal would leave keys there: name a file")
    with closing(Store(site.own)) as store:
        check_withdrawals(site, Memory(store), study)
        cohort = read_cohort(site, study)
        check_cohort(site, Memory(store), study, cohort)
        check_budget(site, Memory(store), study, cohort.ids)
    with TemporaryDirectory(prefix="hepafed-rehearsal-") as temporary:
        return _run(site, study, sorted(roster), most, Path(temporary))


def _run(site: Site, study: Study, names: list[str], most: int, room: Path) -> Rehearsed:
    copies = {name: _copy(site, name, room) for name in names}
    sites = {name: open_site(copy.folder, copy.own_folder) for name, copy in copies.items()}
    fingerprints = {name: Identity.open(copied.own).fingerprint for name, copied in sites.items()}
    for copied in sites.values():
        with closing(Store(copied.own)) as store:
            approve(store, approved_now(study, fingerprints, "rehearsal", most))
    client = build(lambda context: copies[names[int(context.node_config["partition-id"])]])
    server = build_server(Assignment(study, room / "out", "process", lower_profile=False), Silence())
    grid = OneProcessGrid(client, names)
    stopped = ""
    try:
        server(grid, Context(run_id=RUN_ID, node_id=0, node_config={}, state=RecordDict(), run_config={}))
    except HepafedError as error:
        stopped = str(error)
    finally:
        grid.close()
    with closing(Store(sites[site.name].own)) as store:
        told = tuple(entry for entry in entries(store) if entry.kind in (Kind.ANSWER, Kind.REFUSAL))
    return Rehearsed(told, stopped, _reasons(copies[site.name].own_folder / LOG))


def _copy(site: Site, name: str, room: Path) -> Whereabouts:
    """A folder that says where this hospital's files are; the files themselves stay where they are."""
    folder = room / "hospitals" / name
    folder.mkdir(parents=True)
    said = site.file.model_dump(mode="json", exclude_unset=True)
    places = {field: (site.folder / getattr(site.file, field)).resolve() for field in FILES}
    files = {field: str(place) for field, place in places.items() if field in said or place.exists()}
    key = {} if site.file.store_key is None else {"store_key": str((site.folder / site.file.store_key).resolve())}
    (folder / "site.yaml").write_text(yaml.safe_dump(said | files | key | {"name": name}), encoding="utf-8")
    return Whereabouts(folder, room / "own" / name)


def _reasons(log: Path) -> tuple[str, ...]:
    """The refusals and errors in the log."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return tuple(line.partition(" ERROR ")[2] for line in lines if " ERROR " in line)
