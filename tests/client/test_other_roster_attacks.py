"""A hospital that is said to be lost is not asked any more: the others' second total shows its own sums."""

import pytest

from client.app import Whereabouts
from common.errors import Code
from common.query import Answer
from common.room import Room
from common.study import Study
from tests.approved import seat
from tests.client.curious_coordinator import (
    PATIENTS,
    allow_single,
    asking,
    call_roll,
    chosen,
    hospital,
    logistic,
    moments,
    refused,
)
from tests.client.test_app import ROSTER, log_of

__all__ = ["chosen", "hospital"]
THREE = tuple(name for name in ROSTER if name != "west")


def room(hospital: Whereabouts, asked: Study, roster: tuple[str, ...], west: int = 80, *, alone: bool) -> str:
    """Everybody's seat; all but west allow that their own sums are derived."""
    patients = {name: PATIENTS if name == "north" else 80 for name in roster} | {"west": west}
    seats = (
        seat(hospital, asked, n, patients[n], events=patients[n] // 2, alone=alone or n != "west") for n in roster
    )
    return Room(tuple(seats)).to_json()


def second_total(
    hospital: Whereabouts, asked: Study, rosters: tuple[tuple[str, ...], ...], west: int = 80, *, alone: bool
) -> Answer:
    """Moments under one roster, and the answer under the other."""
    allow_single(hospital)
    call_roll(hospital, asked)
    for roster in rosters:
        answer = moments(hospital, asked, roster=roster, room=room(hospital, asked, roster, west, alone=alone))
    return answer


def test_what_a_hospital_says_of_itself_is_its_policy(hospital: Whereabouts, chosen: Study) -> None:
    assert not call_roll(hospital, chosen).disclosed.alone
    allow_single(hospital)
    assert call_roll(hospital, asking(study="another")).disclosed.alone
    one = seat(hospital, chosen, "west", 80, alone=True)
    assert one.statement(chosen.hash) != one.model_copy(update={"alone": False}).statement(chosen.hash)


def test_a_hospital_that_does_not_stand_alone_is_not_left_out_of_a_second_roster(
    hospital: Whereabouts, chosen: Study
) -> None:
    answer = second_total(hospital, chosen, (ROSTER, THREE), alone=False)
    refused(hospital, answer, Code.SINGLE_HOSPITAL, "west is in one roster of this study and not in another")


def test_nor_does_it_come_later(hospital: Whereabouts, chosen: Study) -> None:
    answer = second_total(hospital, chosen, (THREE, ROSTER), alone=False)
    refused(hospital, answer, Code.SINGLE_HOSPITAL, "west is in one roster of this study and not in another")


def test_one_that_stands_alone_may_be_lost(hospital: Whereabouts, chosen: Study) -> None:
    assert second_total(hospital, chosen, (ROSTER, THREE), alone=True).sums, log_of(hospital)


@pytest.mark.parametrize(("west", "fine"), [(9, False), (10, True)])
def test_a_lost_hospital_has_patients_enough(hospital: Whereabouts, west: int, fine: bool) -> None:
    chosen = asking()
    allow_single(hospital)
    call_roll(hospital, chosen)
    for roster in (ROSTER, THREE):
        there = room(hospital, chosen, roster, west, alone=True)
        answer = logistic(hospital, chosen, [0.0, 0.0, 0.0], roster=roster, room=there)
        assert roster == THREE or answer.sums, log_of(hospital)
    if fine:
        assert answer.sums, log_of(hospital)
    else:
        refused(hospital, answer, Code.SINGLE_HOSPITAL, "it has 9 patients")
