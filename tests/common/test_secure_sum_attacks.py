"""A coordinator that lies, and hospitals that are none: what each of them tries, and what it gets."""

from collections import defaultdict
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from common.secure_sum.agreement import Agreement, fingerprint_of
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.keys import Keys, RunKeys, public_key
from common.secure_sum.messages import Acknowledgement, Masked
from common.secure_sum.participant import Participant
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.terms import Terms
from tests.common.secure_sum_run import (
    Hospitals,
    Run,
    added,
    agreement_of,
    exact_total,
    identity_of,
    keep_nothing,
    names,
    same,
    scales_for,
    started,
)
from tests.common.secure_sum_victim import ANSWERS, FOUR, SCALES, VICTIM, WITHOUT_VICTIM, masked_round

# Who is in the room


def announced() -> tuple[Run, dict[str, bytes]]:
    run = Run(agreement_of(FOUR))
    return run, {hospital: p.announce() for hospital, p in run.participants.items()}


@pytest.mark.parametrize("part", ["sealing", "masking"])
def test_a_public_key_swapped_on_the_way_is_refused(part: str) -> None:
    run, keys = announced()
    own = public_key(b"the coordinator's secret 32 byte")
    true = Keys.from_bytes(keys[VICTIM], run.agreement)
    swapped = replace(true, sealing=own) if part == "sealing" else replace(true, masking=(own, *true.masking[1:]))
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: its keys do not carry its signature") as refused:
        run.participants[FOUR[1]].deal(keys | {VICTIM: swapped.to_bytes()})
    assert refused.value.hospital == VICTIM


def test_a_hospital_that_a_certificate_authority_made_up_is_refused() -> None:
    run, keys = announced()
    minted = Ed25519PrivateKey.generate()
    forged = RunKeys(b"f" * 32, run.agreement).announce(VICTIM, minted).to_bytes()
    with pytest.raises(SecureSumRefused, match=r"somebody else speaks for it\. Compare fingerprints"):
        run.participants[FOUR[1]].deal(keys | {VICTIM: forged})
    invented = RunKeys(b"f" * 32, run.agreement).announce("hospital-x", minted).to_bytes()
    with pytest.raises(SecureSumRefused, match=r"not in the roster \['hospital-x'\]"):
        run.participants[FOUR[1]].deal(keys | {"hospital-x": invented})
    with pytest.raises(SecureSumRefused, match=r"missing \['hospital-000'\]"):
        run.participants[FOUR[1]].deal({h: keys[h] for h in WITHOUT_VICTIM})
    with pytest.raises(SecureSumRefused, match="the roster has no such hospital, or another key for it"):
        Participant(VICTIM, minted, run.agreement, keep_nothing)


def test_one_hospital_cannot_speak_for_another() -> None:
    run, keys = announced()
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: the keys are of 'hospital-003'"):
        run.participants[FOUR[1]].deal(keys | {VICTIM: keys[FOUR[3]]})


def test_one_hospital_under_two_names_is_no_roster() -> None:
    twice = fingerprint_of(identity_of("a").public_key())
    with pytest.raises(SecureSumRefused, match="two names have one key"):
        Agreement("study", "run", {"a": twice, "b": twice, "c": fingerprint_of(identity_of("c").public_key())}, 1)


@pytest.mark.parametrize("other", ["study", "run", "roster", "rounds"])
def test_keys_announced_under_another_agreement_are_refused(other: str) -> None:
    run, keys = announced()
    elsewhere = {
        "study": agreement_of(FOUR, study="other"),
        "run": agreement_of(FOUR, run="other"),
        "roster": agreement_of((*FOUR, "hospital-004")),
        "rounds": agreement_of(FOUR, rounds=3),
    }[other]
    replayed = Run(elsewhere).participants[VICTIM].announce()
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: "):
        run.participants[FOUR[1]].deal(keys | {VICTIM: replayed})


