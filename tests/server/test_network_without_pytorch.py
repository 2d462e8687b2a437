"""PyTorch is an extra: a study with a network is refused in words where it is missing, before anything is asked."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from client.cohort.cohort import read_cohort
from client.site import open_site
from common.errors import Code, HospitalError, StudyError
from common.networks.installed import lacks_pytorch
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study, write_hospitals
from tests.private_studies import private_study
from tests.server.network_tables import COLUMNS, equal_hospitals

NETWORK: dict[str, Any] = {"model": {"kind": "network"}, "network": {"hidden": [4], "rounds": 2}}


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    table = equal_hospitals()
    table.insert(0, "id", [f"P{k:03d}" for k in range(len(table))])
    return write_hospitals(tmp_path / "sites", table, [*COLUMNS, "mvi"], [])


@pytest.fixture
def without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))


@pytest.mark.usefixtures("without_pytorch")
def test_the_coordinator_says_so_before_any_hospital_is_asked(sites: Path, tmp_path: Path) -> None:
    network = study(predictors={"clinical": COLUMNS}, **NETWORK)
    private = private_study({"epsilon": 8.0, "force": True}, **NETWORK)
    for asked in (network, private):
        with pytest.raises(StudyError, match="PyTorch is not installed here"):
            simulate(Simulation(asked, find_hospitals(sites), tmp_path / "out"), Silence())
    assert not list((tmp_path / "out").rglob("checkpoint*"))


@pytest.mark.usefixtures("without_pytorch")
def test_a_hospital_says_so_and_takes_part_in_studies_without_networks(sites: Path) -> None:
    site = open_site(sites / "birch")
    with pytest.raises(HospitalError, match="PyTorch is not installed here") as refused:
        read_cohort(site, study(predictors={"clinical": COLUMNS}, **NETWORK))
    assert refused.value.code is Code.WRONG_STUDY
    assert read_cohort(site, study(predictors={"clinical": COLUMNS})).ids


def test_nothing_is_said_where_pytorch_is_there() -> None:
    assert lacks_pytorch(study(predictors={"clinical": COLUMNS}, **NETWORK)) is None
