"""The ledger in words: a table, one entry with its values, lines for a csv file."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from client.ledger import Entry, Kind, kept_answer
from client.store import Store
from deploy.terminal import say

CSV_HEADER = [
    *("number", "time", "kind", "state", "study", "study_hash", "query", "question", "roster", "arrays"),
    *("in_clear", "thresholds", "code", "of", "digest", "digest_before_masking"),
]
ARRAYS_LISTED = 6
_SHORT = 8


@dataclass(frozen=True)
class Line:
    """One entry as it is listed: with the study's name, and whether its answer was handed over for sending."""

    entry: Entry
    study: str
    state: str


def lines_of(store: Store, entries: list[Entry]) -> list[Line]:
    """What left or was about to, in order; that something was sent is a state of its entry."""
    sent = {entry.of for entry in entries if entry.kind is Kind.SENT}
    names = {study: _name(store, study) for study in {entry.study for entry in entries}}
    return [
        Line(entry, names[entry.study], _state(entry, sent)) for entry in entries if entry.kind is not Kind.SENT
    ]


def _state(entry: Entry, sent: set[int]) -> str:
    if entry.kind is Kind.UNMASKING:
        return ""
    return "sent" if entry.number in sent else "prepared"


def print_lines(console: Console, lines: list[Line]) -> None:
    """The ledger as a table."""
    between = "The numbers between these say that an answer was handed over for sending."
    time = Column("Time", no_wrap=True)
    study, query, left = (Column(heading, overflow="fold") for heading in ("Study", "Query", "What left"))
    table = Table("Entry", time, study, query, left, "State", caption=between)
    for line in lines:
        entry = line.entry
        named = f"{line.study} {entry.study[:_SHORT]}".strip()
        cells = (str(entry.number), entry.at, named, entry.query, _what(entry, ARRAYS_LISTED), line.state)
        table.add_row(*map(Text, cells))  # a Text is shown as it is: no brackets in it count as markup
    console.print(table)


def csv_lines(lines: list[Line]) -> Iterator[list[object]]:
    """The ledger as lines of a csv file, in the order of `CSV_HEADER`."""
    for line in lines:
        entry = line.entry
        thresholds = "; ".join(f"{name}={value}" for name, value in entry.thresholds.items())
        yield [
            *(entry.number, entry.at, entry.kind.value, line.state, line.study, entry.study, entry.query),
            *(entry.question, " ".join(entry.roster), _arrays(entry), " ".join(entry.in_clear), thresholds),
            *(entry.code, entry.of or "", entry.digest, entry.unmasked),
        ]


def print_entry(console: Console, store: Store, line: Line, answered: Entry, values: bool) -> None:
    """One entry, and the answer as it was before masking.

    Parameters
    ----------
    answered
        The entry whose answer it is: the one itself, or the one that it repeats.
    values
        Every value of every array, not their summary.
    """
    entry = line.entry
    masked = entry.digest != entry.unmasked
    for name, text in (
        ("Entry", f"{entry.number}, {entry.at}, {line.state}"),
        ("Study", f"{line.study} {entry.study}".strip()),
        ("Query", f"{entry.query} (SHA-256 of the question: {entry.question})" if entry.query else "none"),
        ("Roster", ", ".join(entry.roster)),
        ("What left", _what(entry)),
        ("Held against", ", ".join(f"{name} {value}" for name, value in entry.thresholds.items())),
        ("Bytes", f"SHA-256 {entry.digest}, {'masked' if masked else 'not masked'}"),
    ):
        if text:
            say(console, f"{name}: {text}")
    answer = kept_answer(store, answered)
    if answer is None:
        return
    say(console, "The answer before masking, kept in this hospital alone:" if masked else "The answer:")
    figures = answer.disclosed.model_dump(mode="json", exclude_defaults=True)
    for name, figure in figures.items():
        say(console, f"  in clear, {name}: {json.dumps(figure, ensure_ascii=False)}")
    if values:
        with np.printoptions(threshold=sys.maxsize, floatmode="unique", linewidth=110):
            for name, array in answer.sums.items():
                say(console, f"{name} {_shape(array.shape)}:\n{array}")
    elif answer.sums:
        console.print(_summary(answer.sums))


def _summary(sums: dict[str, np.ndarray]) -> Table:
    table = Table("Array", "Shape", "Least", "Mean", "Largest", "Not finite")
    for name, array in sums.items():
        finite = array[np.isfinite(array)]
        figures = [f"{f(finite):.6g}" for f in (np.min, np.mean, np.max)] if finite.size else ["–"] * 3
        table.add_row(name, _shape(array.shape), *figures, str(array.size - finite.size))
    return table


def _what(entry: Entry, listed: int | None = None) -> str:
    if entry.kind is Kind.REFUSAL:
        return f"refused: {entry.code}"
    if entry.kind is Kind.UNMASKING:
        return "shares that open the total of the question above, over the whole roster"
    if entry.kind is Kind.REPETITION:
        return f"the same bytes as in entry {entry.of}"
    clear = f"in clear: {', '.join(entry.in_clear)}" if entry.in_clear else ""
    return "; ".join(part for part in (_arrays(entry, listed), clear) if part) or "nothing but that it was done"


def _arrays(entry: Entry, listed: int | None = None) -> str:
    """Names and shapes of arrays; `listed`: no more of them than this."""
    arrays = [f"{name} {_shape(shape)}" for name, shape in entry.shapes.items()]
    if listed is None or len(arrays) <= listed:
        return ", ".join(arrays)
    return f"{', '.join(arrays[:listed])} and {len(arrays) - listed} arrays more"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"


def _name(store: Store, study: str) -> str:
    content = store.study(study)
    return "" if content is None else str(json.loads(content).get("study", ""))
