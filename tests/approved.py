"""A hospital that has approved a study, and neighbours with keys of their own, for tests of what it then answers."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Context, RecordDict

from client.app import Whereabouts, build
from client.approval import Approval, approve, approved_now
from client.identity import Identity
from client.site import Site, open_site
from client.store import Store
from common.room import PURPOSE, Room, Seat
from common.study import Study
from deploy.simulation.grid import RUN_ID, OneProcessGrid
from server.app import Assignment
from server.app import build as build_server
from server.progress import Progress, Silence

NEIGHBOURS_HAVE = 80


def site_of(hospital: Whereabouts) -> Site:
    return open_site(hospital.folder, hospital.own_folder, hospital.lower_profile)


def identity_of(hospital: Whereabouts, name: str) -> Identity:
    """The hospital's own key, or a neighbour's: the same for every test."""
    site = site_of(hospital)
    if name == site.name:
        return Identity.open(site.own)
    return Identity(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def approve_here(hospital: Whereabouts, chosen: Study, roster: Iterable[str], **more: Any) -> Approval:
    """The hospital approves a study, with this roster and 100 questions."""
    given = {"maximum_queries": 100} | more
    fingerprints = {name: identity_of(hospital, name).fingerprint for name in roster}
    approval = approved_now(chosen, fingerprints, "the officer", **given)
    with closing(Store(site_of(hospital).own)) as store:
        approve(store, approval)
    return approval


def seat(hospital: Whereabouts, chosen: Study, name: str, patients: int, **said: Any) -> Seat:
    """What a hospital says of itself, signed."""
    identity = identity_of(hospital, name)
    unsigned = Seat(hospital=name, patients=patients, key=identity.public_bytes.hex(), **said)
    signature = identity.sign(unsigned.statement(chosen.hash), PURPOSE)
    return unsigned.model_copy(update={"signature": signature.hex()})


def room_of(
    hospital: Whereabouts,
    chosen: Study,
    roster: Iterable[str],
    own: int,
    others: int = NEIGHBOURS_HAVE,
    **said: Any,
) -> str:
    """The room that an honest coordinator hands round; half of the patients have had the event."""
    names = sorted(set(roster))
    if not names:
        return ""
    here = site_of(hospital).name
    numbers = {name: own if name == here else others for name in names}
    return Room(
        tuple(
            seat(hospital, chosen, n, many, **({"events": many // 2, "alone": True} | said))
            for n, many in numbers.items()
        )
    ).to_json()


def run_between(
    chosen: Study, hospitals: dict[str, Whereabouts], out: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """A whole study in one process between hospitals that have approved it, gates as outside simulations."""
    names = list(hospitals)
    client = build(lambda context: hospitals[names[int(context.node_config["partition-id"])]])
    server = build_server(Assignment(chosen, out, "process", lower_profile=False), progress or Silence())
    grid = OneProcessGrid(client, names)
    try:
        server(grid, Context(run_id=RUN_ID, node_id=0, node_config={}, state=RecordDict(), run_config={}))
    finally:
        grid.close()
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def approve_everywhere(chosen: Study, folders: dict[str, Path], **more: Any) -> dict[str, Whereabouts]:
    """Every hospital approves the study with the roster of all."""
    hospitals = {name: Whereabouts(folder, folder / ".hepafed") for name, folder in folders.items()}
    roster = {name: Identity.open(site_of(hospital).own).fingerprint for name, hospital in hospitals.items()}
    for hospital in hospitals.values():
        with closing(Store(site_of(hospital).own)) as store:
            approve(store, approved_now(chosen, roster, "the officer", **({"maximum_queries": 200} | more)))
    return hospitals
