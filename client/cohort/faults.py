"""Collecting what is wrong with a hospital's data, so that all of it is said at once."""

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence

from common.errors import Code, HospitalError

SHOWN_PATIENTS = 3
SHOWN_TEXTS = 8


class Faults:
    """What is wrong, in the order found; the first one gives the code that the coordinator learns."""

    def __init__(self) -> None:
        self._found: list[tuple[Code, str]] = []

    def add(self, code: Code, text: str) -> None:
        """Note one fault; `text` says where it is, what was found and what to do."""
        self._found.append((code, text))

    def take(self, others: "Faults") -> None:
        """Note the faults that were noted elsewhere, too."""
        self._found += others._found

    @property
    def texts(self) -> tuple[str, ...]:
        """Every fault noted so far."""
        return tuple(text for _, text in self._found)

    def each(self) -> Iterator[HospitalError]:
        """Every fault noted so far, as an error of its own."""
        for code, text in self._found:
            yield HospitalError(code, text)

    def stop_if_any(self) -> None:
        """Raise one HospitalError that lists every fault noted so far."""
        if self._found:
            raise HospitalError(self._found[0][0], "\n".join(text for _, text in self._found))


def quoted(text: str) -> str:
    """A text as both a reader and YAML understand it."""
    return json.dumps(text, ensure_ascii=False)


def counted(number: int, noun: str) -> str:
    """'1 patient', '3 patients'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], shown: int = SHOWN_PATIENTS) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def near_miss(wanted: str, present: Iterable[str]) -> str | None:
    """The name among `present` that was most likely meant, ignoring case, spaces and signs."""

    def bare(name: str) -> str:
        return "".join(c for c in name.casefold() if c.isalnum())

    by_bare = {bare(name): name for name in present}
    near = difflib.get_close_matches(bare(wanted), by_bare, n=1, cutoff=0.75)
    return by_bare[near[0]] if near else None
