"""`Federation.ask`: one question to every hospital of the roster, and the total of their answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from common import wire
from common.counting import COUNTED_BY, COUNTING
from common.errors import Code, StudyStopped
from common.query import WITHOUT_SUMS, Answer, DisclosureClass, Query, RowSet, Total, View, add
from common.splits import splits_of
from common.study import Study
from server.checkpoint import Checkpoint, Exchange
from server.hospitals import Hospitals, raise_if_lost
from server.progress import Progress
from server.secure_sums import SecureSums

LOST_THERE = (Code.UNKNOWN_VIEW, Code.NUMBERS_NOT_SIGNED)
"""What a hospital says that lacks a view, the room or the counts."""


@dataclass(frozen=True)
class Asked:
    """A line of the record of what left the hospitals."""

    query: str
    disclosure: DisclosureClass
    splits: int
    arrays: dict[str, list[int]]
    bytes_up: dict[str, int]
    bytes_down: int


class Federation(Protocol):
    """All that a method knows of the hospitals."""

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits of the study, in the order in which arrays hold them."""

    def keep(self, view: View) -> str:
        """Make a view known, to be named by its hash in later questions."""

    def ask(
        self,
        name: str,
        *,
        view: str | None = None,
        splits: Iterable[str] = (),
        rows: RowSet = "training",
        parameters: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        also: Iterable[str] = (),
    ) -> Total:
        """Ask every hospital of the roster; HospitalLost if one refuses, fails or stays silent.

        `also` names the views that the parameters name besides `view`, so that they travel along.
        """


class FlowerFederation:
    """The hospitals of one roster, asked over a Flower grid, with every total kept in the checkpoint."""

    def __init__(
        self, hospitals: Hospitals, study: Study, roster: Iterable[str], checkpoint: Checkpoint, progress: Progress
    ) -> None:
        self.roster = tuple(sorted(roster))
        self.record: list[Asked] = []
        self._hospitals = hospitals
        self._study = study
        self._checkpoint = checkpoint
        self._progress = progress
        self._views: dict[str, View] = {}
        self._sent: set[str] = set()
        self._begun = False
        self._sums = SecureSums(hospitals, study.hash, self.roster)
        self._counted: set[str] = set()
        self._opened: dict[tuple[str, str | None], dict[str, bytes]] = {}

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits of the study."""
        return splits_of(self._study, self.roster)

    def keep(self, view: View) -> str:
        """Make a view known; it travels with the next question that needs it."""
        self._views[view.hash] = view
        return view.hash

    def ask(
        self,
        name: str,
        *,
        view: str | None = None,
        splits: Iterable[str] = (),
        rows: RowSet = "training",
        parameters: Mapping[str, Any] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        also: Iterable[str] = (),
    ) -> Total:
        """Ask every hospital of the roster, unless the checkpoint has the total already."""
        query = Query(
            name=name,
            study=self._study.hash,
            roster=self.roster,
            splits=tuple(splits),
            rows=rows,
            view=view,
            parameters=parameters or {},
            arrays=arrays or {},
        )
        chain = self._chain(view, *also)
        exchange = self._checkpoint.find(query.question, self.roster)
        if exchange is not None and name in COUNTING and not exchange.opened:
            exchange = None  # kept before counts were handed round: the hospitals send the same answers again
        replayed = exchange is not None
        if exchange is None:
            exchange = self._exchange(query, chain)
            self._checkpoint.keep(query.question, self.roster, exchange)
        if exchange.opened:
            self._opened.setdefault((name, view), {})[query.question] = exchange.opened
        self._progress.exchanged(replayed, largest=max(exchange.bytes_up.values(), default=0))
        self._write_down(query, exchange, chain)
        return exchange.total

    def _exchange(self, query: Query, chain: list[str]) -> Exchange:
        """One exchange with the roster; what a hospital has lost is sent again."""
        counts: dict[str, bytes] = {}
        for counting in COUNTED_BY.get(query.name, ()):
            counts |= self._opened.get((counting, query.view), {})
        new = [counts[question] for question in counts if question not in self._sent]
        found = self._asked(query, [h for h in chain if h not in self._sent], new, with_room=not self._begun)
        if not isinstance(found, Exchange) and any(a.disclosed.code in LOST_THERE for a in found.values()):
            found = self._asked(query, chain, list(counts.values()), with_room=True)
        if not isinstance(found, Exchange):
            raise_if_lost(found, query.name)
            raise StudyStopped(f"query {query.name}: the hospitals' answers cannot be added up")
        self._sent |= {*chain, *counts}
        self._begun = True
        return found

    def _asked(
        self, query: Query, views: list[str], counts: list[bytes], *, with_room: bool
    ) -> Exchange | dict[str, Answer]:
        """The total, or the answers where a hospital refused, was silent or lacks a view."""
        packed = {h: self._views[h].to_bytes() for h in views}
        if (self._study.privacy.secure_sum and query.name not in WITHOUT_SUMS) or query.name in COUNTING:
            return self._sums.exchange(query, packed, with_room=with_room, counts=counts)
        replies = self._hospitals.ask_roster(query, packed, with_room=with_room, counts=counts)
        answers = {name: wire.answer_from_bytes(reply.packed, keep_single=True) for name, reply in replies.items()}
        if any(answer.disclosed.code is not None for answer in answers.values()):
            return answers
        return Exchange(total=add(answers), bytes_up={name: reply.size for name, reply in replies.items()})

    def chain(self, view: str) -> list[View]:
        """A view and all that it builds on, the root last."""
        return [self._views[h] for h in self._chain(view)]

    def _chain(self, *views: str | None) -> list[str]:
        """Views and all that they build on, each once."""
        chain: dict[str, None] = {}
        for view in views:
            while view is not None and view not in chain:
                chain[view] = None
                view = self._views[view].parent
        return list(chain)

    def _write_down(self, query: Query, exchange: Exchange, chain: list[str]) -> None:
        """Note what left; a view counts where it is first needed, however often it really travelled."""
        new = [h for h in chain if h not in self._counted]
        self._counted |= set(new)
        down = len(query.head()) + len(query.packed) + sum(len(self._views[h].to_bytes()) for h in new)
        self.record.append(
            Asked(
                query=query.name,
                disclosure=query.disclosure,
                splits=len(query.splits),
                arrays={key: list(value.shape) for key, value in sorted(exchange.total.sums.items())},
                bytes_up=exchange.bytes_up,
                bytes_down=down,
            )
        )
