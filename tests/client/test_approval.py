"""Outside simulations a hospital answers the studies that it approved, as long as it approves of them."""

from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.app import Whereabouts
from client.approval import approval_of, approvals, check_own_seat, read_roster, revoke
from client.identity import Identity
from client.store import Store
from common.errors import Code, HepafedError, StudyError
from common.study import Study
from tests.approved import approve_here, site_of
from tests.client.curious_coordinator import PATIENTS, ask, asking, call_roll, chosen, hospital, moments
from tests.client.test_app import ROSTER, log_of

__all__ = ["chosen", "hospital"]

TODAY = date.today()


def roll_call(hospital: Whereabouts, chosen: Study) -> Any:
    """The roll call without approving first."""
    return ask(hospital, chosen, "roll_call", roster=(), splits=(), parameters={"study": chosen.to_json()})


def test_a_study_that_nobody_approved_is_not_even_told_how_many_patients_there_are(
    hospital: Whereabouts, chosen: Study
) -> None:
    answer = roll_call(hospital, chosen)
    assert answer.disclosed.code is Code.NOT_APPROVED
    assert answer.disclosed.patients is None
    assert not answer.sums
    approve_here(hospital, chosen, ROSTER)
    assert roll_call(hospital, chosen).disclosed.patients == PATIENTS


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"title": "x"}, {"model": {"kind": "logistic", "penalty": "none"}}]
)
def test_a_study_that_was_altered_after_approval_is_refused(
    hospital: Whereabouts, chosen: Study, change: dict[str, Any]
) -> None:
    call_roll(hospital, chosen)
    answer = roll_call(hospital, asking(**change))
    assert answer.disclosed.code is Code.ALTERED
    assert "whoever changed it must say what changed" in log_of(hospital).lower()


def test_an_approval_ends_after_the_last_day_of_the_ethics_vote(hospital: Whereabouts, chosen: Study) -> None:
    approve_here(hospital, chosen, ROSTER, expires=TODAY + timedelta(days=1), ethics="2026-041")
    assert roll_call(hospital, chosen).disclosed.code is None
    assert moments(hospital, chosen).sums
    approve_here(hospital, chosen, ROSTER, expires=TODAY - timedelta(days=2), ethics="2026-041")
    for answer in (roll_call(hospital, chosen), moments(hospital, chosen)):
        assert answer.disclosed.code is Code.EXPIRED
        assert not answer.sums
    assert "ethics 2026-041" in log_of(hospital)


def test_a_revoked_study_gets_no_answer_not_even_one_that_was_sent_before(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    assert moments(hospital, chosen).sums
    with closing(Store(site_of(hospital).own)) as store:
        assert revoke(store, chosen.study) == [chosen.hash]
        assert revoke(store, chosen.study) == [], "it is revoked already"
    for centre in (np.zeros((1, 2)), np.ones((1, 2))):
        answer = moments(hospital, chosen, arrays={"centre": centre})
        assert answer.disclosed.code is Code.REVOKED
        assert not answer.sums


def test_the_record_says_who_approved_what_and_with_whom(hospital: Whereabouts, chosen: Study) -> None:
    given = approve_here(hospital, chosen, ROSTER, ethics="2026-041", expires=date(2031, 1, 31))
    with closing(Store(site_of(hospital).own)) as store:
        assert approvals(store) == [given]
        assert approval_of(store, chosen).approved_by == "the officer"
        row = store.first("SELECT roster_hash FROM approvals")
    assert row is not None
    assert len(row[0]) == 64


def test_a_roster_is_read_with_fingerprints_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "roster.yaml"
    path.write_text(
        f"alder: {'AB12 ' * 16}\nbirch: '{'34:' * 31}34'\ncedar: \"{'5' * 64}\"\n",
        encoding="utf-8",
    )
    assert read_roster(path) == {"alder": "ab12" * 16, "birch": "34" * 32, "cedar": "5" * 64}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("alder: ab\nbirch: cd\ncedar: ef\n", "line 1: alder: a fingerprint has 64 hexadecimal digits"),
        (f"alder: {'a' * 64}\nbirch: {'a' * 64}\ncedar: {'b' * 64}\n", "two hospitals have one key"),
        (f"alder: {'a' * 64}\nbirch: {'b' * 64}\n", "a study needs 3"),
        (f"../alder: {'a' * 64}\n", "no name of a hospital"),
        ("- alder\n", "one line a hospital"),
        (f"alder: {'a' * 64}\nalder: {'b' * 64}\n", "stands on line 1 already"),
    ],
)
def test_a_roster_that_cannot_be_used_is_refused_in_words(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "roster.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=why):
        read_roster(path)


def test_a_roster_with_another_key_for_this_hospital_is_refused(hospital: Whereabouts) -> None:
    own = Identity.open(site_of(hospital).own).fingerprint
    check_own_seat({"north": own}, "north", own)
    with pytest.raises(HepafedError, match="somebody else would speak for this hospital"):
        check_own_seat({"north": "a" * 64}, "north", own)
    with pytest.raises(HepafedError, match="the roster names east"):
        check_own_seat({"east": own}, "north", own)


def test_approving_again_leaves_the_earlier_approval_on_record(hospital: Whereabouts, chosen: Study) -> None:
    approve_here(hospital, chosen, ROSTER, ethics="first")
    with closing(Store(site_of(hospital).own)) as store:
        revoke(store, chosen.hash)
    approve_here(hospital, chosen, ROSTER, ethics="second")
    assert roll_call(hospital, chosen).disclosed.code is None
    with closing(Store(site_of(hospital).own)) as store:
        assert [(a.ethics, a.revoked_at is None) for a in approvals(store)] == [("first", False), ("second", True)]
