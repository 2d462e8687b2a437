"""What a hospital's app answers, and what it refuses: codes leave, texts stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import ConfigRecord, RecordDict

from client.app import LOG, Whereabouts, respond
from common import wire
from common.errors import Code, StudyError
from common.query import Answer, Query, View
from common.splits import splits_of
from common.study import Study
from tests.approved import approve_here, room_of
from tests.hospitals_on_disk import study

PATIENTS = 40
ROSTER = ("east", "north", "south", "west")
ONE = {"of": [0], "columns": [[0, 1]], "curved": [0]}
"""One problem over both columns, with its second derivatives."""


@pytest.fixture
def chosen() -> Study:
    """Unmasked, so that a test can see what would be summed."""
    return study(
        predictors={"clinical": ["age", "size"]},
        validation={"folds": 2, "leave_one_hospital_out": True},
        privacy={"secure_sum": False},
    )


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(PATIENTS)],
            "age": rng.integers(40, 80, PATIENTS),
            "size": rng.normal(40, 9, PATIENTS).round(1),
            "mvi": rng.permutation(np.arange(PATIENTS) % 2),
        }
    )
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, tmp_path / "own")


def ask(hospital: Whereabouts, chosen: Study, name: str, views: tuple[View, ...] = (), **query: Any) -> Answer:
    asked = Query(name=name, study=chosen.hash, **({"roster": ROSTER} | query))
    room = room_of(hospital, chosen, asked.roster, PATIENTS)
    record = wire.query_to_record(asked, {view.hash: view.to_bytes() for view in views}, room)
    return wire.answer_from_bytes(respond(hospital, record).packed)


def call_roll(hospital: Whereabouts, chosen: Study) -> Answer:
    approve_here(hospital, chosen, ROSTER)
    return ask(hospital, chosen, "roll_call", roster=(), parameters={"study": chosen.to_json()})


COLUMNS = View(step="columns", parameters={"columns": ["age", "size"]})


def scaled(splits: tuple[str, ...]) -> tuple[View, View, View]:
    many = (len(splits), 1)
    fill = View("impute", COLUMNS.hash, splits, {}, {"fill": np.tile([60.0, 40.0], many)})
    scale = {"centre": np.tile([60.0, 40.0], many), "spread": np.tile([10.0, 9.0], many)}
    return COLUMNS, fill, View("scale", fill.hash, splits, {}, scale)


def log_of(hospital: Whereabouts) -> str:
    return (hospital.own_folder / LOG).read_text()


def test_roll_call_discloses_counts_and_nothing_of_a_patient(hospital: Whereabouts, chosen: Study) -> None:
    answer = call_roll(hospital, chosen)
    assert answer.disclosed.code is None
    assert (answer.disclosed.patients, answer.disclosed.events) == (PATIENTS, PATIENTS // 2)
    assert "SECRET" not in wire.answer_to_bytes(answer).decode("latin-1")


def test_a_study_whose_hash_is_not_its_own_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    other = study(predictors={"clinical": ["age"]})
    answer = ask(hospital, chosen, "roll_call", roster=(), parameters={"study": other.to_json()})
    assert answer.disclosed.code is Code.WRONG_STUDY


def test_a_query_of_a_study_that_was_never_sent_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    answer = ask(hospital, chosen, "moments", splits=("final",), view=COLUMNS.hash, views=(COLUMNS,))
    assert answer.disclosed.code is Code.WRONG_STUDY


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("logistic", {"arrays": {"beta": np.full((1, 3), 1e6)}, "parameters": ONE}),
        ("logistic", {"arrays": {"beta": np.array([[0.0, np.nan, 0.0]])}, "parameters": ONE}),
        ("logistic", {"arrays": {"beta": np.zeros(3)}, "parameters": ONE}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE | {"rows": [0]}}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE, "rows": "held_out"}),
        ("logistic", {"arrays": {"beta": np.ones((1, 3))}, "parameters": ONE | {"columns": [[0]]}}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE | {"columns": [[1, 0]]}}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE | {"columns": [[0, 2]]}}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE | {"of": [1]}}),
        ("logistic", {"arrays": {"beta": np.zeros((1, 3))}, "parameters": ONE | {"curved": [1]}}),
        ("moments", {"arrays": {"centre": np.zeros((1, 2))}, "parameters": {"only_id": "SECRET-1"}}),
        ("score_counts", {"parameters": {"schemes": ["kfold/0"]}, "arrays": {"edges": np.array([[2.0]])}}),
        ("score_counts", {"parameters": {"schemes": ["patient/3"]}, "arrays": {"edges": np.array([[0.5]])}}),
    ],
)
def test_parameters_outside_their_bounds_are_refused(
    hospital: Whereabouts, chosen: Study, name: str, query: dict[str, Any]
) -> None:
    call_roll(hospital, chosen)
    views = scaled(("final",))
    answer = ask(hospital, chosen, name, views=views, view=views[-1].hash, splits=("final",), **query)
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert not answer.sums


@pytest.mark.parametrize("split", ["kfold/0/7", "rows/1", "leave_one_hospital_out/nobody"])
def test_a_split_that_the_study_does_not_have_is_refused(hospital: Whereabouts, chosen: Study, split: str) -> None:
    call_roll(hospital, chosen)
    answer = ask(
        hospital,
        chosen,
        "moments",
        views=(COLUMNS,),
        view=COLUMNS.hash,
        splits=(split,),
        arrays={"centre": np.zeros((1, 2))},
    )
    assert answer.disclosed.code in (Code.BAD_PARAMETERS, Code.SINGLE_HOSPITAL)
    assert not answer.sums


def test_a_column_that_is_no_predictor_of_the_study_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    outcome = View(step="columns", parameters={"columns": ["mvi"]})
    answer = ask(
        hospital,
        chosen,
        "moments",
        views=(outcome,),
        view=outcome.hash,
        splits=("final",),
        arrays={"centre": np.zeros((1, 1))},
    )
    assert answer.disclosed.code is Code.BAD_PARAMETERS


def test_weights_that_rest_on_few_patients_are_refused(hospital: Whereabouts, chosen: Study) -> None:
    """One chosen β made a logistic Hessian one patient's row."""
    call_roll(hospital, chosen)
    views = scaled(("final",))
    steep = np.array([[-200.0, 180.0, 60.0]])
    answer = ask(
        hospital,
        chosen,
        "logistic",
        views=views,
        view=views[-1].hash,
        splits=("final",),
        arrays={"beta": steep},
        parameters=ONE,
    )
    assert answer.disclosed.code is Code.TOO_FEW_PATIENTS
    assert "its weights rest on" in log_of(hospital)


