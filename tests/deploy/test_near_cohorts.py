"""A study that the gate will refuse, for its cohort nearly is another one's, is warned of when it is approved."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from client.cohort.cohort import read_cohort
from client.gate_rules.cohorts import check_cohort, keep_cohort
from client.gate_rules.memory import Memory
from client.identity import Identity
from client.site import Site, open_site
from client.store import Store
from common.errors import Code, HospitalError
from common.study import Study
from deploy.simulation.simulate import find_hospitals
from tests.command import Result, hepafed
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals, write_study

CLINICAL = ["mean_radius", "mean_texture"]
WARNS = "will refuse"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write_hospitals(tmp_path / "hospitals", breast_cancer(), [*CLINICAL, "mvi"], [])
    hospitals = find_hospitals(tmp_path / "hospitals")
    lines = [f'{name}: "{Identity.open(open_site(path).own).fingerprint}"\n' for name, path in hospitals.items()]
    (tmp_path / "roster.yaml").write_text("".join(lines))
    return tmp_path


def birch(made: Path) -> Site:
    return open_site(made / "hospitals" / "birch")


def without_largest(made: Path, patients: int) -> dict[str, Any]:
    """A criterion that leaves so many of birch's patients out."""
    sizes = pd.read_csv(birch(made).folder / "patients.csv")["mean_radius"].sort_values()
    limit = float(sizes.iloc[-patients - 1])
    assert int((sizes > limit).sum()) == patients
    return {"cohort": {"include": [{"column": "mean_radius", "at_most": limit}]}}


def asking(name: str, **changes: Any) -> Study:
    about = {"predictors": {"clinical": CLINICAL}, "validation": {"folds": 2, "leave_one_hospital_out": False}}
    return study(study=name, **(about | changes))


def approve(made: Path, chosen: Study, *more: object) -> Result:
    path = made / f"{chosen.study}.yaml"
    write_study(path, chosen)
    call = ("site", "approve", path, birch(made).folder, "--roster", made / "roster.yaml", "--yes")
    given = hepafed(*call, *more, columns=400)
    assert given.exit_code == 0, given.output
    return given


def gate_refuses(made: Path, chosen: Study) -> bool:
    """What the gate itself does at the study's first question."""
    with closing(Store(birch(made).own)) as store:
        try:
            check_cohort(birch(made), Memory(store), chosen, read_cohort(birch(made), chosen))
        except HospitalError as error:
            return error.code is Code.NEARLY_SAME_COHORT
    return False


def answered(made: Path, chosen: Study) -> None:
    with closing(Store(birch(made).own)) as store:
        keep_cohort(Memory(store), chosen, read_cohort(birch(made), chosen))


@pytest.mark.parametrize(("fewer", "near"), [(0, False), (1, True), (9, True), (10, False)])
def test_the_warning_is_what_the_gate_does_once_the_other_study_was_answered(
    made: Path, fewer: int, near: bool
) -> None:
    first = asking("first")
    second = asking("second", **(without_largest(made, fewer) if fewer else {"title": "the same patients"}))
    approve(made, first)
    answered(made, first)
    said = approve(made, second).output
    assert gate_refuses(made, second) is near
    assert (WARNS in said) is near
    if near:
        patients = "1 patient" if fewer == 1 else f"{fewer} patients"
        assert f"The cohort of second differs here by {patients} from that of first ({first.hash[:12]}…)" in said
        assert "wait until 10 patients have changed (policy: minimum_changes)" in said


def test_a_study_that_was_approved_and_has_asked_nothing_yet_counts_until_it_is_revoked(made: Path) -> None:
    first, second = asking("first"), asking("second", **without_largest(made, 3))
    assert WARNS not in approve(made, first).output
    said = approve(made, second).output
    assert f"from that of first ({first.hash[:12]}…), which is approved and has asked nothing yet" in said
    assert "revoke the one that is not to run (hepafed site revoke)" in said
    assert hepafed("site", "revoke", "first", birch(made).folder).exit_code == 0
    assert WARNS not in approve(made, second).output


def test_the_same_study_approved_again_is_not_held_against_itself(made: Path) -> None:
    first = asking("first")
    approve(made, first)
    answered(made, first)
    assert WARNS not in approve(made, first).output


def test_a_cohort_that_cannot_be_read_yet_is_said_and_hinders_no_approval(made: Path) -> None:
    approve(made, asking("first"))
    answered(made, asking("first"))
    lacking = asking("second", outcome={"kind": "binary", "column": "recurrence"})
    said = approve(made, lacking).output
    assert "Its cohort cannot be read yet" in said
    assert 'there is no column "recurrence"' in said
