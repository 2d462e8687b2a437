"""What a hospital adds to a noisy total is bounded for every patient, paid for, and the same whenever it is asked."""

from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from client.app import Whereabouts, respond
from client.folds import Folds
from client.gate_rules.questions import questions_of
from client.noise import Release
from client.queries import QUERIES
from client.queries.private_gradient import noised_gradient
from client.queries.private_histograms import noised_histogram
from client.queries.private_moments import noised_moments
from client.store import Store
from common import wire
from common.errors import Code
from common.privacy_plan import SHARES, noise_of_gradient, share_of_noise
from common.query import Answer, Query, View
from common.study import Study
from tests.approved import approve_here, room_of, site_of
from tests.client.test_app import log_of
from tests.private_studies import FEATURES, hospitals_of, private_study

PATIENTS, COLUMNS = 12, 3
ROSTER = ("h0", "h1", "h2")
F = ("final",)
SILENT = Release.of(1.0, 1.0, silent=True)
ANYTHING = some.floats(-1e300, 1e300) | some.sampled_from([np.nan, 1e-300, 0.0])
tables = arrays(np.float64, (PATIENTS, COLUMNS), elements=ANYTHING)
rows_of_a_patient = arrays(np.float64, COLUMNS, elements=ANYTHING)
outcomes = arrays(np.float64, PATIENTS, elements=some.sampled_from([0.0, 1.0]))
betas = arrays(np.float64, 1 + COLUMNS, elements=some.floats(-1e4, 1e4))


# --- neighbouring data sets: one patient there or blanked


@settings(max_examples=100, deadline=None)
@given(tables, outcomes, betas, some.floats(0.1, 50), some.integers(0, PATIENTS - 1))
def test_one_patient_changes_a_gradient_by_its_clip_at_most(
    table: np.ndarray, outcome: np.ndarray, beta: np.ndarray, clip: float, k: int
) -> None:
    others = np.arange(PATIENTS) != k
    whole = noised_gradient(table, outcome, beta, clip, SILENT)
    without = noised_gradient(table[others], outcome[others], beta, clip, SILENT)
    assert np.linalg.norm(whole - without) <= clip * (1 + 1e-6)


@settings(max_examples=100, deadline=None)
@given(tables, some.integers(0, PATIENTS - 1), rows_of_a_patient)
def test_one_patient_changes_moments_by_the_root_of_twice_the_columns_at_most(
    table: np.ndarray, k: int, other: np.ndarray
) -> None:
    whole = noised_moments(table, SILENT)
    without = noised_moments(np.delete(table, k, axis=0), SILENT)
    assert np.linalg.norm(whole - without) <= np.sqrt(2 * COLUMNS) * (1 + 1e-6)
    replaced = table.copy()
    replaced[k] = other
    assert np.linalg.norm(whole - noised_moments(replaced, SILENT)) <= 2 * np.sqrt(2 * COLUMNS) * (1 + 1e-6)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, PATIENTS, elements=some.floats(0, 1)), outcomes, some.integers(0, PATIENTS - 1))
def test_one_patient_is_in_one_cell_of_a_histogram(risk: np.ndarray, outcome: np.ndarray, k: int) -> None:
    edges, others = np.array([0.2, 0.5, 0.9]), np.arange(PATIENTS) != k
    changed = noised_histogram(risk, outcome, edges, SILENT) - noised_histogram(
        risk[others], outcome[others], edges, SILENT
    )
    assert np.abs(changed).sum() == pytest.approx(1.0)


def test_one_patients_outcome_moves_nobodys_fold(tmp_path: Path) -> None:
    chosen = private_study({}, validation={"folds": 3, "leave_one_hospital_out": False})
    dealt = []
    for flipped in (False, True):
        table = hospitals_of(tmp_path / str(flipped), 1, 40)
        file = table / "h0" / "patients.csv"
        lines = file.read_text().splitlines()
        if flipped:
            lines[1] = lines[1][:-1] + str(1 - int(lines[1][-1]))
            file.write_text("\n".join(lines) + "\n")
        dealt.append(folds_of(Whereabouts(table / "h0", tmp_path / f"own{flipped}", lower_profile=True), chosen))
    assert (dealt[0] == dealt[1]).all()


def folds_of(hospital: Whereabouts, chosen: Study) -> np.ndarray:
    from client.cohort.cohort import read_cohort
    from client.members import Members

    members = Members("h0", chosen, read_cohort(site_of(hospital), chosen))
    assert isinstance(members.folds, Folds)
    return members.folds.assign(0)


# --- a hospital that is asked


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    """A hospital of 60 patients in a simulation, where a test can see what would be masked."""
    hospitals_of(tmp_path / "sites", 1, 60)
    return Whereabouts(tmp_path / "sites" / "h0", tmp_path / "own", lower_profile=True)


CHOSEN = private_study({"iterations": 2})


def views() -> tuple[View, View, View]:
    raw = View(step="columns", parameters={"columns": FEATURES})
    limits = {"low": np.full((1, 20), -4.0), "high": np.full((1, 20), 4.0)}
    bounded = View(step="bound", parent=raw.hash, splits=F, arrays=limits)
    scale = {"centre": np.zeros((1, 20)), "spread": np.full((1, 20), 0.25)}
    return raw, bounded, View(step="scale", parent=bounded.hash, splits=F, arrays=scale)


def ask(hospital: Whereabouts, chosen: Study, name: str, **query: Any) -> Answer:
    asked = Query(name=name, study=chosen.hash, **({"roster": ROSTER, "splits": F} | query))
    handed = room_of(hospital, chosen, asked.roster, 60)
    record = wire.query_to_record(asked, {view.hash: view.to_bytes() for view in views()}, handed)
    return wire.answer_from_bytes(respond(hospital, record).packed)