def test_leaving_one_hospital_out_needs_the_hospitals_own_word(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    splits = splits_of(chosen, ROSTER)
    query: dict[str, Any] = {
        "views": (COLUMNS,),
        "view": COLUMNS.hash,
        "splits": splits,
        "arrays": {"centre": np.zeros((len(splits), 2))},
    }
    assert ask(hospital, chosen, "moments", **query).disclosed.code is Code.SINGLE_HOSPITAL
    (hospital.folder / "site.yaml").write_text("policy: {single_hospital_sums: true, unmasked_sums: true}\n")
    assert ask(hospital, chosen, "moments", **query).sums["known"].shape == (len(splits), 2)


def test_one_question_is_answered_under_one_roster(hospital: Whereabouts, chosen: Study) -> None:
    """Asking ABC after ABCD gives D by subtraction."""
    call_roll(hospital, chosen)
    query: dict[str, Any] = {
        "views": (COLUMNS,),
        "view": COLUMNS.hash,
        "splits": ("final",),
        "arrays": {"centre": np.zeros((1, 2))},
    }
    first = ask(hospital, chosen, "moments", **query)
    assert first.sums
    again = ask(hospital, chosen, "moments", **query)
    assert all((again.sums[key] == first.sums[key]).all() for key in first.sums)
    assert ask(hospital, chosen, "moments", roster=ROSTER[:3], **query).disclosed.code is Code.SINGLE_HOSPITAL


def test_a_cohort_that_changed_after_it_was_frozen_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    path = hospital.folder / "patients.csv"
    pd.read_csv(path).iloc[1:].to_csv(path, index=False)
    answer = ask(
        hospital,
        chosen,
        "moments",
        views=(COLUMNS,),
        view=COLUMNS.hash,
        splits=("final",),
        arrays={"centre": np.zeros((1, 2))},
    )
    assert answer.disclosed.code is Code.COHORT_CHANGED


def test_a_view_that_was_never_sent_is_asked_for(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    answer = ask(
        hospital, chosen, "moments", view=COLUMNS.hash, splits=("final",), arrays={"centre": np.zeros((1, 2))}
    )
    assert answer.disclosed.code is Code.UNKNOWN_VIEW


def test_a_hospital_with_too_few_patients_sends_nothing(hospital: Whereabouts, chosen: Study) -> None:
    path = hospital.folder / "patients.csv"
    pd.read_csv(path).iloc[:9].to_csv(path, index=False)
    answer = call_roll(hospital, chosen)
    assert answer.disclosed.code is Code.TOO_FEW_PATIENTS
    assert answer.disclosed.patients is None
    assert not answer.sums


def test_an_error_leaves_as_a_code_and_its_text_stays_in_the_hospitals_log(
    hospital: Whereabouts, chosen: Study
) -> None:
    path = hospital.folder / "patients.csv"
    path.write_text(path.read_text().replace("SECRET-3,", "SECRET-3,about "))
    answer = call_roll(hospital, chosen)
    assert answer.disclosed.code is Code.NOT_A_NUMBER
    assert wire.answer_to_bytes(answer).count(b"SECRET") == 0
    assert "SECRET-3" in log_of(hospital)
    assert (hospital.own_folder / LOG).stat().st_mode & 0o077 == 0
    assert (hospital.own_folder / "store.sqlite").stat().st_mode & 0o077 == 0


def test_garbage_is_refused_in_one_code(hospital: Whereabouts) -> None:
    for garbage in ({}, {"query": ConfigRecord({"head": "{", "roster": "[]", "arrays": b"", "views": [b""]})}):
        packed = respond(hospital, RecordDict(garbage)).packed
        assert wire.answer_from_bytes(packed).disclosed.code is Code.BAD_PARAMETERS


def test_an_unknown_query_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    assert ask(hospital, chosen, "all_rows", splits=("final",)).disclosed.code is Code.UNKNOWN_QUERY


FINAL: dict[str, Any] = {
    "views": (COLUMNS,),
    "view": COLUMNS.hash,
    "splits": ("final",),
    "arrays": {"centre": np.zeros((1, 2))},
}


@pytest.mark.parametrize("roster", [(), ("north",), ("east", "north"), ("east", "south", "west"), ("north",) * 3])
def test_a_roster_that_is_too_small_or_without_this_hospital_is_refused(
    hospital: Whereabouts, chosen: Study, roster: tuple[str, ...]
) -> None:
    call_roll(hospital, chosen)
    assert ask(hospital, chosen, "moments", roster=roster, **FINAL).disclosed.code is Code.BAD_PARAMETERS


def test_a_second_roster_is_refused_whatever_it_asks(hospital: Whereabouts, chosen: Study) -> None:
    """A question that differs by a hair would give the same difference of totals."""
    call_roll(hospital, chosen)
    assert ask(hospital, chosen, "moments", **FINAL).sums
    nearly = FINAL | {"arrays": {"centre": np.full((1, 2), 1e-12)}}
    answer = ask(hospital, chosen, "moments", roster=ROSTER[:3], **nearly)
    assert answer.disclosed.code is Code.SINGLE_HOSPITAL


def test_the_held_out_rows_of_a_left_out_hospital_are_its_own_sums(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    alone = FINAL | {"splits": ("leave_one_hospital_out/north",)}
    answer = ask(hospital, chosen, "moments", rows="held_out", **alone)
    assert answer.disclosed.code is Code.SINGLE_HOSPITAL


def test_single_hospital_sums_need_four_hospitals(hospital: Whereabouts, chosen: Study) -> None:
    (hospital.folder / "site.yaml").write_text("policy: {single_hospital_sums: true, unmasked_sums: true}\n")
    call_roll(hospital, chosen)
    alone = FINAL | {"splits": ("leave_one_hospital_out/east",)}
    answer = ask(hospital, chosen, "moments", roster=ROSTER[:3], **alone)
    assert answer.disclosed.code is Code.SINGLE_HOSPITAL


def test_nobody_else_can_work_out_a_hospitals_folds(hospital: Whereabouts, chosen: Study) -> None:
    """Known folds of many repeats are equations for every patient."""
    call_roll(hospital, chosen)
    first = ask(hospital, chosen, "moments", **(FINAL | {"splits": ("kfold/0/0",)})).sums["first"]
    again = Whereabouts(hospital.folder, hospital.own_folder.parent / "other")
    call_roll(again, chosen)
    second = ask(again, chosen, "moments", **(FINAL | {"splits": ("kfold/0/0",)})).sums["first"]
    assert (first != second).any()


def test_a_query_cannot_write_lines_of_its_own_into_the_log(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    answer = ask(hospital, chosen, "moments\n2026-01-01 INFO all is well", **FINAL)
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert "\n2026-01-01 INFO all is well" not in log_of(hospital)


def test_two_studies_do_not_share_a_matrix(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    plain = ask(hospital, chosen, "moments", **FINAL).sums["first"]
    logs = study(
        predictors={"clinical": ["age", "size"]},
        variables={"size": {"transform": "log10"}},
        validation={"folds": 2, "leave_one_hospital_out": True},
        privacy={"secure_sum": False},
    )
    call_roll(hospital, logs)
    assert ask(hospital, logs, "moments", **FINAL).sums["first"][0, 1] < plain[0, 1] / 10


@pytest.mark.parametrize(
    "section",
    [
        {"cohort": {"include": [{"column": "id", "one_of": ["SECRET-7"]}]}},
        {
            "predictors": {"clinical": ["id"]},
            "variables": {"id": {"type": "category", "levels": ["a", "SECRET-7"]}},
        },
        {"harmonisation": {"method": "combat", "preserve": ["id"]}},
        {"outcome": {"kind": "binary", "column": "id"}},
    ],
)
def test_the_id_is_no_column_that_a_study_may_ask_for(section: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="id"):
        study(**({"predictors": {"clinical": ["age"]}} | section))
