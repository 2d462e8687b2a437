"""`hepafed site approve`, `revoke` and `withdraw`, as a hospital's officer types them."""

from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from client.approval import approvals
from client.identity import Identity
from client.site import open_site
from client.store import Store
from client.withdrawal import withdrawn
from common.study import Study
from deploy.simulation.simulate import find_hospitals
from tests.command import Result, hepafed
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals, write_study

CLINICAL = ["mean_radius", "mean_texture"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("approve")
    write_hospitals(folder / "hospitals", breast_cancer(), [*CLINICAL, "mvi"], [])
    hospitals = find_hospitals(folder / "hospitals")
    lines = [f'{name}: "{Identity.open(open_site(path).own).fingerprint}"\n' for name, path in hospitals.items()]
    (folder / "roster.yaml").write_text("".join(lines))
    chosen = study(
        predictors={"clinical": CLINICAL},
        validation={"folds": 2, "leave_one_hospital_out": False},
        title="A study",
    )
    write_study(folder / "study.yaml", chosen)
    return folder


def approve(made: Path, *more: object, typed: str | None = None) -> Result:
    north = made / "hospitals" / "birch"
    call = ("site", "approve", made / "study.yaml", north, "--roster", made / "roster.yaml")
    return hepafed(*call, *more, columns=300, typed=typed)


def recorded(made: Path) -> list[str]:
    with closing(Store(open_site(made / "hospitals" / "birch").own)) as store:
        return [approval.study for approval in approvals(store) if approval.revoked_at is None]


def test_what_is_approved_is_shown_first_and_approved_by_a_yes(made: Path) -> None:
    refused = approve(made, typed="n\n")
    assert refused.exit_code == 1
    assert recorded(made) == []
    given = approve(
        made, "--ethics", "2026-041", "--ethics-until", "2031-01-31", "--approved-by", "Dr Lin", typed="y\n"
    )
    assert given.exit_code == 0, given.output
    for said in (
        "logistic: Per fold and set of columns: the log-likelihood",
        "masked totals",
        "until 2031-01-31",
        "Compare these out of",
    ):
        assert said in given.output
    with closing(Store(open_site(made / "hospitals" / "birch").own)) as store:
        approval = approvals(store)[0]
    assert (approval.approved_by, approval.ethics, str(approval.expires)) == ("Dr Lin", "2026-041", "2031-01-31")
    assert approval.study == Study.from_file(made / "study.yaml").hash
    gone = hepafed("site", "revoke", made / "study.yaml", made / "hospitals" / "birch")
    assert gone.exit_code == 0, gone.output
    assert recorded(made) == []
    again = hepafed("site", "revoke", "test", made / "hospitals" / "birch")
    assert again.exit_code == 1
    assert "no approval" in again.output


def test_a_dry_run_answers_every_question_and_keeps_and_sends_nothing(made: Path) -> None:
    before = recorded(made)
    ran = approve(made, "--dry-run")
    assert ran.exit_code == 0, ran.output
    assert "logistic: gradient 9, hessian 18, likelihood 3 → passed" in ran.output
    assert "nothing was sent, kept or approved" in ran.output
    assert recorded(made) == before
    with closing(Store(open_site(made / "hospitals" / "birch").own)) as store:
        assert store.first("SELECT count(*) FROM answered") == (0,)
        assert store.first("SELECT count(*) FROM ledger") == (0,)
    assert not (made / "hospitals" / "birch" / ".hepafed" / "predictions.csv").exists()


def test_a_dry_run_says_what_the_gate_refuses_and_why(made: Path) -> None:
    site = made / "hospitals" / "birch" / "site.yaml"
    site.write_text("policy: {minimum_row_set: 5000}\n")
    ran = approve(made, "--dry-run")
    site.unlink()
    assert ran.exit_code == 2
    assert "refused (refused_too_few_patients_in_row_set)" in ran.output
    assert "this hospital asks for 5000 (policy: minimum_row_set)" in ran.output


def test_a_roster_that_gives_this_hospital_another_key_is_not_approved(made: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "roster.yaml"
    own = Identity.open(open_site(made / "hospitals" / "birch").own).fingerprint
    wrong.write_text((made / "roster.yaml").read_text().replace(own, "a" * 64))
    call = ("site", "approve", made / "study.yaml", made / "hospitals" / "birch", "--roster", wrong, "--yes")
    ran = hepafed(*call)
    assert ran.exit_code == 1
    assert "somebody else would speak for this hospital" in ran.output


def test_a_patient_withdraws_by_id(made: Path) -> None:
    cedar = made / "hospitals" / "cedar"
    patient = str(pd.read_csv(cedar / "patients.csv")["id"].iloc[3])
    unknown = hepafed("site", "withdraw", "nobody", cedar, "--yes")
    assert unknown.exit_code == 1
    assert "is no id in" in unknown.output
    assert hepafed("site", "withdraw", patient, cedar, "--yes").exit_code == 0
    assert withdrawn(open_site(cedar).own) == {patient}
