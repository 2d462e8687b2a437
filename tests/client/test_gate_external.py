"""A sealed external hospital's outcomes are looked at once, by one model; totals keep three hospitals behind them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from client.folds import Folds
from client.gate_rules.external import check_external_total, check_whole_hospitals, unlock
from client.gate_rules.memory import Memory
from client.rows import Rows
from client.site import open_site
from client.store import Store
from common.errors import Code, HospitalError, StudyError
from common.query import Disclosed, Query
from common.room import Room
from common.splits import labels_of, splits_of
from common.study import Study
from common.whole_hospitals import Whole, whole
from tests.hospitals_on_disk import study

ROSTER = ("a", "b", "c", "d", "e", "f", "x", "y", "z")
GROUPS = {"north": ["a", "b", "c"], "south": ["d", "e", "f"]}


def asking(name: str = "first", external: tuple[str, ...] = ("x", "y", "z"), **more: Any) -> Study:
    return study(study=name, validation={"folds": 2, "leave_one_hospital_out": False, "external": external} | more)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(Store(open_site(tmp_path, lower_profile=True).own)) as store:
        yield Memory(store)


def rows(chosen: Study, *, view: str = "model 1", hospital: str = "x", **query: Any) -> Rows:
    asked = Query(
        "discrimination", chosen.hash, ROSTER, (), "held_out", view, {"schemes": ["kfold/0", "external"]}
    )
    own = SimpleNamespace(name=hospital, file=SimpleNamespace(policy=SimpleNamespace(minimum_row_set=30)))
    cohort = SimpleNamespace(ids=("P1", "P2"))
    return cast(Rows, SimpleNamespace(query=replace(asked, **query), study=chosen, site=own, cohort=cohort))


def test_the_first_look_is_noted_and_a_second_model_is_refused(memory: Memory) -> None:
    chosen = asking()
    first = unlock(rows(chosen), memory)
    assert first
    assert unlock(rows(chosen, name="recalibration"), memory) == first
    with pytest.raises(HospitalError, match=r"another model of first was judged on these patients") as refused:
        unlock(rows(chosen, view="model 2"), memory)
    assert refused.value.code is Code.SEALED


def test_a_later_study_of_the_same_patients_and_outcome_is_refused(memory: Memory) -> None:
    chosen = asking()
    unlock(rows(chosen), memory)
    memory.keep_cohort(chosen.hash, "first", "columns", {"P2": "digest", "P7": "digest"})
    with pytest.raises(HospitalError, match="first was judged on some of these patients"):
        unlock(rows(asking("second")), memory)
    another = study(outcome={"kind": "binary", "column": "relapse"}, validation={"external": ["x", "y", "z"]})
    assert unlock(rows(another), memory)


def asking_other_labels(chosen: Study) -> Rows:
    return rows(chosen, parameters={"schemes": ["kfold/0"]})


def test_other_labels_and_own_copies_unlock_nothing(memory: Memory) -> None:
    chosen = asking()
    assert unlock(asking_other_labels(chosen), memory) == ""
    assert unlock(rows(chosen, name="own_copy"), memory) == ""
    assert unlock(rows(chosen, hospital="a"), memory) == ""
    assert memory.unlocked() == []


def test_a_total_needs_three_external_hospitals_three_that_train_and_patients_enough() -> None:
    check_whole_hospitals(rows(asking()))
    for chosen, roster, words in (
        (asking(), ("a", "b", "c", "d", "x", "y"), "a total over 2 external hospitals"),
        (asking(), ("a", "b", "x", "y", "z"), "2 hospitals that train"),
        (
            asking(leave_groups_out=GROUPS),
            ("a", "b", "d", "e", "f", "x", "y", "z"),
            "2 hospitals of the group north",
        ),
    ):
        with pytest.raises(HospitalError, match=words):
            check_whole_hospitals(rows(chosen, roster=roster, splits=("final",)))
    room = Room.of({name: Disclosed(hospital=name, patients=9, events=None) for name in ROSTER})
    with pytest.raises(HospitalError, match="27 patients at the external hospitals"):
        check_external_total(rows(asking()), room)


def whole_at(chosen: Study, hospital: str, split: str) -> Whole | None:
    return whole(chosen, split, hospital)


@pytest.mark.parametrize("patients", [12, 31])
def test_the_room_knows_how_many_a_group_or_the_external_hospitals_hold_out(patients: int) -> None:
    chosen = asking(leave_groups_out=GROUPS)
    room = Room.of({name: Disclosed(hospital=name, patients=patients) for name in ROSTER})
    for split in splits_of(chosen, ROSTER):
        for training in (True, False):
            counted = 0
            for name in ROSTER:
                dealt = Folds(np.arange(patients) % 2, 2, 7, name, whole=partial(whole_at, chosen, name))
                counted += int((dealt.training(split) if training else dealt.held_out(split)).sum())
            assert 0 <= counted - room.fewest(chosen, split, training) < len(ROSTER)


def test_fewer_than_three_external_hospitals_make_no_label() -> None:
    assert "external" in labels_of(asking())
    assert "external" not in labels_of(asking(external=("x", "y")))
    assert "external" in splits_of(asking(external=("x",)), ROSTER)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leave_groups_out": {"north": ["a", "b"], "south": ["d", "e", "f"]}}, "north has 2 hospitals"),
        ({"leave_groups_out": {"north": ["a", "b", "c"], "south": ["c", "e", "f"]}}, "c stands in two groups"),
        ({"leave_groups_out": {"north": ["a", "b", "c"]}}, "one group leaves nothing"),
        ({"leave_groups_out": GROUPS, "external": ("a",)}, "a is in a group of leave_groups_out too"),
        ({"external": ("x", "x")}, "stands there twice"),
    ],
)
def test_groups_that_cannot_be_are_refused_when_the_study_is_read(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        asking(**changes)