def test_the_keys_of_one_round_twice_are_refused() -> None:
    run, keys = announced()
    true = Keys.from_bytes(keys[VICTIM], run.agreement)
    lazy = replace(true, masking=(true.masking[0],) * 2)
    signed = replace(lazy, signature=identity_of(VICTIM).sign(lazy.signed(run.agreement)))
    with pytest.raises(SecureSumRefused, match="announces one key twice"):
        run.participants[FOUR[1]].deal(keys | {VICTIM: signed.to_bytes()})


def test_a_public_key_that_makes_no_secret_is_refused() -> None:
    run, keys = announced()
    true = Keys.from_bytes(keys[VICTIM], run.agreement)
    weak = replace(true, sealing=bytes(32))
    signed = replace(weak, signature=identity_of(VICTIM).sign(weak.signed(run.agreement)))
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: a public key that makes no secret"):
        run.participants[FOUR[1]].deal(keys | {VICTIM: signed.to_bytes()})


# One roster, one round, once


def test_a_second_roster_in_a_run_is_refused() -> None:
    run, _ = started(4)
    for other in (agreement_of(names(5)), agreement_of(names(3)), agreement_of(FOUR, study="other")):
        with pytest.raises(SecureSumRefused, match="begun under another study, roster"):
            Participant(VICTIM, identity_of(VICTIM), other, keep_nothing, run.kept[VICTIM])


def test_shares_are_not_dealt_again_to_other_keys_of_the_same_hospitals() -> None:
    run, _ = started(4)
    keys = {hospital: p.announce() for hospital, p in run.participants.items()}
    fresh = Participant(FOUR[1], identity_of(FOUR[1]), run.agreement, keep_nothing)
    with pytest.raises(SecureSumRefused, match="owners of other keys in this run"):
        run.restart(VICTIM).deal(keys | {FOUR[1]: fresh.announce()})


def test_a_hospital_that_has_lost_its_secret_deals_nothing_under_its_old_keys() -> None:
    run, keys = announced()
    forgetful = Participant(VICTIM, identity_of(VICTIM), run.agreement, keep_nothing)
    with pytest.raises(SecureSumRefused, match="are not its keys of this run"):
        forgetful.deal(keys)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_round_is_not_used_for_a_second_question(restarted: bool) -> None:
    run, _, _ = masked_round()
    victim = run.restart(VICTIM) if restarted else run.participants[VICTIM]
    with pytest.raises(SecureSumRefused, match="round 1 was used for another question"):
        victim.mask(1, "another question", ANSWERS[VICTIM], SCALES)


def test_a_question_that_may_have_been_opened_is_not_answered_in_another_round() -> None:
    run, _, _ = masked_round()
    run.reveal(FOUR, SCALES)
    with pytest.raises(SecureSumRefused, match="may be opened, in an earlier round"):
        run.participants[VICTIM].mask(2, "question", ANSWERS[VICTIM], SCALES)


@pytest.mark.parametrize("restarted", [False, True])
def test_two_answers_are_never_masked_alike(restarted: bool) -> None:
    run, _, masked = masked_round()
    victim = run.restart(VICTIM) if restarted else run.participants[VICTIM]
    assert victim.mask(1, "question", ANSWERS[VICTIM], SCALES) == masked[VICTIM]
    changed = {name: values + 1 for name, values in ANSWERS[VICTIM].items()}
    with pytest.raises(SecureSumRefused, match="the answer differs from the one that was masked before"):
        victim.mask(1, "question", changed, SCALES)


def test_a_masked_answer_counts_in_its_own_round_alone_and_once() -> None:
    run, set_up, masked = masked_round()
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: .* another study, run, roster, round"):
        added(set_up, {VICTIM: masked[VICTIM]}, SCALES, round_number=2)
    with pytest.raises(SecureSumRefused, match="another study, run, roster, round"):
        added(set_up, {VICTIM: masked[VICTIM]}, SCALES, question="another")
    total = added(set_up, masked, SCALES)
    with pytest.raises(SecureSumRefused, match=f"^{VICTIM}: its answer has been added already"):
        total.add(VICTIM, masked[VICTIM])
    with pytest.raises(SecureSumRefused, match="not in the roster"):
        total.add("hospital-x", masked[VICTIM])
    assert same(total.open(run.reveal(FOUR, SCALES)), exact_total(ANSWERS, FOUR))