def call_roll(hospital: Whereabouts, chosen: Study) -> Answer:
    return ask(hospital, chosen, "roll_call", roster=(), splits=(), parameters={"study": chosen.to_json()})


def gradient(hospital: Whereabouts, chosen: Study, at: float, **more: Any) -> Answer:
    beta = {"beta": np.full((1, 21), at)}
    return ask(hospital, chosen, "private_gradient", **({"view": views()[-1].hash, "arrays": beta} | more))


def test_the_roll_call_tells_the_number_of_patients_and_nothing_else_of_them(hospital: Whereabouts) -> None:
    said = call_roll(hospital, CHOSEN).disclosed
    assert said.patients == 60
    assert (said.events, said.missing, said.medians, said.scanners) == (None, {}, {}, ())
    assert (said.subgroups, said.comparing, said.contributes) == ((), (), ())


def test_asking_again_gets_the_same_noise_so_that_averaging_gains_nothing(hospital: Whereabouts) -> None:
    call_roll(hospital, CHOSEN)
    answers = [gradient(hospital, CHOSEN, 0.1).sums["gradient"] for _ in range(20)]
    assert all((answer == answers[0]).all() for answer in answers)
    silent = gradient(hospital, CHOSEN, 0.1, parameters={"noise": False}).sums["gradient"]
    error = np.mean(answers, axis=0) - silent
    expected = noise_of_gradient(CHOSEN, "final", 20) * share_of_noise(ROSTER)
    assert 0.5 * expected < error.std() < 1.6 * expected


def test_an_averaging_attack_with_questions_that_differ_by_a_hair_ends_with_the_budget(
    hospital: Whereabouts,
) -> None:
    call_roll(hospital, CHOSEN)
    answers = [gradient(hospital, CHOSEN, 0.1 + k * 1e-9) for k in range(9)]
    got = [answer for answer in answers if answer.sums]
    # What moments and histograms were to cost may be spent on gradients instead, and no more.
    assert len(got) == int(CHOSEN.privacy.differential.iterations / SHARES["private_gradient"])  # type: ignore[union-attr]
    assert {answer.disclosed.code for answer in answers[len(got) :]} == {Code.BUDGET_SPENT}
    assert "spent" in log_of(hospital).strip().splitlines()[-1]
    assert gradient(hospital, CHOSEN, 0.1).sums  # one that was paid for is sent again


def test_of_two_answers_to_one_question_at_the_same_time_one_leaves(hospital: Whereabouts) -> None:
    with closing(Store(site_of(hospital).own)) as store:
        kept = [
            store.keep_answer("study", "question", "[]", noisy, sha256(noisy).hexdigest(), False)
            for noisy in (b"first", b"second")
        ]
    assert kept == [b"first", b"first"]


def test_another_roster_pays_again(hospital: Whereabouts) -> None:
    call_roll(hospital, CHOSEN)
    assert gradient(hospital, CHOSEN, 0.0).sums
    assert gradient(hospital, CHOSEN, 0.1).sums
    assert gradient(hospital, CHOSEN, 0.0, roster=("h0", "h1", "h3")).disclosed.code is Code.BUDGET_SPENT


def test_two_studies_on_the_same_patients_share_the_hospitals_own_budget(hospital: Whereabouts) -> None:
    (hospital.folder / "site.yaml").write_text("policy: {epsilon: 4.5}\n")
    call_roll(hospital, CHOSEN)
    first = [gradient(hospital, CHOSEN, k / 10).sums for k in range(2)]
    second = private_study({"iterations": 2}, seed=8)
    call_roll(hospital, second)
    then = [gradient(hospital, second, k / 10) for k in range(2)]
    assert all(first)
    assert then[0].sums
    assert then[1].disclosed.code is Code.BUDGET_SPENT
    assert "this hospital allows 4.5" in log_of(hospital)


def test_no_query_without_noise_is_answered_in_a_private_study(hospital: Whereabouts) -> None:
    call_roll(hospital, CHOSEN)
    asked = {"splits": F, "view": views()[0].hash}
    for name in sorted(set(QUERIES) - set(questions_of(CHOSEN))):
        assert not ask(hospital, CHOSEN, name, **asked).sums, name
    answer = ask(hospital, CHOSEN, "moments", arrays={"centre": np.zeros((1, 20))}, **asked)
    assert answer.disclosed.code is Code.NOT_ALLOWED


def test_a_query_with_noise_is_not_answered_in_a_study_without_a_budget(hospital: Whereabouts) -> None:
    from tests.hospitals_on_disk import study

    plain = study(validation={"folds": 0, "leave_one_hospital_out": False})
    call_roll(hospital, plain)
    asked = {"splits": F, "view": views()[0].hash}
    assert ask(hospital, plain, "private_moments", **asked).disclosed.code is Code.NOT_ALLOWED


def test_noise_is_left_out_in_simulations_alone(tmp_path: Path, hospital: Whereabouts) -> None:
    from client.cohort.cohort import read_cohort
    from client.members import Members
    from client.noise import release_of
    from client.rows import Rows
    from client.view import Views
    from common.errors import HospitalError

    earnest = Whereabouts(hospital.folder, tmp_path / "earnest")
    approve_here(earnest, CHOSEN, ROSTER)
    site = site_of(earnest)
    members = Members("h0", CHOSEN, read_cohort(site, CHOSEN))
    with closing(Store(site.own)) as store:
        rows = Rows(site, members, Views(members, store), Query("private_gradient", CHOSEN.hash, ROSTER, F))
        assert release_of(rows, 1.0, noise=True).units > 0
        with pytest.raises(HospitalError, match="in simulations alone"):
            release_of(rows, 1.0, noise=False)
