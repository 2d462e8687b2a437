"""Attacks on the gate: too few patients behind a total, and totals that would tell on whoever else is in the room."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from client.app import Whereabouts
from client.store import Store
from client.withdrawal import withdraw
from common.errors import Code
from common.query import View
from common.room import Room
from common.study import Study
from tests.approved import approve_here, identity_of, room_of, seat, site_of
from tests.client.curious_coordinator import (
    PATIENTS,
    F,
    ask,
    asking,
    call_roll,
    chosen,
    hospital,
    logistic,
    moments,
    refused,
)
from tests.client.test_app import ROSTER, scaled

__all__ = ["chosen", "hospital"]


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
    refused(hospital, answer, Code.BAD_PARAMETERS, "scores of a quarter of the patients lie more than 30 apart")


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
