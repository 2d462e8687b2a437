"""The hospital's side of secure sums: keys and diary in its own store, masks on its answers.

The roster of fingerprints is the approved one. In the lower profile, where one machine plays all hospitals, the
coordinator's is taken: what protects there is that nothing leaves the machine.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from client.approval import approval_of
from client.identity import Identity
from client.site import Site
from client.store import Store
from common.errors import Code, HospitalError
from common.masking import Asking, Said, Step
from common.query import WITHOUT_SUMS, Query
from common.secure_sum.agreement import Agreement
from common.secure_sum.bounded import bounds_of, to_summed
from common.secure_sum.encoding import pack
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.participant import Participant
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.wide import MASKED
from common.study import Study
from common.wire import Reply

TABLE = """CREATE TABLE IF NOT EXISTS secure_sums (run TEXT NOT NULL, part TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (run, part))"""
CHANGES = "changes"
COUNT_UP = """INSERT INTO secure_sums VALUES (?, ?, 1)
    ON CONFLICT (run, part) DO UPDATE SET content = content + 1"""
MOST_REMEMBERED = 64
MOST_RUNS = 500
"""Sets of keys that are made in a store: a coordinator needs one for 256 questions, and one for each resumption."""


class _Diary:
    """Where a participant keeps its state: the store that is open now; `version` is what it knows of the store."""

    def __init__(self, run: str, store: Store, version: int) -> None:
        self.run, self.store, self.version = run, store, version

    def __call__(self, part: str, content: bytes, /) -> None:
        with self.store.transaction() as execute:
            execute("INSERT OR REPLACE INTO secure_sums VALUES (?, ?, ?)", self.run, part, content)
            execute(COUNT_UP, self.run, CHANGES)
        self.version = _version(self.store, self.run)


def _version(store: Store, run: str) -> int:
    """How often the run's state has changed, whichever process changed it."""
    found = store.first("SELECT content FROM secure_sums WHERE run = ? AND part = ?", run, CHANGES)
    return 0 if found is None else int(found[0])


_PARTICIPANTS: OrderedDict[tuple[str, str, bytes], tuple[Participant, _Diary]] = OrderedDict()
"""Keys of a run are worked out once a process, and again where another process has gone on with the run."""


@dataclass(frozen=True)
class SecureSums:
    """One hospital's part in the secure sums of a study."""

    site: Site
    store: Store
    identity: Identity
    study: Study

    def step(self, asking: Asking) -> bytes:
        """The reply to a step that is no question."""
        participant = self._participant(asking.agreement)
        try:
            if asking.step is Step.ANNOUNCE:
                return participant.announce()
            if asking.step is Step.DEAL:
                return participant.deal(asking.parts)
            if asking.survivors != asking.agreement.hospitals:
                # A total over fewer is another roster's: with the next one, a hospital's own sums could be derived.
                raise SecureSumRefused("this hospital reveals totals over the whole roster alone")
            scales = _scales(asking.scales)
            return participant.reveal(asking.round_number, asking.question, scales, asking.survivors)
        except SecureSumRefused as refused:
            raise HospitalError(Code.SECURE_SUM, str(refused)) from None

    def masked(self, query: Query, asking: Asking, sums: Mapping[str, np.ndarray], clear: bytes) -> Reply:
        """The reply to a question: its sums under masks, and their shapes.

        Parameters
        ----------
        clear
            The packed answer without its sums.
        """
        participant = self._participant(asking.agreement)
        if asking.agreement.hospitals != tuple(sorted(query.roster)):
            raise HospitalError(Code.SECURE_SUM, "the question's roster is not the one that the keys are for")
        try:
            if asking.parts:
                participant.receive(asking.parts)
            summed, scales, groupings = to_summed(
                sums, bounds_of(query), self.store.secret("digits"), query.question
            )
            masked = participant.mask(asking.round_number, query.question, summed, scales, groupings)
        except SecureSumRefused as refused:
            raise HospitalError(Code.SECURE_SUM, str(refused)) from None
        return Reply(clear, Said.MASKED, pack(MASKED, scales.packed, masked))

    def _participant(self, agreement: Agreement) -> Participant:
        self._check(agreement)
        self.store.run(TABLE)
        key = (str(self.store.path.resolve()), agreement.run, agreement.digest)
        known = _PARTICIPANTS.get(key)
        if known is None or known[1].version != _version(self.store, agreement.run):
            known = _PARTICIPANTS[key] = self._from_store(agreement)
            while len(_PARTICIPANTS) > MOST_REMEMBERED:
                _PARTICIPANTS.popitem(last=False)
        known[1].store = self.store
        return known[0]

    def _from_store(self, agreement: Agreement) -> "tuple[Participant, _Diary]":
        self._refuse_one_run_too_many(agreement.run)
        diary = _Diary(agreement.run, self.store, _version(self.store, agreement.run))
        rows = self.store.all(
            "SELECT part, content FROM secure_sums WHERE run = ? AND part != ?", agreement.run, CHANGES
        )
        kept = {str(part): bytes(content) for part, content in rows}
        try:
            return Participant(self.site.name, self.identity.private_key, agreement, diary, kept), diary
        except SecureSumRefused as refused:
            raise HospitalError(Code.SECURE_SUM, str(refused)) from None

    def _refuse_one_run_too_many(self, run: str) -> None:
        found = self.store.first("SELECT count(DISTINCT run) FROM secure_sums WHERE run != ?", run)
        if found is not None and found[0] >= MOST_RUNS:
            raise HospitalError(
                Code.SECURE_SUM,
                f"{found[0]} sets of keys were made here already, no study needs so many: ask the coordinator what "
                "happened before more are made",
            )

    def _check(self, agreement: Agreement) -> None:
        """HospitalError unless this is the approved study and the approved hospitals with their approved keys."""
        if agreement.study != self.study.hash:
            raise HospitalError(Code.SECURE_SUM, "the keys are for another study than the one that is asked about")
        if self.site.lower_profile:
            return
        approved = approval_of(self.store, self.study).roster
        for name, fingerprint in agreement.fingerprints.items():
            if approved.get(name) != fingerprint:
                raise HospitalError(
                    Code.OTHER_ROSTER,
                    f"the coordinator names a key for {name} that was not approved ({fingerprint}); approved was "
                    f"{approved.get(name, 'no such hospital')}. Nothing is masked for a key that nobody compared",
                )


def check_may_be_unmasked(site: Site, study: Study, query: str) -> None:
    """Refuse sums without masks, unless the study says so and the hospital's own policy allows it.

    In the lower profile a question may come without masks: nothing leaves the machine.
    """
    if query in WITHOUT_SUMS or site.lower_profile:
        return
    if study.privacy.secure_sum or not site.unmasked_sums:
        raise HospitalError(
            Code.NOT_MASKED,
            f"query {query!r} came without masks: only a study with privacy.secure_sum: false may ask so, and only "
            "where site.yaml allows it (policy: unmasked_sums: true)",
        )


def _scales(packed: bytes) -> Exponents:
    try:
        return Exponents.from_bytes(packed)
    except ValueError as error:
        raise SecureSumRefused(f"the scales cannot be read: {error}") from None
