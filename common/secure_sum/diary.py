"""What a hospital remembers of a run, so that it does nothing twice: kept before anything is sent.

A round is *masked*, then perhaps *committed* to one list of survivors, for ever. A question that comes again in
another round, on other scales, *closes* the round in which it was masked before: of two rounds over one question a
hospital opens one at most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from common.secure_sum.agreement import MOST_HOSPITALS, Agreement
from common.secure_sum.encoding import LONGEST_TEXT, pack, read_text, unpack
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.terms import Terms

_DIGEST_BYTES = 32


class Keep(Protocol):
    """Puts one part of what a hospital remembers where a crash does not reach it, before it returns."""

    def __call__(self, part: str, content: bytes, /) -> None:
        """Keep a part in place of what it was before."""


@dataclass(frozen=True)
class Entry:
    """One round: what was masked in it, and over whom it may be opened."""

    question: str
    terms: bytes
    answer: bytes
    survivors: tuple[str, ...] = ()
    closed: bool = False

    def to_bytes(self, agreement: Agreement) -> bytes:
        """The entry as it is kept."""
        survivors = bytes(agreement.point(hospital) - 1 for hospital in self.survivors)
        state = b"closed" if self.closed else b"open"
        return pack("round", self.question.encode(), self.terms, self.answer, survivors, state)

    @staticmethod
    def from_bytes(packed: bytes, agreement: Agreement) -> "Entry":
        """The entry that was kept."""
        limits = (LONGEST_TEXT, _DIGEST_BYTES, _DIGEST_BYTES, MOST_HOSPITALS, len("closed"))
        question, terms, answer, points, state = unpack(packed, "round", *limits)
        survivors = tuple(agreement.hospitals[point] for point in points)
        return Entry(read_text(question), terms, answer, survivors, state == b"closed")


class Diary:
    """All rounds of a run, as one hospital has seen them."""

    def __init__(self, agreement: Agreement, keep: Keep, kept: Mapping[str, bytes]) -> None:
        self._agreement = agreement
        self._keep = keep
        rounds = range(1, agreement.rounds + 1)
        self._entries = {r: Entry.from_bytes(kept[_part(r)], agreement) for r in rounds if _part(r) in kept}

    def check(self, terms: Terms) -> None:
        """Refuse a round or a question that has been used up."""
        entry = self._entries.get(terms.round_number)
        if entry is not None and (entry.closed or entry.terms != terms.digest):
            raise SecureSumRefused(
                f"round {terms.round_number} was used for another question or other scales; ask in a new round"
            )
        if entry is None and any(e.question == terms.question and e.survivors for e in self._entries.values()):
            raise SecureSumRefused(
                "the question was answered, and may be opened, in an earlier round; ask for that round's shares again"
            )

    def write(self, terms: Terms, answer: bytes) -> None:
        """Remember what is about to be sent; the same answer may be sent again, another may not."""
        self.check(terms)
        entry = self._entries.get(terms.round_number)
        if entry is not None and entry.answer != answer:
            raise SecureSumRefused(
                f"round {terms.round_number}: the answer differs from the one that was masked before; two under "
                "one mask would show the difference. Find out what has changed in the cohort"
            )
        for number, earlier in list(self._entries.items()):
            if number != terms.round_number and earlier.question == terms.question and not earlier.closed:
                self._put(number, replace(earlier, closed=True))
        if entry is None:
            self._put(terms.round_number, Entry(terms.question, terms.digest, answer))

    def commit(self, terms: Terms, survivors: tuple[str, ...]) -> None:
        """Settle on the survivors of a round; no other list is ever accepted for it."""
        entry = self._entries.get(terms.round_number)
        if entry is None or entry.terms != terms.digest:
            raise SecureSumRefused(
                f"round {terms.round_number}: this hospital has masked no answer to that question"
            )
        if entry.closed:
            raise SecureSumRefused(f"round {terms.round_number} was closed when its question came again")
        if entry.survivors and entry.survivors != survivors:
            raise SecureSumRefused(
                f"round {terms.round_number}: the survivors were {list(entry.survivors)}, now {list(survivors)} are "
                "asked for; with both, a hospital could be told from the difference"
            )
        if not entry.survivors:
            self._put(terms.round_number, replace(entry, survivors=survivors))

    def committed(self, round_number: int) -> tuple[str, ...]:
        """The survivors on which this hospital has settled, or nobody."""
        entry = self._entries.get(round_number)
        return entry.survivors if entry else ()

    def _put(self, round_number: int, entry: Entry) -> None:
        self._keep(_part(round_number), entry.to_bytes(self._agreement))
        self._entries[round_number] = entry


def _part(round_number: int) -> str:
    return f"round {round_number}"
