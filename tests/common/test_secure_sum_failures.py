"""Damage, crashes and broken hospitals: a named error, and never a wrong total."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.secure_sum.dealing import Deal, commit_to_share
from common.secure_sum.encoding import pack, unpack
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.keys import RunKeys
from common.secure_sum.messages import Masked, Reveals
from common.secure_sum.participant import Participant
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.set_up import SetUp
from common.secure_sum.terms import Terms
from tests.common.secure_sum_run import (
    Run,
    added,
    agreement_of,
    exact_total,
    identity_of,
    names,
    same,
    scales_for,
    whole_numbers,
)

FOUR = names(4)
BROKEN = FOUR[2]
OTHERS = tuple(h for h in FOUR if h != BROKEN)
ANSWERS = whole_numbers(FOUR)
SCALES = scales_for(ANSWERS)
RUN = Run(agreement_of(FOUR))
KEYS = {hospital: p.announce() for hospital, p in RUN.participants.items()}
DEALS = {hospital: p.deal(KEYS) for hospital, p in RUN.participants.items()}
SET_UP = RUN.set_up()
MASKED = RUN.mask(ANSWERS, SCALES)
REVEALS = RUN.reveal(FOUR, SCALES)
TERMS = Terms(RUN.agreement, 1, "question", SCALES)
EXACT = exact_total(ANSWERS, FOUR)


def acknowledging() -> tuple[Run, dict[str, bytes]]:
    run = Run(agreement_of(FOUR))
    run.set_up()
    run.mask({h: ANSWERS[h] for h in FOUR[1:]}, SCALES)
    survivors = FOUR[1:]
    return run, {h: run.participants[h].acknowledge(1, "question", SCALES, survivors) for h in survivors}


LOSS, ACKNOWLEDGED = acknowledging()

Reading = Callable[[bytes], object]
READINGS: dict[str, tuple[bytes, Reading]] = {
    "keys": (KEYS[BROKEN], lambda b: SetUp.from_messages(RUN.agreement, KEYS | {BROKEN: b}, DEALS)),
    "deal": (DEALS[BROKEN], lambda b: SetUp.from_messages(RUN.agreement, KEYS, DEALS | {BROKEN: b})),
    "parcel": (
        SET_UP.parcels_for(FOUR[0])[BROKEN],
        lambda b: RUN.participants[FOUR[0]].receive(SET_UP.parcels_for(FOUR[0]) | {BROKEN: b}),
    ),
    "masked": (MASKED[BROKEN], lambda b: added(SET_UP, MASKED | {BROKEN: b}, SCALES)),
    "reveals": (REVEALS[BROKEN], lambda b: added(SET_UP, MASKED, SCALES).open(REVEALS | {BROKEN: b})),
    "acknowledgement": (
        ACKNOWLEDGED[BROKEN],
        lambda b: LOSS.participants[FOUR[1]].reveal(1, "question", SCALES, FOUR[1:], ACKNOWLEDGED | {BROKEN: b}),
    ),
}
each_message = pytest.mark.parametrize("kind", list(READINGS))


@each_message
def test_messages_that_are_whole_are_accepted(kind: str) -> None:
    packed, read = READINGS[kind]
    read(packed)


@each_message
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_garbage_is_refused_in_the_name_of_the_hospital_that_sent_it(kind: str, data: st.DataObject) -> None:
    packed, read = READINGS[kind]
    cut = st.integers(0, len(packed) - 1).map(lambda end: packed[:end])
    garbage = data.draw(st.binary(max_size=300) | cut | st.just(packed + b"\0"))
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: ") as refused:
        read(garbage)
    assert refused.value.hospital == BROKEN


@each_message
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_byte_is_refused_in_the_name_of_its_hospital(kind: str, data: st.DataObject) -> None:
    packed, read = READINGS[kind]
    damaged = bytearray(packed)
    damaged[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    if kind == "deal":  # its parcels are sealed: the coordinator hands them on, the receivers see
        read = receive_all
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: ") as refused:
        read(bytes(damaged))
    assert refused.value.hospital == BROKEN


def receive_all(damaged: bytes) -> None:
    """A deal goes its whole way: to the coordinator, to every receiver, and back when its secrets are opened."""
    set_up = SetUp.from_messages(RUN.agreement, KEYS, DEALS | {BROKEN: damaged})
    for hospital in FOUR:
        RUN.participants[hospital].receive(set_up.parcels_for(hospital))
    for number in (1, 2):
        terms = replace(TERMS, round_number=number, question=f"question {number}")
        run = Run(agreement_of(FOUR), {h: dict(kept) for h, kept in FRESH.items()})
        masked = run.mask(ANSWERS, SCALES, number, terms.question)
        total = added(set_up, masked, SCALES, number, terms.question)
        assert same(total.open(run.reveal(FOUR, SCALES, number, terms.question)), EXACT)


FRESH = {h: {part: kept[part] for part in ("secret", "keys", "shares")} for h, kept in RUN.kept.items()}


def test_a_lie_about_a_length_reserves_no_memory() -> None:
    head = (6).to_bytes(8, "little") + b"masked" + (2**60).to_bytes(8, "little")
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: .* a field of {2**60} bytes, at most 32"):
        added(SET_UP, {BROKEN: head}, SCALES)


def test_after_a_refusal_the_others_total_is_exact() -> None:
    run, set_up = Run(agreement_of(FOUR)), SET_UP
    run.set_up()
    masked = run.mask({h: ANSWERS[h] for h in OTHERS}, SCALES)
    total = added(set_up, {h: masked[h] for h in OTHERS[:2]}, SCALES)
    with pytest.raises(SecureSumRefused):
        total.add(BROKEN, MASKED[BROKEN][:-9] + b"\0" * 9)
    total.add(OTHERS[2], masked[OTHERS[2]])
    assert same(total.open(run.reveal(OTHERS, SCALES)), exact_total(ANSWERS, OTHERS))


def test_a_wrong_share_names_who_revealed_it_and_the_others_can_do_without() -> None:
    total = added(SET_UP, MASKED, SCALES)
    shares = list(Reveals.from_bytes(REVEALS[BROKEN], TERMS, FOUR).shares)
    shares[1] = bytes(33)
    wrong = Reveals(tuple(shares)).to_bytes(TERMS, FOUR)
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: the share it revealed is not the one {FOUR[1]} dealt"):
        total.open(REVEALS | {BROKEN: wrong})
    assert same(total.open({h: REVEALS[h] for h in OTHERS}), EXACT)


@pytest.mark.parametrize("stranger", ["hospital-x", FOUR[0]])
def test_who_has_not_answered_in_a_round_reveals_nothing_in_it(stranger: str) -> None:
    total = added(SET_UP, {h: MASKED[h] for h in FOUR[1:]}, SCALES)
    with pytest.raises(SecureSumRefused, match=f"^{stranger}: it has not answered in this round"):
        total.open({stranger: REVEALS[FOUR[0]]})


def test_magnitudes_of_other_arrays_are_refused_in_the_name_of_their_hospital() -> None:
    masked = Masked.from_bytes(MASKED[BROKEN], TERMS)
    other = Exponents({"m" if name == "n" else name: array for name, array in masked.magnitudes.arrays.items()})
    wrong = replace(masked, magnitudes=other)
    signed = replace(wrong, signature=identity_of(BROKEN).sign(wrong.signed(TERMS, BROKEN)))
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: .* other arrays than were asked for"):
        added(SET_UP, {BROKEN: signed.to_bytes(TERMS)}, SCALES)


def test_a_hospital_that_deals_shares_of_no_secret_is_named_when_they_are_opened() -> None:
    """Commitments and shares agree, so that every receiver is content; no polynomial goes through them."""
    deal = Deal.from_bytes(DEALS[BROKEN], RUN.agreement)
    receiver, bad = FOUR[0], bytes([7]) * 32 + b"\0"
    commitment = commit_to_share(RUN.agreement, BROKEN, receiver, 1, "self seed", bad)
    parcel = deal.parcels[receiver]
    crooked = replace(parcel, commitments=parcel.commitments[:16] + commitment + parcel.commitments[32:])
    dealt = replace(deal, parcels=dict(deal.parcels) | {receiver: crooked}).to_bytes(RUN.agreement)
    set_up = SetUp.from_messages(RUN.agreement, KEYS, DEALS | {BROKEN: dealt})
    shares = list(Reveals.from_bytes(REVEALS[receiver], TERMS, FOUR).shares)
    shares[FOUR.index(BROKEN)] = bad
    reveals = REVEALS | {receiver: Reveals(tuple(shares)).to_bytes(TERMS, FOUR)}
    with pytest.raises(SecureSumRefused, match=f"^{BROKEN}: it dealt shares that restore no secret") as refused:
        added(set_up, MASKED, SCALES).open(reveals)
    assert refused.value.hospital == BROKEN


@given(st.integers(0, 12), st.integers(1, 2**64 - 1))
@settings(max_examples=30, deadline=None)
def test_an_answer_that_its_hospital_masked_wrongly_and_signed_gives_no_total(place: int, change: int) -> None:
    masked = Masked.from_bytes(MASKED[BROKEN], TERMS)
    vector = masked.vector.copy()
    vector[place : place + 1] += np.uint64(change)
    wrong = replace(masked, vector=vector)
    signed = replace(wrong, signature=identity_of(BROKEN).sign(wrong.signed(TERMS, BROKEN)))
    total = added(SET_UP, MASKED | {BROKEN: signed.to_bytes(TERMS)}, SCALES)
    with pytest.raises(SecureSumRefused, match="do not cancel"):
        total.open(REVEALS)


# Crashes


def test_a_hospital_that_is_restarted_before_every_step_sends_the_same_bytes() -> None:
    steady, shaky = Run(agreement_of(FOUR)), Run(agreement_of(FOUR))
    survivors = FOUR[1:]

    def conversation(run: Run, restart: bool) -> list[bytes]:
        def hospital() -> Participant:
            return run.restart(BROKEN) if restart else run.participants[BROKEN]

        sent = [hospital().announce(), hospital().deal(KEYS), hospital().deal(KEYS)]
        hospital().receive(SET_UP.parcels_for(BROKEN))
        hospital().receive(SET_UP.parcels_for(BROKEN))
        for _ in range(2):
            sent.append(hospital().mask(1, "question", ANSWERS[BROKEN], SCALES))
        for _ in range(2):
            sent.append(hospital().acknowledge(1, "question", SCALES, survivors))
        for _ in range(2):
            sent.append(hospital().reveal(1, "question", SCALES, survivors, ACKNOWLEDGED))
        return sent

    sent = conversation(steady, restart=False)
    assert conversation(shaky, restart=True) == sent
    assert sent[3] == sent[4] == MASKED[BROKEN]
    assert steady.kept == shaky.kept


class DiskFull(Exception):
    """What a store raises that cannot write."""


@pytest.mark.parametrize("failing", ["secret", "keys", "shares", "round 1"])
def test_nothing_is_sent_that_could_not_be_kept(failing: str) -> None:
    kept: dict[str, bytes] = {}
    sent: list[str] = []

    def keep(part: str, content: bytes, /) -> None:
        if part == failing:
            raise DiskFull
        kept[part] = content

    def conversation() -> None:
        run_secret = {} if failing == "secret" else {"secret": RUN.kept[BROKEN]["secret"]}
        hospital = Participant(BROKEN, identity_of(BROKEN), RUN.agreement, keep, run_secret)
        hospital.announce()
        sent.append("secret")
        hospital.deal(KEYS)
        sent.append("keys")
        hospital.receive(SET_UP.parcels_for(BROKEN))
        sent.append("shares")
        hospital.mask(1, "question", ANSWERS[BROKEN], SCALES)
        sent.append("round 1")

    with pytest.raises(DiskFull):
        conversation()
    assert failing not in sent
    assert failing not in kept


def test_other_parcels_than_the_first_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(agreement_of(FOUR))
    run.set_up()
    with monkeypatch.context() as patched:  # the dealer draws other polynomials, under the same keys
        patched.setattr(RunKeys, "polynomial_key", lambda *_: bytes(32))
        other = Deal.from_bytes(run.participants[FOUR[0]].deal(KEYS), run.agreement).parcels[BROKEN].to_bytes()
    with pytest.raises(SecureSumRefused, match="other parcels than were received before"):
        run.restart(BROKEN).receive(SET_UP.parcels_for(BROKEN) | {FOUR[0]: other})


def test_steps_out_of_order_are_refused_in_words() -> None:
    run = Run(agreement_of(FOUR))
    with pytest.raises(SecureSumRefused, match="hand over their parcels first"):
        run.participants[BROKEN].mask(1, "question", ANSWERS[BROKEN], SCALES)
    with pytest.raises(SecureSumRefused, match="parcels before keys"):
        run.participants[BROKEN].receive(SET_UP.parcels_for(BROKEN))
    run.participants[BROKEN].deal(KEYS)
    parcels = {h: parcel for h, parcel in SET_UP.parcels_for(BROKEN).items() if h != FOUR[0]}
    with pytest.raises(SecureSumRefused, match=r"no parcel from \['hospital-000'\]"):
        run.participants[BROKEN].receive(parcels)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_fields_come_back_as_they_were_packed(fields: list[bytes]) -> None:
    packed = pack("kind", *fields)
    assert unpack(packed, "kind", *(20 for _ in fields)) == tuple(fields)
    with pytest.raises(ValueError, match="expected a message of the kind"):
        unpack(packed, "dink", *(20 for _ in fields))
