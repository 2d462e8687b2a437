"""The coordinator's side of secure sums: set-up, masked answers, and the total that opens."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common import wire
from common.counting import COUNTING
from common.errors import Code, HospitalLost, StudyStopped
from common.masking import Asking, Said, Step
from common.query import Answer, Arrays, Query, Total
from common.secure_sum.agreement import Agreement
from common.secure_sum.bounded import bounds_of, from_summed
from common.secure_sum.encoding import unpack
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.opened import Opened
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.set_up import SetUp
from common.secure_sum.total import RoundTotal
from common.secure_sum.wide import MASKED
from common.wire import Reply
from server.checkpoint import Exchange
from server.hospitals import Hospitals, raise_if_lost

ROUNDS = 256
"""Sums that one set-up has keys for; the next set-up follows by itself."""
LONGEST_SHAPES = 2**20


@dataclass
class SecureSums:
    """Masked exchanges with one roster: a question and its masked answers, then the unmasking."""

    hospitals: Hospitals
    study: str
    roster: tuple[str, ...]
    _set_up: SetUp | None = None
    _round: int = 0
    _handed: set[str] = field(default_factory=set)

    def exchange(
        self, query: Query, views: Mapping[str, bytes], *, with_room: bool, counts: Sequence[bytes] = ()
    ) -> Exchange | dict[str, Answer]:
        """The total of the roster's answers; the answers themselves where a hospital refused or lacks a view."""
        set_up, number = self._next_round()
        replies = self._ask(query, views, set_up, number, with_room, counts)
        answers = {name: wire.answer_from_bytes(reply.packed) for name, reply in replies.items()}
        if any(answer.disclosed.code is not None for answer in answers.values()):
            return answers
        self._handed |= set(replies)
        try:
            sums, opened = self._total(query, set_up, number, replies)
        except SecureSumRefused as refused:
            raise _as_lost(refused, query.name) from None
        disclosed = {name: answers[name].disclosed for name in self.roster}
        sizes = {name: replies[name].size for name in self.roster}
        return Exchange(Total(sums, disclosed), sizes, opened)

    def _ask(
        self,
        query: Query,
        views: Mapping[str, bytes],
        set_up: SetUp,
        number: int,
        with_room: bool,
        counts: Sequence[bytes],
    ) -> dict[str, Reply]:
        askings = {
            name: Asking(
                set_up.agreement,
                round_number=number,
                parts={} if name in self._handed else set_up.parcels_for(name),
            )
            for name in self.roster
        }
        return self.hospitals.ask_roster(query, views, with_room=with_room, askings=askings, counts=counts)

    def _total(
        self, query: Query, set_up: SetUp, number: int, replies: Mapping[str, Reply]
    ) -> tuple[Arrays, bytes]:
        """The opened total of masked answers, and what a hospital needs to open it, too."""
        masked = {name: _read(name, reply) for name, reply in replies.items()}
        shapes = {name: scales for name, (scales, _) in masked.items()}
        first = min(shapes)
        for name in sorted(shapes):
            if shapes[name] != shapes[first]:
                raise SecureSumRefused(f"{name}: its arrays are not those of {first} in name or shape", name)
        scales = shapes[first]
        total = RoundTotal(set_up, number, query.question, Exponents.from_bytes(scales))
        for name, (_, packed) in masked.items():
            total.add(name, packed)
        asking = Asking(
            set_up.agreement, Step.REVEAL, number, query.question, scales, survivors=set_up.agreement.hospitals
        )
        revealed = self.hospitals.take_step(dict.fromkeys(self.roster, asking), "unmasking")
        reveals: dict[str, bytes] = {}
        for name, reply in revealed.items():
            if wire.answer_from_bytes(reply.packed).disclosed.code is None:
                reveals[name] = reply.content
        if len(reveals) < set_up.agreement.threshold:
            raise_if_lost(
                {name: wire.answer_from_bytes(reply.packed) for name, reply in revealed.items()}, query.name
            )
        summed = from_summed(total.open(reveals), bounds_of(query))
        agreed, names = set_up.agreement, sorted(masked)
        opened = Opened(
            agreed.run,
            agreed.rounds,
            number,
            query.question,
            scales,
            tuple(masked[name][1] for name in names),
            tuple(total.secrets[name] for name in names),
        )
        return summed, opened.to_bytes() if query.name in COUNTING else b""

    def _next_round(self) -> tuple[SetUp, int]:
        if self._set_up is None or self._round == ROUNDS:
            self._set_up, self._round = self._begin(), 0
            self._handed.clear()
        self._round += 1
        return self._set_up, self._round

    def _begin(self) -> SetUp:
        """Keys of the whole roster for the next rounds, under a name that was never used."""
        fingerprints = {name: self.hospitals.fingerprint_of(name) for name in self.roster}
        try:
            agreement = Agreement(self.study, f"run-{secrets.token_hex(16)}", fingerprints, ROUNDS)
            keys = self._step(Asking(agreement, Step.ANNOUNCE), "keys")
            deals = self._step(Asking(agreement, Step.DEAL, parts=keys), "shares")
            return SetUp.from_messages(agreement, keys, deals)
        except SecureSumRefused as refused:
            raise _as_lost(refused, "set-up of secure sums") from None

    def _step(self, asking: Asking, name: str) -> dict[str, bytes]:
        replies = self.hospitals.take_step(dict.fromkeys(self.roster, asking), name)
        raise_if_lost({h: wire.answer_from_bytes(reply.packed) for h, reply in replies.items()}, name)
        return {hospital: reply.content for hospital, reply in replies.items()}


def _read(hospital: str, reply: Reply) -> tuple[bytes, bytes]:
    """Shapes and masked digits of one hospital."""
    if reply.said is not Said.MASKED:
        raise SecureSumRefused(f"{hospital}: it answered without masks", hospital)
    try:
        scales, masked = unpack(reply.content, MASKED, LONGEST_SHAPES, len(reply.content))
        Exponents.from_bytes(scales)
    except ValueError as error:
        raise SecureSumRefused(f"{hospital}: its masked answer cannot be read: {error}", hospital) from None
    return scales, masked


def _as_lost(refused: SecureSumRefused, query: str) -> HospitalLost | StudyStopped:
    """A hospital whose message was refused is lost; where it was nobody's, the study stops."""
    if refused.hospital is None:
        return StudyStopped(str(refused))
    return HospitalLost(refused.hospital, Code.SECURE_SUM, query, str(refused))
