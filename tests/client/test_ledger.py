"""The ledger: nothing leaves without an entry, whoever writes at the same time and whatever is killed."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlcipher3.dbapi2 import DatabaseError

from client.ledger import START, Kind, Leaving, entries, head, kept_answer
from common import wire
from common.errors import Code
from common.query import Answer, Query
from tests.client.kept_ledger import Kept, leaving

MASKED = b"bytes that look like noise"
spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "own")
    with closing(opened.store):
        yield opened


def test_an_entry_tells_what_left(kept: Kept) -> None:
    number = kept.ledger.prepare(leaving(packed=MASKED))
    kept.ledger.sent(number)
    entry, sent = entries(kept.store)
    asked = leaving()
    assert asked.query is not None
    assert (entry.number, entry.kind, entry.previous) == (1, Kind.ANSWER, START)
    assert (entry.study, entry.query, entry.question) == ("s" * 64, "logistic", asked.query.question)
    assert (entry.roster, entry.shapes) == (("east", "north", "south"), {"gradient": (3,)})
    assert (entry.in_clear, entry.thresholds) == (("patients",), {"minimum_patients": 10})
    assert entry.digest == hashlib.sha256(MASKED).hexdigest()
    assert entry.unmasked == hashlib.sha256(asked.answer).hexdigest()
    assert (sent.kind, sent.of) == (Kind.SENT, 1)
    assert kept.faults() == ()


def test_the_officer_can_look_at_the_answer_before_masking(kept: Kept) -> None:
    kept.ledger.prepare(leaving(7, packed=MASKED))
    answer = kept_answer(kept.store, entries(kept.store)[0])
    assert answer is not None
    assert answer.sums["gradient"].tolist() == [7.0, 8.0, 9.0]


def test_the_same_bytes_again_are_a_repetition_and_kept_once(kept: Kept) -> None:
    for question in (1, 2, 1):
        kept.ledger.prepare(leaving(question))
    assert [(entry.kind, entry.of) for entry in entries(kept.store)] == [
        (Kind.ANSWER, 0),
        (Kind.ANSWER, 0),
        (Kind.REPETITION, 1),
    ]
    assert kept.store.first("SELECT count(*) FROM ledger_answers") == (2,)


def test_other_bytes_for_the_same_question_are_a_new_answer(kept: Kept) -> None:
    for packed in (b"first mask", b"second mask"):
        kept.ledger.prepare(leaving(packed=packed))
    assert [entry.kind for entry in entries(kept.store)] == [Kind.ANSWER, Kind.ANSWER]


def test_a_refusal_is_listed_with_its_code(kept: Kept) -> None:
    kept.ledger.prepare(leaving(code=Code.TOO_FEW_PATIENTS))
    kept.ledger.prepare(Leaving(None, b"refused", wire.answer_to_bytes(Answer.refusal(Code.BAD_PARAMETERS))))
    refused, stranger = entries(kept.store)
    assert (refused.kind, refused.code, refused.query) == (Kind.REFUSAL, "too_few_patients", "logistic")
    assert (stranger.kind, stranger.query, stranger.digest) == (
        Kind.REFUSAL,
        "",
        hashlib.sha256(b"refused").hexdigest(),
    )
    assert kept.faults() == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET hash = 'x'",
        "DELETE FROM ledger WHERE number = 3",
        "INSERT OR REPLACE INTO ledger SELECT 2, entry, hash, signature FROM ledger WHERE number = 1",
        "INSERT OR REPLACE INTO ledger_answers SELECT digest, x'00' FROM ledger_answers",
        "UPDATE ledger_answers SET answer = x'00'",
        "DELETE FROM ledger_answers",
    ],
)
def test_the_store_refuses_to_change_the_ledger(kept: Kept, statement: str) -> None:
    for question in range(3):
        kept.ledger.prepare(leaving(question))
    with pytest.raises(DatabaseError, match="takes new entries only"):
        kept.store.run(statement)
    assert kept.faults(head(kept.store)[1]) == ()


def append_many(folder: Path, process: int) -> list[int]:
    kept = Kept(folder)
    with closing(kept.store):
        numbers = [kept.ledger.prepare(leaving(100 * process + question)) for question in range(25)]
        for number in numbers:
            kept.ledger.sent(number)
    return numbers


def test_two_processes_make_one_chain(kept: Kept) -> None:
    with spawn.Pool(2) as pool:
        numbers = pool.starmap(append_many, [(kept.own.path, process) for process in (1, 2)])
    assert kept.faults() == ()
    assert [entry.number for entry in entries(kept.store)] == list(range(1, 101))
    assert not set(numbers[0]) & set(numbers[1])


def be_killed_between(folder: Path) -> None:
    kept = Kept(folder)
    kept.ledger.prepare(leaving(1))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_kill_before_sending_leaves_an_entry_that_is_prepared_and_not_sent(kept: Kept) -> None:
    killed = spawn.Process(target=be_killed_between, args=(kept.own.path,))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert [entry.kind for entry in entries(kept.store)] == [Kind.ANSWER]
    kept.ledger.sent(kept.ledger.prepare(leaving(1)))
    assert [(entry.kind, entry.of) for entry in entries(kept.store)[1:]] == [(Kind.REPETITION, 1), (Kind.SENT, 2)]
    assert kept.faults() == ()


def test_an_answer_whose_entry_cannot_be_written_has_no_kept_values_either(kept: Kept) -> None:
    kept.store.run(
        "CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    )
    with pytest.raises(DatabaseError, match="the disk is full"):
        kept.ledger.prepare(leaving())
    assert kept.store.first("SELECT count(*) FROM ledger_answers") == (0,)


def test_what_a_stranger_calls_things_is_fit_for_a_terminal(kept: Kept) -> None:
    query = Query(name="logistic", study="\x1b[31m\n" + "x" * 10_000, roster=("\x07bell", "north"))
    kept.ledger.prepare(Leaving(query, b"refused", wire.answer_to_bytes(Answer.refusal(Code.WRONG_STUDY))))
    entry = entries(kept.store)[0]
    assert entry.study == "\ufffd[31m\ufffd" + "x" * 94
    assert entry.roster == ("north", "\ufffdbell")
    assert kept.faults() == ()
