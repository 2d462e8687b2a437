"""What leaving a study deletes is what studies write: every file that own_copy and own_survival really leave."""

from contextlib import closing
from pathlib import Path

import pytest

from client import queries
from client.approval import approve, approved_now
from client.leaving import leave
from client.networks.own_state import StateInMemory
from client.own_copies import COPIES, NOTES
from client.rows import Rows
from client.site import Site, SiteFile, open_site
from client.store import Store
from client.view import Views
from common.query import Query
from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study
from tests.server.network_tables import trained
from tests.server.test_image_networks import imaged

NO_COPIES = frozenset(
    {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.key", "hospital.log", "identity.key", NOTES}
)
"""What a simulated hospital's own folder also holds."""


def left_by_a_study(chosen: Study, sites: Path, out: Path) -> set[str]:
    """The names of what one study leaves in a hospital's own folder."""
    hospitals = find_hospitals(sites)
    simulate(Simulation(chosen, hospitals, out), Silence())
    return {path.name for name in hospitals for path in (out / "sites" / name).iterdir()} - NO_COPIES


def left_by_a_network_on_images(own_folder: Path) -> set[str]:
    """The names of what own_copy writes where a network looks at images."""
    federation, view, _ = imaged(36, {"architecture": "fusion", "rounds": 1})
    found = trained(federation, view)
    name, members = next(iter(federation.members.items()))
    site = Site(name, own_folder, own_folder, SiteFile(), lower_profile=True)
    query = Query(
        "own_copy",
        federation.study.hash,
        tuple(federation.members),
        (),
        "held_out",
        found.scores,
        {"schemes": ["apparent"]},
        {},
    )
    rows = Rows(site, members, Views(members, federation.kept, StateInMemory()), query)
    kind, parameters = queries.read(rows)
    assert not kind.answer(rows, parameters).sums
    assert {path.stem for path in (own_folder / "attention").iterdir()} <= set(members.cohort.ids)
    return {path.name for path in own_folder.iterdir()} - NO_COPIES


@pytest.mark.slow
def test_leaving_deletes_every_file_that_studies_write_and_no_other(tmp_path: Path) -> None:
    sites = tmp_path / "sites"
    write_hospitals(sites, sites=3, patients=40, seed=7)
    demo = Study.from_file(sites / "study.yaml")
    own = left_by_a_study(demo, sites, tmp_path / "harmonised")
    own |= left_by_a_network_on_images(tmp_path / "images")
    survival = Study.from_content(
        {
            "study": "survival",
            "outcome": {"kind": "survival", "time": "os_days", "event": "os_event"},
            "predictors": {"clinical": ["age", "albi"]},
            "model": {"kind": "cox", "penalty": "none"},
            "variables": {
                name: demo.variable(name).model_dump() for name in ("age", "albi", "os_days", "os_event")
            },
            "validation": {"folds": 3, "leave_one_hospital_out": False},
        },
        "study",
    )
    own |= left_by_a_study(survival, sites, tmp_path / "survival")
    assert own == set(COPIES)


def test_a_folder_of_pictures_goes_with_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("id,mvi\nA,yes\n", encoding="utf-8")
    site, chosen = open_site(tmp_path), study()
    with closing(Store(site.own)) as store:
        approve(store, approved_now(chosen, {"alder": "0" * 64}, "the officer", 100))
    for name in COPIES:
        path = site.own_folder / name
        if path.suffix:
            path.write_text("of patients", encoding="utf-8")
        else:
            path.mkdir()
            (path / "A.png").write_bytes(b"a picture")
    (site.own_folder / "notes.txt").write_text("not of a study", encoding="utf-8")
    left = leave(site, chosen.study)
    assert {path.relative_to(site.own_folder).parts[0] for path in left.copies.go} == set(COPIES)
    assert not [name for name in COPIES if (site.own_folder / name).exists()]
    assert (site.own_folder / "notes.txt").exists()
