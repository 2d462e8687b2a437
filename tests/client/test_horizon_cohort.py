"""An event at a horizon as a hospital knows it, and competing events beside earlier studies of the same patients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.gate_rules.cohorts import columns_of, patients_of
from client.gate_rules.declared import declared
from client.gate_rules.questions import questions_of
from client.horizon import known_by, outcome_by, refuse_few_known
from client.members import Members
from client.queries import QUERIES
from common.errors import Code, HospitalError
from common.outcomes import HorizonOutcome
from common.study import Study
from server.report.query_words import QUERIES as QUERY_WORDS
from tests.client.test_survival_cohort import cohort, survival

CODES = {"event": ["1"], "competing": ["2"]}


def at_two_years(**outcome: Any) -> Study:
    return Study.from_content(
        {
            "study": "test",
            "outcome": {"kind": "horizon", "time": "os", "event": "status", "months": 24} | outcome,
            "predictors": {"clinical": ["age"]},
        },
        "study.yaml",
    )


def test_lost_patients_are_unknown_and_competing_events_are_known_to_be_none(tmp_path: Path) -> None:
    study = at_two_years(event_codes=CODES)
    assert isinstance(study.outcome, HorizonOutcome)
    found = cohort(tmp_path, study)
    # 30 days lost, 90 event, 91 competing, 400 event, 800 competing and 1200 censored beyond 730.5 days
    np.testing.assert_array_equal(outcome_by(study.outcome, found), [np.nan, 1, 0, 1, 0, 0])
    known = known_by(study.outcome, found, [3, 12, 24], np.array([1.0, 0.8, 0.6, 0.5]))
    assert known.weight == pytest.approx([0, 1 / 0.9, 1 / 0.9, 1 / 0.55, 2, 2])
    members = Members("alder", study, found)
    assert members.strata.tolist() == [0, 1, 0, 1, 0, 0]
    assert members.classes.tolist() == [1, 0, 1, 0, 0]


def test_two_patients_of_one_cell_have_one_weight(tmp_path: Path) -> None:
    study = at_two_years()
    assert isinstance(study.outcome, HorizonOutcome)
    text = "id,age,os,status\nP1,50,100,1\nP2,60,130,1\nP3,70,350,1\n"
    weight = known_by(study.outcome, cohort(tmp_path, study, text), [12, 24], np.array([1.0, 0.8, 0.5])).weight
    assert np.ptp(weight) == 0.0


def test_a_hospital_that_follows_too_few_to_the_horizon_leaves_before_anything_is_asked(tmp_path: Path) -> None:
    study = at_two_years(event_codes=CODES)
    found = cohort(tmp_path, study)
    refuse_few_known(study, found, 5)
    with pytest.raises(HospitalError, match=r"of 5 of 6 patients it is known whether .* 6 are needed") as refused:
        refuse_few_known(study, found, 6)
    assert refused.value.code is Code.TOO_FEW_PATIENTS


def test_a_study_asks_only_for_what_is_weighted() -> None:
    asked = questions_of(at_two_years())
    assert {"exits", "survival_counts", "censoring", "logistic", "horizon_predictions", "recalibration"} <= set(
        asked
    )
    unweighted = {
        "discrimination",
        "training_classes",
        "threshold_classes",
        "membership",
        "lone_columns",
        "bootstrap",
    }
    assert not unweighted & set(asked)
    for name in asked:
        assert name in QUERIES
        assert declared(name)
        assert name in QUERY_WORDS


def test_a_cohort_knows_competing_events_from_lost_patients_among_earlier_studies(tmp_path: Path) -> None:
    plain = cohort(tmp_path, survival(event_codes={"event": ["1"], "censored": ["0", "2"]}))
    coded = cohort(tmp_path, survival(event_codes=CODES))
    np.testing.assert_array_equal(plain.outcome, coded.outcome)
    assert columns_of(plain) == columns_of(coded)
    before, after = patients_of(plain), patients_of(coded)
    assert [p for p in before if before[p] != after[p]] == ["P2", "P4"]
