"""Attacks on the gate: a coordinator asks what would single out a patient or a hospital; each fails for its reason.

The studies are unmasked, so that a test can see what would be summed; masks make no difference to the gate.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts, respond
from client.gate_rules.repetition import MOST_NEAR
from client.store import Store
from client.withdrawal import withdraw
from common import wire
from common.errors import Code
from common.query import Answer, Query, View
from common.room import Room
from common.study import Study
from tests.approved import approve_here, identity_of, room_of, seat, site_of
from tests.client.test_app import COLUMNS, ONE, ROSTER, log_of, scaled
from tests.hospitals_on_disk import study

PATIENTS = 60
F = ("final",)


@pytest.fixture
def chosen() -> Study:
    return asking()


def asking(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "predictors": {"clinical": ["age", "size"], "radiomics": None},
        "validation": {"folds": 2, "leave_one_hospital_out": True},
        "privacy": {"secure_sum": False},
    }
    return study(**(content | changes))


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(PATIENTS)],
            "age": rng.integers(40, 80, PATIENTS),
            "size": rng.normal(40, 9, PATIENTS).round(1),
            "kernel": ["soft"] * (PATIENTS - 1) + ["sharp"],
            "mvi": np.arange(PATIENTS) % 2,
        }
    )
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed")


def ask(
    hospital: Whereabouts,
    chosen: Study,
    name: str,
    views: Sequence[View] = (),
    room: str | None = None,
    others: int = 80,
    **query: Any,
) -> Answer:
    asked = Query(name=name, study=chosen.hash, **({"roster": ROSTER, "splits": F} | query))
    handed = room_of(hospital, chosen, asked.roster, PATIENTS, others) if room is None else room
    record = wire.query_to_record(asked, {view.hash: view.to_bytes() for view in views}, handed)
    return wire.answer_from_bytes(respond(hospital, record).packed)


def call_roll(hospital: Whereabouts, chosen: Study) -> Answer:
    """Approve a study, and answer its roll call."""
    approve_here(hospital, chosen, ROSTER)
    return ask(hospital, chosen, "roll_call", roster=(), splits=(), parameters={"study": chosen.to_json()})


def moments(hospital: Whereabouts, chosen: Study, **more: Any) -> Answer:
    splits = more.get("splits", F)
    asked: dict[str, Any] = {"view": COLUMNS.hash, "arrays": {"centre": np.zeros((len(splits), 2))}}
    return ask(hospital, chosen, "moments", **({"views": (COLUMNS,)} | asked | more))


def logistic(hospital: Whereabouts, chosen: Study, beta: Sequence[float], **more: Any) -> Answer:
    views = scaled(F)
    asked: dict[str, Any] = {"views": views, "view": views[-1].hash, "arrays": {"beta": np.array([beta])}}
    asked["parameters"] = ONE
    return ask(hospital, chosen, "logistic", **(asked | more))


def refused(hospital: Whereabouts, answer: Answer, code: Code, why: str) -> None:
    assert answer.disclosed.code is code, log_of(hospital)
    assert not answer.sums
    assert why in log_of(hospital).strip().splitlines()[-1]


def allow_single(hospital: Whereabouts, **more: Any) -> None:
    policy = {"unmasked_sums": "true", "single_hospital_sums": "true"} | more
    lines = ", ".join(f"{name}: {value}" for name, value in policy.items())
    (hospital.folder / "site.yaml").write_text(f"policy: {{{lines}}}\n")


# --- how many stand behind a total


def test_a_fold_with_few_patients_in_total_is_refused_and_the_fold_is_named(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    small = moments(hospital, chosen, others=10, splits=("final", "kfold/0/1"), rows="held_out")
    assert small.disclosed.code is None, "45 patients are enough"
    many = asking(validation={"folds": 5, "leave_one_hospital_out": False})
    call_roll(hospital, many)
    answer = moments(hospital, many, others=10, splits=("kfold/0/3",), rows="held_out")
    refused(hospital, answer, Code.FEW_IN_ROW_SET, "18 patients in total are sure to be in kfold/0/3")
    assert answer.disclosed.split == "kfold/0/3"


def test_the_difference_of_two_training_sets_is_a_row_set(hospital: Whereabouts) -> None:
    """The total over all patients less that over a fold's training rows is the sum over the fold."""
    many = asking(validation={"folds": 5, "leave_one_hospital_out": False})
    call_roll(hospital, many)
    answer = moments(hospital, many, others=10, splits=("final", "kfold/0/3"))
    refused(hospital, answer, Code.FEW_IN_ROW_SET, "18 patients in total are sure to be in kfold/0/3")


