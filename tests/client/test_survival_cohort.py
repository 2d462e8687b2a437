"""Survival outcomes as they are read: event codes, landmarks and units, and who leaves."""

from pathlib import Path
from typing import Any

import pytest

from client.cohort.cohort import Cohort
from common.errors import StudyError
from common.study import Study
from tests.client.test_cohort import read

PATIENTS = "id,age,os,status\n" + "\n".join(f"P{k},{50 + k},{time},{code}" for k, (time, code) in enumerate(
    [(30, 0), (90, 1), (91, 2), (400, 1), (800, 2), (1200, 0)]
))  # fmt: skip


def survival(variables: dict[str, Any] | None = None, **outcome: Any) -> Study:
    return Study.from_content(
        {
            "study": "test",
            "outcome": {"kind": "survival", "time": "os", "event": "status"} | outcome,
            "predictors": {"clinical": ["age"]},
            "variables": variables or {},
            "model": {"kind": "cox"},
        },
        "study.yaml",
    )


def cohort(folder: Path, study: Study, text: str = PATIENTS) -> Cohort:
    return read(folder, study, patients=text)


def test_a_competing_event_is_censored_and_remembered(tmp_path: Path) -> None:
    found = cohort(tmp_path, survival(event_codes={"event": [1], "competing": [2]}))
    assert found.outcome[:, 1].tolist() == [0, 1, 0, 1, 0, 0]
    assert found.competing.tolist() == [False, False, True, False, True, False]
    other = cohort(tmp_path, survival(event_codes={"event": [2], "competing": [1]}))
    assert other.outcome[:, 1].tolist() == [0, 0, 1, 0, 1, 0]
    assert found.digest != other.digest


def test_several_codes_may_be_the_event_and_words_may_stand_for_them(tmp_path: Path) -> None:
    either = cohort(tmp_path, survival(event_codes={"event": [1, 2]}))
    assert either.outcome[:, 1].tolist() == [0, 1, 1, 1, 1, 0]
    words = PATIENTS.replace(",0\n", ",alive\n").replace(",1\n", ",recurred\n").replace(",2\n", ",died\n")
    words = words[: words.rindex(",")] + ",alive"
    codes = {"censored": ["alive"], "event": ["recurred"], "competing": ["died"]}
    assert cohort(tmp_path, survival(event_codes=codes), words).competing.sum() == 2


def test_after_a_landmark_time_begins_anew_and_the_flow_says_who_left(tmp_path: Path) -> None:
    found = cohort(tmp_path, survival(event_codes={"competing": [2]}, landmark_days=90))
    assert found.ids == ("P2", "P3", "P4", "P5")
    assert found.outcome[:, 0].tolist() == [1, 310, 710, 1110]
    assert found.flow["in_range"] == 6
    assert found.flow["at_landmark"] == 4
    assert any("last seen within 90 days: 2 patients" in note for note in found.notes)
    assert "at_landmark" not in cohort(tmp_path, survival(event_codes={"competing": [2]})).flow


def test_months_become_days(tmp_path: Path) -> None:
    text = "id,age,os,status\nP0,50,12,1\nP1,60,24,0\n"
    found = cohort(tmp_path, survival({"os": {"unit": "months", "range": [0, 240]}}), text)
    assert found.outcome[:, 0].tolist() == [365.25, 730.5]


@pytest.mark.parametrize(
    ("outcome", "variables", "said"),
    [
        ({"event_codes": {"event": ["1"], "competing": ["1"]}}, {}, "a code stands twice"),
        ({"horizons_months": [24, 12]}, {}, "horizons must rise"),
        ({}, {"os": {"unit": "mm"}}, "'mm' is no unit of time: write d, months or years"),
        ({}, {"os": {"type": "binary"}}, "a time is a number"),
        ({"event_codes": {}}, {"status": {"type": "binary"}}, "this outcome needs category"),
        (
            {"event_codes": {"competing": ["2"]}},
            {"status": {"type": "category", "levels": ["0", "1"]}},
            "'2' is no level under variables: name the same codes in both",
        ),
    ],
)
def test_what_does_not_fit_is_said(outcome: dict[str, Any], variables: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        survival(variables, **outcome)
