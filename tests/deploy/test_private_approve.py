"""`hepafed site approve` of a study with differential privacy: the budget in plain words, and a rehearsal with it."""

from pathlib import Path

import pytest

from client.identity import Identity
from client.site import open_site
from deploy.simulation.simulate import find_hospitals
from tests.command import Result, hepafed
from tests.hospitals_on_disk import write_study
from tests.private_studies import hospitals_of, private_study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private-approve")
    hospitals = find_hospitals(hospitals_of(folder / "hospitals", 4, 150))
    lines = [f'{name}: "{Identity.open(open_site(path).own).fingerprint}"\n' for name, path in hospitals.items()]
    (folder / "roster.yaml").write_text("".join(lines))
    write_study(folder / "study.yaml", private_study({"epsilon": 4.0, "iterations": 2}))
    return folder


def approve(made: Path, *more: str, typed: str | None = None) -> Result:
    call = ["site", "approve", made / "study.yaml", made / "hospitals" / "h0", "--roster", made / "roster.yaml"]
    return hepafed(*call, *more, columns=300, typed=typed)


def test_the_budget_is_shown_in_plain_words(made: Path) -> None:
    shown = " ".join(approve(made, typed="n\n").output.split())
    assert "ε = 4, δ = 1e-05" in shown
    assert "at most 54.6 times" in shown
    assert "suspects one person wrongly in 5% of cases is right in at most 24%" in shown
    assert "private_gradient" in shown
    assert "medians to two digits, its own AUC" not in shown


def test_a_dry_run_shows_every_noisy_answer_and_what_it_spends(made: Path) -> None:
    rehearsed = approve(made, "--dry-run")
    assert rehearsed.exit_code == 0, rehearsed.output
    assert "private_histograms: histogram" in rehearsed.output
    assert "privacy budget spent 1.0" in rehearsed.output


def test_a_dry_run_of_a_study_beyond_the_hospitals_own_budget_says_so(made: Path) -> None:
    site = made / "hospitals" / "h0" / "site.yaml"
    site.write_text("policy: {epsilon: 2}\n")
    try:
        rehearsed = approve(made, "--dry-run")
        assert rehearsed.exit_code != 0
        said = " ".join(rehearsed.output.split())
        assert "would have spent ε = 4 at δ = 1e-05 on a patient" in said
        assert "ε = 2 at δ = 1e-05" in " ".join(approve(made, typed="n\n").output.split())
    finally:
        site.unlink()