def test_a_score_so_steep_that_it_parts_two_patients_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    views = scaled(F)
    steep = View("linear", views[-1].hash, F, {}, {"beta": np.array([[[0.0, 400.0, 0.0]]])})
    answer = ask(
        hospital,
        chosen,
        "score_counts",
        views=(*views, steep),
        view=steep.hash,
        splits=(),
        rows="held_out",
        parameters={"schemes": ["apparent"]},
        arrays={"edges": np.array([[0.4, 0.6]])},
    )
    refused(hospital, answer, Code.BAD_PARAMETERS, "scores lie more than 30 apart")


def test_a_hessian_wider_than_a_third_of_the_patients_is_refused(hospital: Whereabouts, tmp_path: Path) -> None:
    """Two Newton Hessians over N ≤ p patients gave back every row."""
    names = [f"f{j}" for j in range(40)]
    folds = {"folds": 2, "leave_one_hospital_out": False}
    wide = asking(predictors={"clinical": [], "radiomics": "all"}, validation=folds)
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(PATIENTS, 40)), columns=names)
    features.insert(0, "id", [f"SECRET-{i}" for i in range(PATIENTS)])
    features.to_csv(hospital.folder / "features.csv", index=False)
    call_roll(hospital, wide)
    root = View("columns", parameters={"columns": names})
    scale = View("scale", root.hash, F, {}, {"centre": np.zeros((1, 40)), "spread": np.ones((1, 40))})
    for many, curved, allowed in ((40, [0], False), (40, [], True), (32, [0], True)):
        answer = ask(
            hospital,
            wide,
            "logistic",
            (root, scale),
            others=13,
            view=scale.hash,
            arrays={"beta": np.zeros((1, 41))},
            parameters={"of": [0], "columns": [list(range(many))], "curved": curved},
        )
        if allowed:
            assert answer.sums
            continue
        refused(hospital, answer, Code.TOO_WIDE, "a cross-product of 40 columns over 99 patients in final")
        assert answer.disclosed.split == "final"


def test_more_row_sets_than_a_third_of_the_patients_are_refused(hospital: Whereabouts) -> None:
    many = asking(validation={"folds": 3, "repeats": 50, "leave_one_hospital_out": False})
    call_roll(hospital, many)
    refused(hospital, moments(hospital, many), Code.MANY_ROW_SETS, "50 repeats of 3 folds over 300 patients")


def test_numbers_of_patients_that_nobody_signed_are_not_believed(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    honest = Room.from_json(room_of(hospital, chosen, ROSTER, PATIENTS))
    larger = [s.model_copy(update={"patients": 10_000}) if s.hospital == "east" else s for s in honest.seats]
    unsigned = [s.model_copy(update={"key": "", "signature": ""}) for s in honest.seats]
    other_key = identity_of(hospital, "mallory")
    forged = [
        s.model_copy(update={"key": other_key.public_bytes.hex()}) if s.hospital == "east" else s
        for s in honest.seats
    ]
    for seats, why in (
        (larger, "does not carry its signature"),
        (unsigned, "none, approved was"),
        (forged, "east"),
    ):
        answer = moments(hospital, chosen, room=Room(tuple(seats)).to_json())
        refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, why)
    assert moments(hospital, chosen, room="").disclosed.code is Code.UNKNOWN_VIEW, "it is asked for again"


def test_other_numbers_for_the_same_room_are_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    assert moments(hospital, chosen).sums
    refused(
        hospital, logistic(hospital, chosen, [0, 0, 0], others=90), Code.NUMBERS_NOT_SIGNED, "other numbers than"
    )


