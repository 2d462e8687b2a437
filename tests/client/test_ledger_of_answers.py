"""What a hospital's app answers is in the ledger before it leaves, refusals included."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import ConfigRecord, RecordDict
from sqlcipher3.dbapi2 import DatabaseError

from client.app import Whereabouts, respond
from client.identity import Identity
from client.ledger import Entry, Kind, Leaving, Ledger, entries, kept_answer
from client.ledger_check import check_ledger
from client.sealing import OwnFolder
from client.store import Store
from common import wire
from common.errors import Code
from common.query import Query
from tests.hospitals_on_disk import study

STUDY = study(predictors={"clinical": ["age"]})
PATIENTS = 40
ROLL_CALL = wire.query_to_record(
    Query(name="roll_call", study=STUDY.hash, roster=(), parameters={"study": STUDY.to_json()}), {}
)
STRANGE = wire.query_to_record(Query(name="logistic", study="0" * 64, roster=("east", "north", "south")), {})


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    outcomes = np.arange(PATIENTS) % 2
    table = pd.DataFrame({"id": [f"P{i}" for i in range(PATIENTS)], "age": 40 + outcomes, "mvi": outcomes})
    table.to_csv(folder / "patients.csv", index=False)
    return Whereabouts(folder, tmp_path / "own", lower_profile=True)


def listed(hospital: Whereabouts) -> list[Entry]:
    own = OwnFolder(hospital.own_folder)
    with closing(Store(own)) as store:
        assert check_ledger(store, Identity.open(own).public_bytes).faults == ()
        return entries(store)


def test_an_answer_is_prepared_then_sent_then_repeated(hospital: Whereabouts) -> None:
    assert respond(hospital, ROLL_CALL).packed == respond(hospital, ROLL_CALL).packed
    assert [(entry.kind, entry.of) for entry in listed(hospital)] == [
        (Kind.ANSWER, 0),
        (Kind.SENT, 1),
        (Kind.REPETITION, 1),
        (Kind.SENT, 3),
    ]
    first = listed(hospital)[0]
    assert (first.study, first.query, first.thresholds) == (STUDY.hash, "roll_call", {"patients here": PATIENTS})
    with closing(Store(OwnFolder(hospital.own_folder))) as store:
        answer = kept_answer(store, first)
    assert answer is not None
    assert wire.answer_to_bytes(answer) == respond(hospital, ROLL_CALL).packed


def test_a_refusal_is_listed_with_what_was_asked(hospital: Whereabouts) -> None:
    respond(hospital, STRANGE)
    respond(hospital, RecordDict({"query": ConfigRecord({"head": "garbage"})}))
    assert [
        (entry.kind, entry.query, entry.code) for entry in listed(hospital) if entry.kind is not Kind.SENT
    ] == [
        (Kind.REFUSAL, "logistic", Code.WRONG_STUDY.value),
        (Kind.REFUSAL, "", Code.BAD_PARAMETERS.value),
    ]


def test_no_figure_leaves_that_could_not_be_written_down(
    hospital: Whereabouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(Ledger, "prepare", full)
    answer = wire.answer_from_bytes(respond(hospital, ROLL_CALL).packed)
    assert (answer.sums, answer.disclosed.code, answer.disclosed.patients) == ({}, Code.INTERNAL, None)
    assert "disk is full" in (hospital.own_folder / "hospital.log").read_text()


def test_the_entry_is_there_while_the_answer_is_not_sent_yet(
    hospital: Whereabouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Kind]] = []
    prepare = Ledger.prepare

    def look(ledger: Ledger, leaving: Leaving) -> int:
        number = prepare(ledger, leaving)
        seen.append([entry.kind for entry in listed(hospital)])
        return number

    monkeypatch.setattr(Ledger, "prepare", look)
    respond(hospital, ROLL_CALL)
    assert seen == [[Kind.ANSWER]]


def test_a_hospital_whose_store_does_not_open_says_so_in_a_code(hospital: Whereabouts) -> None:
    respond(hospital, ROLL_CALL)
    key = hospital.own_folder / "store.key"
    key.write_text("ab" * 32)
    answer = wire.answer_from_bytes(respond(hospital, ROLL_CALL).packed)
    assert (answer.disclosed.code, answer.disclosed.patients) == (Code.STORE_SEALED, None)
    log = (hospital.own_folder / "hospital.log").read_text()
    assert "does not open with the key from" in log
    assert "ab" * 32 not in log


def test_an_altered_end_of_the_ledger_stops_every_answer(hospital: Whereabouts) -> None:
    respond(hospital, ROLL_CALL)
    own = OwnFolder(hospital.own_folder)
    another = OwnFolder(hospital.own_folder.with_name("another"), str(own.key_file))
    Identity.open(another)
    own.identity.write_bytes(another.identity.read_bytes())
    answer = wire.answer_from_bytes(respond(hospital, ROLL_CALL).packed)
    assert (answer.disclosed.code, answer.disclosed.patients) == (Code.STORE_SEALED, None)
