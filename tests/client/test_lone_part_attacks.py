"""Totals over three hospitals by the roster, and over one hospital or patient by the split, the group or the files."""

from collections.abc import Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from client.cohort.cohort import read_cohort
from client.gate_rules.lone_contributors import check_lone_contributors
from client.gate_rules.lone_parts import lone_part
from client.gate_rules.lone_second_outcome import check_lone_second_outcome
from client.gate_rules.participation import check_participation
from client.retest import second_measurement
from client.site import Policy
from client.store import Store
from common.errors import Code, HospitalError
from common.query import Answer, Query, View
from common.room import Room
from common.splits import labels_of, splits_of
from common.study import Study
from tests.approved import approve_here, seat, site_of
from tests.client.curious_coordinator import F, ask, asking, call_roll, hospital, refused
from tests.client.test_app import ROSTER, log_of, scaled
from tests.client.test_lone_contributors import chosen, measured, pairs
from tests.hospitals_on_disk import study

__all__ = ["chosen", "hospital"]
NORTH, SOUTH = ("alder", "birch", "cedar"), ("north", "elm", "fir")
SEALED = ("x", "y", "z")
GROUPS = {"leave_groups_out": {"upper": list(NORTH), "lower": list(SOUTH)}}
IMAGES: dict[str, Any] = {
    "network": {"architecture": "fusion"},
    "patches": {"phases": {"portal": {"modality": "CT"}}, "size": [16, 16, 16]},
}
SECOND: dict[str, Any] = {"network": {"also": {"outcome": {"kind": "binary", "column": "died"}}}}


def network(sections: dict[str, Any], **checks: Any) -> Study:
    given: dict[str, Any] = {
        "predictors": {"clinical": ["age", "size"], "radiomics": None},
        "model": {"kind": "network"},
        "validation": {"folds": 2, "leave_one_hospital_out": False} | checks,
    }
    return study(**(given | sections))


class _Asked:
    """As much of a question's rows as the rules look at."""

    def __init__(self, asked: Study, name: str, roster: Sequence[str], **query: Any) -> None:
        self.study = asked
        self.query = Query(name=name, study=asked.hash, roster=tuple(roster), **({"splits": F} | query))
        self.site = SimpleNamespace(file=SimpleNamespace(policy=Policy()))


def room(hospital: Whereabouts, asked: Study, roster: Sequence[str], having: Sequence[str]) -> Room:
    """Sixty patients a hospital; some of them have images, and know the second outcome."""
    return Room(
        tuple(
            seat(
                hospital,
                asked,
                name,
                60,
                events=30,
                missing={} if name in having else {"died": 60},
                contributes=("images",) if name in having else (),
            )
            for name in sorted(roster)
        )
    )


LONE = [
    (GROUPS, (*NORTH, *SOUTH), (*NORTH, "north"), "1 hospitals outside upper"),
    (GROUPS, (*NORTH, *SOUTH), (*NORTH[:2], "north"), "2 hospitals of the group upper"),
    ({"external": list(SEALED)}, (*SOUTH, *SEALED), ("north", *SEALED), "1 of the hospitals that train"),
    ({"leave_one_hospital_out": True}, (*SOUTH, "oak"), SOUTH, "3 of the hospitals that train, of 4"),
]


@pytest.mark.parametrize(("checks", "roster", "having", "said"), LONE)
def test_a_part_that_splits_show_alone_is_not_trained_on(
    hospital: Whereabouts, checks: dict[str, Any], roster: Sequence[str], having: Sequence[str], said: str
) -> None:
    for sections, rule in ((SECOND, check_lone_second_outcome), (IMAGES, check_images)):
        asked = network(sections, **checks)
        rows: Any = _Asked(asked, "train_network", roster)
        rule(rows, room(hospital, asked, roster, roster))
        with pytest.raises(HospitalError, match=said):
            rule(rows, room(hospital, asked, roster, having))


def check_images(rows: Any, seats: Room) -> None:
    check_lone_contributors(rows, None, seats)