def test_a_room_that_lies_about_this_hospital_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    seats = [seat(hospital, chosen, name, 80) for name in sorted(ROSTER)]
    answer = moments(hospital, chosen, room=Room(tuple(seats)).to_json())
    refused(hospital, answer, Code.NUMBERS_NOT_SIGNED, "gives this hospital [80] patients, it has 60")


# --- one patient singled out


def test_a_beta_that_isolates_a_patient_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    """One chosen β made a logistic Hessian one patient's row."""
    call_roll(hospital, chosen)
    answer = logistic(hospital, chosen, [-200.0, 180.0, 60.0])
    refused(hospital, answer, Code.BAD_PARAMETERS, "its weights rest on")


def test_edges_round_one_patient_are_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    size = float(pd.read_csv(hospital.folder / "patients.csv")["size"].iloc[7])
    view = View("columns", parameters={"columns": ["size"]})

    def counts(edges: Sequence[float]) -> Answer:
        arrays = {"edges": np.array([[edges]])}
        return ask(hospital, chosen, "column_counts", (view,), view=view.hash, arrays=arrays)

    refused(hospital, counts([size - 1e-9, size + 1e-9]), Code.CLOSE_EDGES, "apart, at least")
    refused(
        hospital, counts(np.linspace(20, 60, 150).tolist()), Code.CLOSE_EDGES, "150 edges for column 0 in final"
    )
    assert counts([35.0, 45.0]).sums, "a few edges far apart are a histogram"
    refused(hospital, counts([35.0 + 1e-9]), Code.CLOSE_EDGES, "apart"), "beside what was asked before"