def test_rounds_beyond_the_keys_are_refused() -> None:
    run, _, _ = masked_round()
    for number in (0, 3, -1):
        with pytest.raises(SecureSumRefused, match="the keys of this run are for rounds 1 to 2"):
            run.participants[VICTIM].mask(number, "q", ANSWERS[VICTIM], SCALES)


@pytest.mark.parametrize("told", ["question", "scales"])
def test_hospitals_that_were_told_different_things_give_no_total(told: str) -> None:
    run, set_up, masked = masked_round()
    wider = scales_for({h: {"n": a["n"] * 256, "sums": a["sums"]} for h, a in ANSWERS.items()})
    question, scales = ("other", SCALES) if told == "question" else ("question", wider)
    deceived = Run(run.agreement)  # the victim as it is before it masks, told something else
    deceived.set_up()
    packed = deceived.participants[VICTIM].mask(1, question, ANSWERS[VICTIM], scales)
    theirs = Terms(run.agreement, 1, question, scales)
    moved = Masked.from_bytes(packed, theirs)
    terms = Terms(run.agreement, 1, "question", SCALES)
    with pytest.raises(SecureSumRefused, match="another study, run, roster, round, question or other scales"):
        added(set_up, {VICTIM: packed}, SCALES)
    with pytest.raises(SecureSumRefused, match="do not carry its signature"):
        added(set_up, {VICTIM: moved.to_bytes(terms)}, SCALES)
    # Even a coordinator that skips these checks adds up noise.
    resigned = replace(moved, signature=identity_of(VICTIM).sign(moved.signed(terms, VICTIM)))
    total = added(set_up, masked | {VICTIM: resigned.to_bytes(terms)}, SCALES)
    with pytest.raises(SecureSumRefused, match="do not cancel"):
        total.open(run.reveal(FOUR, SCALES))


# Any order of anything


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["mask", "acknowledge", "reveal", "restart"]),
        st.integers(1, 2),
        st.sampled_from(["p", "q"]),
        st.sampled_from([FOUR, *(tuple(h for h in FOUR if h != lost) for lost in FOUR)]),
    ),
    max_size=30,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_no_order_of_requests_makes_a_hospital_reveal_both_kinds_or_open_a_question_twice(
    steps: list[tuple[str, int, str, Hospitals]],
) -> None:
    """Every peer colludes here: they acknowledge whatever the coordinator likes."""
    run = Run(agreement_of(FOUR))
    run.set_up()
    lists: dict[int, set[Hospitals]] = defaultdict(set)
    rounds_of: dict[str, set[int]] = defaultdict(set)
    sent: dict[tuple[str, int, str], set[bytes]] = defaultdict(set)
    for step, number, question, survivors in steps:
        victim = run.participants[VICTIM]
        terms = Terms(run.agreement, number, question, SCALES)
        signed = Acknowledgement.signed(terms, survivors)
        acknowledged = {h: Acknowledgement(identity_of(h).sign(signed)).to_bytes() for h in survivors}
        try:
            if step == "restart":
                run.restart(VICTIM)
            elif step == "mask":
                sent["mask", number, ""].add(victim.mask(number, question, ANSWERS[VICTIM], SCALES))
            elif step == "acknowledge":
                sent[step, number, question].add(victim.acknowledge(number, question, SCALES, survivors))
                lists[number].add(survivors)
            else:
                sent[step, number, question].add(victim.reveal(number, question, SCALES, survivors, acknowledged))
                lists[number].add(survivors)
                rounds_of[question].add(number)
        except SecureSumRefused:
            continue
    assert all(len(one) == 1 and VICTIM in next(iter(one)) for one in lists.values())
    assert all(len(one) == 1 for one in rounds_of.values())
    assert all(len(one) <= 1 for one in sent.values())


def test_scales_as_bytes_are_the_scales_that_masks_are_bound_to() -> None:
    run, _, masked = masked_round()
    arrived = Exponents.from_bytes(SCALES.packed)
    assert run.participants[VICTIM].mask(1, "question", ANSWERS[VICTIM], arrived) == masked[VICTIM]
