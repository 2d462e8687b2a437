"""What a hospital has lost of its own copies comes back when it is asked again; they are no kept answer."""

from pathlib import Path

import pandas as pd

from client.app import respond
from common import wire
from common.query import WRITES_OWN_COPIES, Query
from common.study import Study
from deploy.simulation.simulate import find_hospitals
from tests.approved import approve_everywhere, run_between
from tests.hospitals_on_disk import write_hospitals
from tests.server.heard import listening_to_questions
from tests.server.survival_tables import gbsg2

LOST = ("survival.csv", "survival_recalibration.json", "predictions.csv")


def cox() -> Study:
    return Study.from_content(
        {
            "study": "gbsg",
            "outcome": {"kind": "survival", "time": "days", "event": "event", "horizons_months": [24]},
            "predictors": {"clinical": ["age", "pnodes"]},
            "model": {"kind": "cox", "penalty": "none"},
            "validation": {"folds": 2, "leave_one_hospital_out": False},
            "privacy": {"secure_sum": False},
        },
        "study",
    )


def test_a_hospitals_own_copies_of_a_cox_study_are_written_again(tmp_path: Path) -> None:
    table: pd.DataFrame = gbsg2().assign(id=lambda t: [f"P{k:04d}" for k in t.index], days=lambda t: t["time"])
    folders = find_hospitals(write_hospitals(tmp_path / "sites", table, ["days", "event", "age", "pnodes"], []))
    for folder in folders.values():
        (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    chosen = cox()
    hospitals = approve_everywhere(chosen, folders)
    with listening_to_questions() as heard:
        run_between(chosen, hospitals, tmp_path / "out")
    cedar = hospitals["cedar"]
    written = {name: (cedar.own_folder / name).read_bytes() for name in LOST}
    for name in LOST:
        (cedar.own_folder / name).unlink()

    asked = [question for question in heard if question.name in WRITES_OWN_COPIES]
    for question in asked:
        again = Query(question.name, chosen.hash, roster=tuple(sorted(hospitals)), **question.question)
        answer = wire.answer_from_bytes(respond(cedar, wire.query_to_record(again, {})).packed)
        assert answer.disclosed.code is None
        assert not answer.sums

    assert {question.name for question in asked} == WRITES_OWN_COPIES
    assert {name: (cedar.own_folder / name).read_bytes() for name in LOST} == written