def test_a_group_of_which_nobody_has_any_shows_nobody(hospital: Whereabouts) -> None:
    asked = network(SECOND, **GROUPS)
    rows: Any = _Asked(asked, "train_network", (*NORTH, *SOUTH))
    check_lone_second_outcome(rows, room(hospital, asked, (*NORTH, *SOUTH), NORTH))
    assert not lone_part(asked, (*NORTH, *SOUTH), NORTH)
    assert lone_part(asked, (*NORTH, *SOUTH), (*NORTH, SOUTH[0]))


@pytest.mark.parametrize("sections", [SECOND, IMAGES])
def test_hospitals_that_train_together_show_no_part_alone(hospital: Whereabouts, sections: dict[str, Any]) -> None:
    settings = {"network": sections["network"] | {"participation": 0.5, "rounds": 4}}
    asked, roster = network(sections | settings, **GROUPS), (*NORTH, *SOUTH)
    rows: Any = _Asked(asked, "train_network", roster)
    with pytest.raises(HospitalError, match="who train together, 1"):
        check_participation(rows, room(hospital, asked, roster, (*NORTH, "north")))


def test_one_external_hospital_that_knows_the_second_outcome_is_not_judged(hospital: Whereabouts) -> None:
    asked, roster = network(SECOND, external=list(SEALED)), (*SOUTH, *SEALED)
    everywhere, inside = list(labels_of(asked)), [label for label in labels_of(asked) if label != "external"]
    for schemes, having, fine in (
        (inside, (*SOUTH, "x"), True),
        (everywhere, (*SOUTH, "x"), False),
        (everywhere, SOUTH, True),
        (everywhere, roster, True),
    ):
        rows: Any = _Asked(asked, "second_task", roster, splits=(), parameters={"schemes": schemes})
        if fine:
            check_lone_second_outcome(rows, room(hospital, asked, roster, having))
            continue
        with pytest.raises(HospitalError, match="1 external hospitals, of none or 3"):
            check_lone_second_outcome(rows, room(hospital, asked, roster, having))


@pytest.mark.parametrize("name", ["attention", "attribution"])
def test_where_a_network_looks_is_asked_of_the_rows_that_the_final_model_trains_on(
    hospital: Whereabouts, name: str
) -> None:
    """Of a fold, or of sealed hospitals, one alone may have five patients with an image."""
    asked, roster = network(IMAGES, external=list(SEALED)), (*SOUTH, *SEALED)
    seats = room(hospital, asked, roster, SOUTH)
    for split in splits_of(asked, roster):
        for side in ("training", "held_out"):
            rows: Any = _Asked(asked, name, roster, splits=(split,), rows=side)
            if (split, side) == ("final", "training"):
                check_lone_contributors(rows, None, seats)
                continue
            with pytest.raises(HospitalError, match="asked of the final model") as found:
                check_lone_contributors(rows, None, seats)
            assert found.value.code is Code.BAD_PARAMETERS


def test_a_feature_that_one_patient_has_twice_is_not_summed(hospital: Whereabouts, chosen: Study) -> None:
    measured(hospital, 12)
    path = hospital.folder / "features_retest.csv"
    table = pd.read_csv(path)
    table.loc[1:, "f1"] = np.nan
    table.to_csv(path, index=False)
    assert call_roll(hospital, chosen).disclosed.contributes == ("retest",)
    sums = pairs(hospital, chosen, having=3).sums
    for when in ("before", "after"):
        np.testing.assert_array_equal(sums[f"{when}_n"], [12, 0])
        assert all(sums[f"{when}_{key}"][1] == 0 for key in ("x", "y", "xx", "yy", "xy"))


def test_a_hospital_whose_features_all_lack_ten_pairs_says_that_it_has_none(
    hospital: Whereabouts, chosen: Study
) -> None:
    measured(hospital, 12)
    path = hospital.folder / "features_retest.csv"
    table = pd.read_csv(path)
    table.loc[:2, "f0"], table.loc[9:, "f1"] = np.nan, np.nan
    table.to_csv(path, index=False)
    assert call_roll(hospital, chosen).disclosed.contributes == ()