def test_bins_that_look_at_the_outcome_take_edges_that_were_asked_without_it(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    *chain, scale = scaled(F)
    model = View("linear", scale.hash, F, {}, {"beta": np.array([[[0.0, 0.5, 0.5]]])})
    judged: dict[str, Any] = {
        "views": (*chain, scale, model),
        "view": model.hash,
        "splits": (),
        "rows": "held_out",
        "parameters": {"schemes": ["apparent"]},
    }
    edges = {"edges": np.array([[0.3, 0.5, 0.7]])}
    answer = ask(hospital, chosen, "discrimination", arrays=edges, **judged)
    refused(hospital, answer, Code.CLOSE_EDGES, "edges that were not asked before")
    assert ask(hospital, chosen, "score_counts", arrays=edges, **judged).sums
    assert ask(hospital, chosen, "discrimination", arrays=edges, **judged).sums


def test_a_cell_of_one_patient_is_not_summed(hospital: Whereabouts) -> None:
    by_kernel = asking(
        predictors={"clinical": ["age"], "radiomics": "all"},
        variables={"kernel": {"type": "category", "levels": ["soft", "sharp"]}},
        harmonisation={"method": "combat", "batch": ["kernel"], "preserve": ["age"]},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )
    features = pd.DataFrame({"id": [f"SECRET-{i}" for i in range(PATIENTS)], "f0": np.arange(PATIENTS) / 7.0})
    features.to_csv(hospital.folder / "features.csv", index=False)
    call_roll(hospital, by_kernel)
    root = View("columns", parameters={"columns": ["age", "f0"]})

    def sums(levels: list[int]) -> Answer:
        asked = {"covariates": [0], "features": [1], "variable": "kernel", "levels": levels}
        return ask(hospital, by_kernel, "combat_level_sums", (root,), view=root.hash, parameters=asked)

    refused(hospital, sums([0, 1]), Code.SMALL_CELL, "a cell of 1 patients here, fewer than 5")
    assert sums([0]).sums


def test_few_carriers_are_not_summed_where_the_sums_can_be_told_to_be_this_hospitals(
    hospital: Whereabouts,
) -> None:
    allow_single(hospital)
    rare = asking(
        predictors={"clinical": ["age", "kernel"], "radiomics": None},
        variables={"kernel": {"type": "category", "levels": ["soft", "sharp"]}},
    )
    call_roll(hospital, rare)
    columns = View("columns", parameters={"columns": ["age", "kernel=sharp"]})
    asked: dict[str, Any] = {"views": (columns,), "view": columns.hash}
    alone = moments(hospital, rare, splits=("leave_one_hospital_out/east",), **asked)
    refused(hospital, alone, Code.SMALL_CELL, "kernel=sharp tells 1 patients from the others")
    assert moments(hospital, rare, **asked).sums, "in a total over all hospitals nobody can tell"


def test_few_patients_for_the_width_do_not_stand_alone(hospital: Whereabouts, chosen: Study) -> None:
    """n ≥ 3(q + 1) where the hospital's own sums can be derived; patients_per_column is raised to reach it."""
    allow_single(hospital, patients_per_column=25)
    call_roll(hospital, chosen)
    views = scaled(("leave_one_hospital_out/east",))
    answer = ask(
        hospital,
        chosen,
        "logistic",
        views,
        view=views[-1].hash,
        splits=("leave_one_hospital_out/east",),
        arrays={"beta": np.zeros((1, 3))},
        parameters=ONE,
    )
    refused(hospital, answer, Code.FEW_FOR_SINGLE, "that takes 75 patients here, and there are 60")


# --- what differs by a hair


def test_two_views_that_differ_by_a_hair_are_not_both_answered(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    *chain, scale = scaled(F)
    hair = View("scale", scale.parent, F, {}, {**scale.arrays, "spread": scale.arrays["spread"] * (1 + 1e-9)})
    answer = logistic(hospital, chosen, [0, 0, 0], views=(*chain, hair), view=hair.hash)
    refused(hospital, answer, Code.SECOND_VIEW, "1 of them at the same place")


def test_a_second_root_does_not_make_a_second_view(hospital: Whereabouts, chosen: Study) -> None:
    """The same step at another place: columns in another order, and a fill of its own."""
    call_roll(hospital, chosen)
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    root = View("columns", parameters={"columns": ["size", "age"]})
    fill = View("impute", root.hash, F, {}, {"fill": np.array([[40.0, 60.0]])})
    answer = moments(hospital, chosen, views=(root, fill), view=fill.hash)
    refused(hospital, answer, Code.SECOND_VIEW, "impute: 1 views of this step were used")


def test_questions_that_differ_by_a_hair_are_answered_a_few_times(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    for k in range(MOST_NEAR):
        assert logistic(hospital, chosen, [k * 1e-9, 0, 0]).sums, "Newton's last steps are as close"
    answer = logistic(hospital, chosen, [1e-7, 0, 0])
    refused(hospital, answer, Code.NEARLY_ASKED, f"{MOST_NEAR} questions that differ by less than")
    assert logistic(hospital, chosen, [0.1, 0, 0]).sums


def test_iterations_end_at_a_third_of_the_patients(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    for k in range(30):
        assert logistic(hospital, chosen, [0.1 * k, 0, 0], others=10).sums
    answer = logistic(hospital, chosen, [9.0, 0, 0], others=10)
    refused(
        hospital,
        answer,
        Code.MANY_QUERIES,
        "31 coefficient vectors for final, this question's among them; a third of the smallest row set's patients",
    )


def test_many_coefficients_in_one_question_count_as_many_iterations(hospital: Whereabouts, chosen: Study) -> None:
    """A gradient a coefficient vector: so many equations for the patients, in however few messages."""
    call_roll(hospital, chosen)
    views = scaled(F)

    def together(count: int, away: float) -> Answer:
        asked = {"of": [0] * count, "columns": [[0, 1]] * count}
        beta = np.column_stack([np.linspace(away, away + 1, count), np.zeros((count, 2))])
        more: dict[str, Any] = {"view": views[-1].hash, "parameters": asked, "arrays": {"beta": beta}}
        return ask(hospital, chosen, "logistic", views, others=10, **more)

    refused(hospital, together(31, 0), Code.MANY_QUERIES, "31 coefficient vectors for final")
    assert together(20, 0).sums
    refused(hospital, together(11, 2), Code.MANY_QUERIES, "31 coefficient vectors for final")
    assert together(10, 2).sums


def test_problems_are_told_apart_by_their_columns_when_they_differ_by_a_hair(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    views = scaled(F)

    def both(first: float, second: float) -> Answer:
        asked = {"of": [0, 0], "columns": [[0, 1], [1]]}
        beta = np.array([[first, 0.0, 0.0], [second, 0.0, 0.0]])
        more: dict[str, Any] = {"view": views[-1].hash, "parameters": asked, "arrays": {"beta": beta}}
        return ask(hospital, chosen, "logistic", views, **more)

    assert both(0.0, 1.0).sums
    assert both(1.0 + 1e-9, 1e-9).sums, "near the other problem's coefficients, and another problem"
    for k in range(1, 4):
        assert both(float(k + 1), 1.0 + 1e-8 * k).sums
    refused(hospital, both(7.0, 1.0 + 5e-8), Code.NEARLY_ASKED, "differ by less than")


def test_questions_end_at_what_was_approved(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    approve_here(hospital, chosen, ROSTER, maximum_queries=2)
    assert moments(hospital, chosen).sums
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    answer = logistic(hospital, chosen, [0.5, 0, 0])
    refused(hospital, answer, Code.MANY_QUERIES, "2 questions of this study were answered, 2 are allowed")
    assert logistic(hospital, chosen, [0, 0, 0]).sums, "the same question again is the same answer"


# --- who asks, and about whom


def test_one_question_under_two_rosters_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    """ABC after ABCD gives D by subtraction; four hospitals, two thirds and one more of which may be asked."""
    call_roll(hospital, chosen)
    assert moments(hospital, chosen).sums
    answer = moments(hospital, chosen, roster=ROSTER[:3])
    refused(hospital, answer, Code.SINGLE_HOSPITAL, "a second roster in a study that has been answered")


def test_a_hospital_that_nobody_approved_is_not_summed_with(hospital: Whereabouts, chosen: Study) -> None:
    """A coordinator that issues certificates can invent hospitals; it cannot invent an approval."""
    call_roll(hospital, chosen)
    answer = moments(hospital, chosen, roster=("invented", *ROSTER))
    refused(hospital, answer, Code.OTHER_ROSTER, "nobody here approved invented")


def test_a_small_part_of_the_approved_roster_is_refused(hospital: Whereabouts) -> None:
    chosen = asking()
    names = ("a", "b", "c", "d", "e", "f", "north")
    call_roll(hospital, chosen)
    approve_here(hospital, chosen, names)
    answer = moments(hospital, chosen, roster=("a", "b", "c", "north"))
    refused(hospital, answer, Code.OTHER_ROSTER, "of which 5 must be there")


def test_two_cohorts_that_differ_by_one_patient_are_not_both_answered(
    hospital: Whereabouts, chosen: Study
) -> None:
    """The coordinator words a criterion that one patient fails; the difference of totals would be that patient."""
    call_roll(hospital, chosen)
    assert moments(hospital, chosen).sums
    ages = pd.read_csv(hospital.folder / "patients.csv")["age"]
    youngest = int(ages.min())
    assert (ages == youngest).sum() < 10
    without = asking(study="another", cohort={"include": [{"column": "age", "at_least": youngest + 1}]})
    refused(hospital, call_roll(hospital, without), Code.NEARLY_SAME_COHORT, "totals of both could be subtracted")
    far = asking(study="far", cohort={"include": [{"column": "age", "at_least": int(np.quantile(ages, 0.4))}]})
    assert call_roll(hospital, far).disclosed.code is None


def test_a_patient_who_withdraws_suspends_the_study_and_leaves_the_next(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    first = moments(hospital, chosen)
    assert first.sums
    with closing(Store(site_of(hospital).own)) as store:
        withdraw(store, "SECRET-5")
    for answer in (moments(hospital, chosen), logistic(hospital, chosen, [0, 0, 0])):
        refused(hospital, answer, Code.SUSPENDED, "1 patients of its cohort have withdrawn (SECRET-5)")
    newer = asking(title="second version")
    refused(hospital, call_roll(hospital, newer), Code.NEARLY_SAME_COHORT, "differs by 1 patients")
    table = pd.read_csv(hospital.folder / "patients.csv")
    more = table.iloc[:12].assign(id=[f"NEW-{i}" for i in range(12)])
    pd.concat([table, more]).to_csv(hospital.folder / "patients.csv", index=False)
    third = asking(title="third version")
    assert call_roll(hospital, third).disclosed.patients == PATIENTS + 12 - 1
