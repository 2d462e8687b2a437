"""A run's progress, written a line an event: the commands that watch a run read it, the table of exchanges too."""

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from server.progress import Progress


class ProgressFile:
    """Writes what happens to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._write("begun")

    def __enter__(self) -> "ProgressFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def phase(self, name: str, exchanges: int) -> None:
        """A phase begins."""
        self._write("phase", name=name, exchanges=exchanges)

    def asked(self, query: str, hospitals: int) -> None:
        """A question is on its way."""
        self._write("asked", query=query, hospitals=hospitals)

    def answered(self, hospital: str) -> None:
        """One answer is there."""
        self._write("answered", hospital=hospital)

    def exchanged(self, replayed: bool, largest: int) -> None:
        """An exchange is over."""
        self._write("exchanged", replayed=replayed, largest=largest)

    def notice(self, text: str) -> None:
        """Something that a person should know now."""
        self._write("notice", text=text)

    def _write(self, event: str, **content: object) -> None:
        self._file.write(json.dumps({"at": round(time.time(), 4), "event": event, **content}) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Timed:
    """One exchange: how long it took from its first question until its total was known, and in how many trips."""

    number: int
    query: str
    trips: int
    hospitals: int
    seconds: float


def tell(event: dict[str, Any], progress: Progress) -> None:
    """Tell a watcher of an event."""
    content = {key: value for key, value in event.items() if key not in ("at", "event")}
    if event["event"] != "begun":
        getattr(progress, event["event"])(**content)


def exchanges_of(events: Iterable[dict[str, Any]]) -> list[Timed]:
    """The exchanges of a run that travelled; what was read from the checkpoint took no time."""
    timed: list[Timed] = []
    asked: list[dict[str, Any]] = []
    for event in events:
        if event["event"] == "begun":
            asked = []
        elif event["event"] == "asked":
            asked.append(event)
        elif event["event"] == "exchanged":
            if asked and not event["replayed"]:
                seconds = event["at"] - asked[0]["at"]
                name = next((a["query"] for a in asked if not a["query"].startswith("secure")), asked[0]["query"])
                timed.append(Timed(len(timed) + 1, name, len(asked), asked[0]["hospitals"], seconds))
            asked = []
    return timed


def table_of(timed: list[Timed]) -> list[str]:
    """The table of exchanges, a line each, and its median."""
    if not timed:
        return ["no exchange has been finished"]
    width = max(len(t.query) for t in timed)
    lines = [f"{'':>4}  {'question':<{width}}  hospitals  trips  seconds"]
    lines += [
        f"{t.number:>4}  {t.query:<{width}}  {t.hospitals:>9}  {t.trips:>5}  {t.seconds:>7.2f}" for t in timed
    ]
    seconds = [t.seconds for t in timed]
    lines.append(
        f"{len(timed)} exchanges, median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s, "
        f"{sum(seconds):.0f} s in all"
    )
    return lines
