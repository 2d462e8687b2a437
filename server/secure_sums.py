"""The coordinator's side of secure sums: set-up, scales, masked answers, and the total that opens."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from common import wire
from common.errors import Code, HospitalLost, StudyStopped
from common.masking import Asking, Said, Step
from common.query import Answer, Arrays, Query, Total
from common.secure_sum.agreement import Agreement
from common.secure_sum.fixed_point import Exponents, choose_scales
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.set_up import SetUp
from common.secure_sum.total import RoundTotal
from common.wire import Reply
from server.checkpoint import Exchange
from server.hospitals import Hospitals, raise_if_lost

ROUNDS = 256
"""Sums that one set-up has keys for; the next set-up follows by itself."""
ATTEMPTS = 4
"""Magnitudes, a total on their scales, and room for one that was too coarse."""


@dataclass
class SecureSums:
    """Masked exchanges with one roster.

    Scales are those of the last question of the same name, so that most questions take one trip and the unmasking.
    They are kept with the total: a run that is resumed goes on with the scales it would have had, to the same bits.
    """

    hospitals: Hospitals
    study: str
    roster: tuple[str, ...]
    _set_up: SetUp | None = None
    _round: int = 0
    _handed: set[str] = field(default_factory=set)
    _scales: dict[str, bytes] = field(default_factory=dict)

    def remember(self, query: str, scales: bytes) -> None:
        """The scales of a total that was read from the checkpoint."""
        if scales:
            self._scales[query] = scales

    def exchange(
        self, query: Query, views: Mapping[str, bytes], *, with_room: bool
    ) -> Exchange | dict[str, Answer]:
        """The total of the roster's answers; the answers themselves where a hospital refused or lacks a view."""
        scales = self._scales.get(query.name, b"")
        for _ in range(ATTEMPTS):
            set_up, number = self._next_round()
            replies = self._ask(query, views, set_up, number, scales, with_room)
            answers = {name: wire.answer_from_bytes(reply.packed) for name, reply in replies.items()}
            if any(answer.disclosed.code is not None for answer in answers.values()):
                return answers
            self._handed |= set(replies)
            try:
                found = self._total(query, set_up, number, scales, replies)
            except SecureSumRefused as refused:
                if refused.hospital is None:
                    raise StudyStopped(str(refused)) from None
                raise HospitalLost(refused.hospital, Code.SECURE_SUM, query.name) from None
            if isinstance(found, dict):
                self._scales[query.name] = scales
                disclosed = {name: answers[name].disclosed for name in self.roster}
                bytes_up = {name: replies[name].size for name in self.roster}
                return Exchange(Total(found, disclosed), bytes_up, scales)
            scales = found
        raise StudyStopped(f"query {query.name}: no scales fit the hospitals' sums; versions of hepafed differ")

    def _ask(
        self, query: Query, views: Mapping[str, bytes], set_up: SetUp, number: int, scales: bytes, with_room: bool
    ) -> dict[str, Reply]:
        askings = {
            name: Asking(
                set_up.agreement,
                round_number=number,
                scales=scales,
                parts={} if name in self._handed else set_up.parcels_for(name),
            )
            for name in self.roster
        }
        return self.hospitals.ask_roster(query, views, with_room=with_room, askings=askings)

    def _total(
        self,
        query: Query,
        set_up: SetUp,
        number: int,
        scales: bytes,
        replies: Mapping[str, Reply],
    ) -> Arrays | bytes:
        """The opened total, or better scales to ask again with."""
        said: dict[str, Exponents] = {}
        total = RoundTotal(set_up, number, query.question, Exponents.from_bytes(scales)) if scales else None
        for name, reply in replies.items():
            if reply.said is Said.MASKED and total is not None:
                total.add(name, reply.content)
            elif reply.said is Said.MAGNITUDES:
                said[name] = _read(name, reply.content)
            else:
                raise SecureSumRefused(f"{name}: it answered without masks", name)
        if said or total is None:
            return choose_scales(said | (total.said if total is not None else {})).packed
        if (better := total.better_scales()) is not None:
            return better.packed
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
        return total.open(reveals)

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
            if refused.hospital is None:
                raise StudyStopped(str(refused)) from None
            raise HospitalLost(refused.hospital, Code.SECURE_SUM, "set-up of secure sums") from None

    def _step(self, asking: Asking, name: str) -> dict[str, bytes]:
        replies = self.hospitals.take_step(dict.fromkeys(self.roster, asking), name)
        raise_if_lost({h: wire.answer_from_bytes(reply.packed) for h, reply in replies.items()}, name)
        return {hospital: reply.content for hospital, reply in replies.items()}


def _read(hospital: str, packed: bytes) -> Exponents:
    try:
        return Exponents.from_bytes(packed)
    except ValueError as error:
        raise SecureSumRefused(f"{hospital}: its magnitudes cannot be read: {error}", hospital) from None
