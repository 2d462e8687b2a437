"""The study that is shown first is one that every gate lets through, and it finds what was planted."""

from pathlib import Path

import pytest

from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import find_hospitals
from tests.approved import approve_everywhere, run_between


@pytest.mark.slow
def test_the_demo_runs_in_the_full_profile(tmp_path: Path) -> None:
    write_hospitals(tmp_path / "demo", 4, 60, 7, images=False, say=lambda _: None)
    study = Study.from_file(tmp_path / "demo" / "study.yaml")
    hospitals = approve_everywhere(study, find_hospitals(tmp_path / "demo"))
    results = run_between(study, hospitals, tmp_path / "out")
    found = results["performance"]["leave_one_hospital_out"]["overall"]["auc"]
    assert found["low"] > 0.55