def test_a_sealed_hospitals_second_measurements_are_not_looked_at(hospital: Whereabouts) -> None:
    given: dict[str, Any] = {
        "predictors": {"clinical": [], "radiomics": ["f0", "f1"]},
        "harmonisation": {"method": "combat", "batch": "hospital"},
    }
    measured(hospital, 12)
    for external, many in (("x", 12), ("north", 0)):
        asked = asking(**given, validation={"folds": 2, "leave_one_hospital_out": False, "external": [external]})
        site = site_of(hospital)
        assert len(second_measurement(site, asked, read_cohort(site, asked))[0]) == many


def another(hospital: Whereabouts, name: str, chosen: Study) -> tuple[Study, Answer]:
    asked = Study.from_content(chosen.model_dump(mode="json", exclude_unset=True) | {"study": name}, name)
    approve_here(hospital, asked, ROSTER)
    return asked, ask(hospital, asked, "roll_call", roster=(), splits=(), parameters={"study": asked.to_json()})


@pytest.mark.parametrize(("again", "fine"), [(12, True), (13, False), (11, False), (22, True)])
def test_two_studies_whose_second_measurements_differ_by_a_patient_are_not_both_answered(
    hospital: Whereabouts, chosen: Study, again: int, fine: bool
) -> None:
    """The totals' difference was that patient's features, to ten digits."""
    measured(hospital, 12)
    call_roll(hospital, chosen)
    measured(hospital, again)
    asked, answer = another(hospital, "second", chosen)
    if fine:
        assert answer.disclosed.contributes == ("retest",), log_of(hospital)
    else:
        refused(hospital, answer, Code.NEARLY_SAME_COHORT, "second measurements of 1 patients differ")
    with closing(Store(site_of(hospital).own)) as store:
        kept = store.all("SELECT DISTINCT study FROM gate_again")
    assert {row[0] for row in kept} == {chosen.hash, *([asked.hash] if fine else [])}


def test_a_second_measurement_that_changed_makes_another_patient(hospital: Whereabouts, chosen: Study) -> None:
    measured(hospital, 12)
    call_roll(hospital, chosen)
    path = hospital.folder / "features_retest.csv"
    table = pd.read_csv(path, float_precision="round_trip")
    table["f0"] = table["f0"] + (np.arange(12) == 3)
    table.to_csv(path, index=False)
    answer = another(hospital, "second", chosen)[1]
    refused(hospital, answer, Code.NEARLY_SAME_COHORT, "second measurements of 1 patients differ")


def test_the_same_study_is_not_answered_once_a_second_measurement_was_added(
    hospital: Whereabouts, chosen: Study
) -> None:
    measured(hospital, 12)
    call_roll(hospital, chosen)
    measured(hospital, 13)
    refused(hospital, pairs(hospital, chosen, having=3), Code.COHORT_CHANGED, "have changed since")


@pytest.mark.parametrize("carriers", [0, 4, 5])
def test_accusations_of_a_few_who_are_unlike_all_others_tell_no_outcome(
    hospital: Whereabouts, carriers: int
) -> None:
    """By a model of a rare column alone, its carriers are accused if they had the outcome, and nobody if not."""
    told = []
    for had in (0, 1):
        path = hospital.folder / "patients.csv"
        table = pd.read_csv(path)
        table["size"] = 0
        table.loc[np.flatnonzero(table["mvi"] == had)[:carriers], "size"] = 1
        table.to_csv(path, index=False)
        asked = asking(study=f"had-{had}", validation={"folds": 5, "leave_one_hospital_out": False})
        other = Whereabouts(hospital.folder, hospital.folder / f".own-{had}")
        call_roll(other, asked)
        splits = splits_of(asked, ROSTER)
        views = [*scaled(splits)]
        beta = np.tile([0.0, 0.0, 5.0], (len(splits), 1, 1))
        views.append(View("linear", views[-1].hash, splits, {}, {"beta": beta}))
        answer = ask(
            other, asked, "membership", views, view=views[-1].hash, splits=(), parameters={"allowed": [0.1]}
        )
        assert answer.sums, log_of(other)
        told.append(answer.sums["accused"][0, [1, 3]].tolist())
    assert (told[0] == told[1]) == (carriers < 5)
