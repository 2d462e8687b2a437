"""The check of the ledger: no entry changes, goes or moves without being missed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.identity import Identity
from client.ledger import START, Entry, Ledger, entries, hash_of, head
from client.ledger_check import check_ledger
from client.sealing import OwnFolder
from common.errors import Code, HospitalError
from tests.client.kept_ledger import Kept, leaving


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "own")
    with closing(opened.store):
        yield opened


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Six entries: two answers that were sent, a repetition, a refusal."""
    opened = Kept(tmp_path_factory.mktemp("ledger"))
    for question in (1, 2):
        opened.ledger.sent(opened.ledger.prepare(leaving(question)))
    opened.ledger.prepare(leaving(1))
    opened.ledger.prepare(leaving(code=Code.SINGLE_HOSPITAL))
    with closing(opened.store):
        yield opened


ENTRIES = 6
places = st.integers(1, ENTRIES)
ROWS = "SELECT number, entry, hash, signature FROM ledger ORDER BY number"
on_one_ledger = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def found(written: Kept, change: Callable[[list[list[object]]], object], exported: str | None = None) -> bool:
    """Whether a ledger whose rows somebody changed is found; it is put back afterwards."""
    before = written.store.all(ROWS)
    after = [list(row) for row in before]
    change(after)
    assert after != [list(row) for row in before]
    try:
        put(written, after)
        return written.faults(exported) != ()
    finally:
        put(written, before)


def put(written: Kept, rows: Sequence[Sequence[object]]) -> None:
    written.tamper("SELECT 1")
    with written.store.transaction() as execute:
        execute("DELETE FROM ledger")
        for row in rows:
            execute("INSERT INTO ledger VALUES (?, ?, ?, ?)", *row)


@on_one_ledger
@given(place=places, where=st.integers(0, 10_000), with_=st.characters(codec="utf-8", exclude_characters="\0"))
def test_any_character_of_any_entry_that_is_changed_is_found(
    written: Kept, place: int, where: int, with_: str
) -> None:
    def edit(rows: list[list[object]]) -> None:
        text = str(rows[place - 1][1])
        at = where % len(text)
        put = with_ if with_ != text[at] else chr(ord(with_) ^ 1)
        rows[place - 1][1] = text[:at] + put + text[at + 1 :]

    assert found(written, edit)


@on_one_ledger
@given(place=places, where=st.integers(0, 63), bit=st.integers(0, 7))
def test_any_bit_of_any_signature_that_is_changed_is_found(
    written: Kept, place: int, where: int, bit: int
) -> None:
    def edit(rows: list[list[object]]) -> None:
        signature = bytearray(rows[place - 1][3])  # type: ignore[call-overload]
        signature[where] ^= 1 << bit
        rows[place - 1][3] = bytes(signature)

    assert found(written, edit)


@on_one_ledger
@given(place=places, forge=st.booleans())
def test_an_edit_whose_hash_was_worked_out_anew_is_found(written: Kept, place: int, forge: bool) -> None:
    def edit(rows: list[list[object]]) -> None:
        previous = START
        for row in rows[place - 1 :]:
            text = str(row[1]).replace("2", "3")
            if forge and row is not rows[place - 1]:
                entry = Entry.from_text(text)
                text = Entry(**{**vars(entry), "previous": previous}).text()
            row[1:3] = text, hash_of(text.encode())
            previous = str(row[2])

    assert found(written, edit)


@on_one_ledger
@given(removed=st.sets(places, min_size=1), renumber=st.booleans())
def test_any_entries_that_were_removed_are_missed(written: Kept, removed: set[int], renumber: bool) -> None:
    exported = head(written.store)[1]

    def remove(rows: list[list[object]]) -> None:
        rows[:] = [row for row in rows if row[0] not in removed]
        if renumber:
            for number, row in enumerate(rows, start=1):
                row[0] = number

    assert found(written, remove, exported)
    if min(removed) <= ENTRIES - len(removed):  # not the last ones alone: no head is needed to see it
        assert found(written, remove)


@on_one_ledger
@given(order=st.permutations(range(ENTRIES)))
def test_any_other_order_is_found(written: Kept, order: list[int]) -> None:
    def reorder(rows: list[list[object]]) -> None:
        moved = [rows[place][1:] for place in order]
        for row, content in zip(rows, moved, strict=True):
            row[1:] = content

    if order != list(range(ENTRIES)):
        assert found(written, reorder)


def test_the_last_entries_are_missed_against_a_head_only(written: Kept) -> None:
    exported = head(written.store)[1]
    assert not found(written, lambda rows: rows.pop())
    assert found(written, lambda rows: rows.pop(), exported)


def test_a_head_that_was_exported_stays_good_while_the_ledger_grows(kept: Kept) -> None:
    exported = [head(kept.store)[1]]
    for question in range(3):
        kept.ledger.prepare(leaving(question))
        exported.append(head(kept.store)[1])
    assert exported[0] == START
    assert [kept.faults(one) for one in exported] == [()] * 4
    assert "was the hash of" in kept.faults("ab" * 32)[0]


def test_a_fault_says_which_entry_it_is_about(kept: Kept) -> None:
    for question in range(5):
        kept.ledger.prepare(leaving(question))
    kept.tamper("DELETE FROM ledger WHERE number IN (2, 3)")
    assert kept.faults() == (
        "entry 4: what stood before it is missing (entries 2 to 3)",
        "entry 4: the entry before it is not the one that it was written after",
    )


def test_a_kept_answer_that_was_changed_or_removed_is_found(kept: Kept) -> None:
    for question in (1, 2):
        kept.ledger.prepare(leaving(question))
    kept.tamper("UPDATE ledger_answers SET answer = x'00' WHERE digest = ?", entries(kept.store)[0].unmasked)
    kept.store.run("DELETE FROM ledger_answers WHERE digest = ?", entries(kept.store)[1].unmasked)
    assert kept.faults() == (
        "entry 1: the answer that was kept with it was edited",
        "entry 2: the answer that was kept with it was removed",
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"kind":"gift","number":1}', b"\xff\xfe"])
def test_a_text_that_is_no_entry_is_a_fault_and_no_crash(kept: Kept, text: object) -> None:
    kept.ledger.prepare(leaving())
    kept.tamper("UPDATE ledger SET entry = ?", text)
    assert "entry 1: its text is no entry" in kept.faults()


def test_the_ledger_of_another_hospital_is_found(kept: Kept, tmp_path: Path) -> None:
    kept.ledger.prepare(leaving())
    other = Identity.open(OwnFolder(tmp_path / "other"))
    assert check_ledger(kept.store, other.public_bytes).faults == (
        "entry 1: its signature is not this hospital's for this text",
    )
    with pytest.raises(HospitalError, match="is not signed with this hospital's key"):
        Ledger(kept.store, other).prepare(leaving(2))
    assert len(entries(kept.store)) == 1
