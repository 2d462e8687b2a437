"""Sample size before a study starts: published worked examples, and what the command says."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from common.errors import HepafedError
from common.room import Room, Seat
from deploy.cli import app
from deploy.study_size import counted_seats, size_in_words
from server.evaluation.sample_size import FollowUp, highest_r_squared, sample_size
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals, write_study


def test_the_published_binary_example_is_met() -> None:
    # Riley et al. 2019 (doi:10.1002/sim.7992), the example of the R package pmsampsize: 662 patients.
    found = sample_size("binary", 10_000, 1_740, 24, r_squared=0.288)
    assert {c.name: c.needed for c in found.criteria} == {"shrinkage": 623, "optimism": 662, "overall risk": 221}
    assert found.needed == 662


def test_the_published_survival_example_is_met() -> None:
    # Riley et al. 2019 (doi:10.1002/sim.7993), venous thromboembolism: 5,143 patients.
    followed = FollowUp(mean_years=2.07, horizon_years=2.0)
    found = sample_size(
        "survival", 100_000, round(0.065 * 2.07 * 100_000), 30, r_squared=0.051, follow_up=followed
    )
    assert found.needed == 5143


def test_the_highest_r_squared_is_that_of_a_perfect_model() -> None:
    outcome = np.repeat([0, 1], [70, 30])
    perfect = LogisticRegression(C=1e9, max_iter=10_000).fit(outcome[:, None], outcome)
    likelihood = np.log(perfect.predict_proba(outcome[:, None])[np.arange(100), outcome]).sum()
    null = 70 * np.log(0.7) + 30 * np.log(0.3)
    assert highest_r_squared("binary", 100, 30) == pytest.approx(
        1 - np.exp(2 * (null - likelihood) / 100), abs=2e-4
    )


@pytest.mark.parametrize("patients", [100, 260, 900, 4000])
def test_as_many_parameters_as_are_allowed_are_enough_and_one_more_is_not(patients: int) -> None:
    allowed = sample_size("binary", patients, patients // 3, 10).most_parameters
    if allowed:
        assert (
            max(c.needed for c in sample_size("binary", patients, patients // 3, allowed).criteria[:2]) <= patients
        )
    assert (
        max(c.needed for c in sample_size("binary", patients, patients // 3, allowed + 1).criteria[:2]) > patients
    )


def test_an_impossible_r_squared_is_refused_with_its_bound() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.4"):
        sample_size("binary", 1000, 100, 5, r_squared=0.8)


def test_suppressed_events_are_counted_as_in_the_other_hospitals() -> None:
    room = Room((Seat(hospital="a", patients=100, events=40), Seat(hospital="b", patients=100, events=None)))
    said = dict(size_in_words(study(validation={"folds": 0}), room, 5, None, None))
    assert "80 with the event" in said["Patients"]
    assert "as in the others for b" in said["Patients"]


def test_a_study_that_is_too_small_is_told_how_many_columns_it_may_have() -> None:
    room = counted_seats(["50,20", "50,15", "50,25"])
    few = study(
        validation={"folds": 0, "leave_one_hospital_out": False}, model={"kind": "logistic", "penalty": "none"}
    )
    said = dict(size_in_words(few, room, 80, None, None))
    assert "at most 49 predictors" in said["What to do"]
    assert "add hospitals, or try at most 1 candidate parameters" in said["What to do"]
    assert "penalty: ridge" in said["What to do"]
    assert "realistic from about 500" in said["Privacy"]


def test_numbers_that_cannot_be_are_refused_in_words() -> None:
    for counts, words in (("80", "80,31"), ("20,30", "more events than patients"), ("a,b", "80,31")):
        with pytest.raises(HepafedError, match=words):
            counted_seats([counts])


def test_the_command_holds_the_roll_call_of_real_folders(tmp_path: Path) -> None:
    table = breast_cancer()
    sites = write_hospitals(tmp_path / "sites", table, ["mvi"], ["mean_area", "mean_texture"])
    file = write_study(tmp_path / "study.yaml", study())
    run = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["study", "check", str(file), "--size", "--sites", str(sites)]
    )
    assert run.exit_code == 0, run.output
    assert f"{len(table)} of 4 hospitals, {table['mvi'].sum()} with the event" in run.output
    assert "2 candidate parameters" in run.output
    assert sorted(p.name for p in sites.iterdir()) == sorted(table["hospital"].unique())
    assert not list(sites.glob("*/.hepafed"))

    both = CliRunner().invoke(app, ["study", "check", str(file), "--size"])
    assert both.exit_code == 1
    assert "--counts patients,events" in both.output
