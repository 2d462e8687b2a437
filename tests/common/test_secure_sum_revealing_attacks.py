"""A coordinator that lies about who was lost: what it gets hospitals to reveal, and what a total opens."""

from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from common.secure_sum.keys import RunKeys, public_key
from common.secure_sum.masks import add_masks
from common.secure_sum.messages import Acknowledgement, Masked, Reveals
from common.secure_sum.refusals import SecureSumRefused, TooFewHospitals
from common.secure_sum.shamir import join, weights_at_zero
from common.secure_sum.terms import Terms
from tests.common.secure_sum_run import (
    Hospitals,
    Run,
    added,
    exact_total,
    identity_of,
    same,
    started,
)
from tests.common.secure_sum_victim import ANSWERS, FOUR, SCALES, VICTIM, WITHOUT_VICTIM, masked_round


@pytest.mark.parametrize("restarted", [False, True])
def test_who_revealed_a_self_seed_does_not_reveal_the_mask_key(restarted: bool) -> None:
    run, _, _ = masked_round()
    run.reveal(FOUR, SCALES)
    other = run.restart(FOUR[1]) if restarted else run.participants[FOUR[1]]
    with pytest.raises(SecureSumRefused, match="a hospital could be told from the difference"):
        other.acknowledge(1, "question", SCALES, WITHOUT_VICTIM)
    with pytest.raises(SecureSumRefused, match="acknowledge these survivors before"):
        other.reveal(1, "question", SCALES, WITHOUT_VICTIM)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_acknowledged_a_loss_does_not_reveal_the_self_seed(restarted: bool) -> None:
    run, _, _ = masked_round()
    for hospital in WITHOUT_VICTIM:
        run.participants[hospital].acknowledge(1, "question", SCALES, WITHOUT_VICTIM)
    other = run.restart(FOUR[1]) if restarted else run.participants[FOUR[1]]
    with pytest.raises(SecureSumRefused, match="a hospital could be told from the difference"):
        other.reveal(1, "question", SCALES, FOUR)


def test_a_loss_that_too_few_have_acknowledged_reveals_nothing() -> None:
    run, _, _ = masked_round()
    acknowledged = {
        h: run.participants[h].acknowledge(1, "question", SCALES, WITHOUT_VICTIM) for h in WITHOUT_VICTIM
    }
    one = run.participants[FOUR[1]]
    fewer = {h: acknowledged[h] for h in WITHOUT_VICTIM[:2]}
    with pytest.raises(TooFewHospitals, match="2 hospitals have acknowledged"):
        one.reveal(1, "question", SCALES, WITHOUT_VICTIM, fewer)
    with pytest.raises(SecureSumRefused, match=f"^{FOUR[3]}: the survivors do not carry its signature"):
        one.reveal(1, "question", SCALES, WITHOUT_VICTIM, fewer | {FOUR[3]: acknowledged[FOUR[2]]})
    with pytest.raises(TooFewHospitals, match="2 hospitals have acknowledged"):
        one.reveal(1, "question", SCALES, WITHOUT_VICTIM, fewer | {"hospital-x": acknowledged[FOUR[3]]})
    other_list = Acknowledgement(
        identity_of(FOUR[3]).sign(Acknowledgement.signed(Terms(run.agreement, 1, "question", SCALES), FOUR))
    )
    with pytest.raises(SecureSumRefused, match="do not carry its signature"):
        one.reveal(1, "question", SCALES, WITHOUT_VICTIM, fewer | {FOUR[3]: other_list.to_bytes()})
    assert one.reveal(1, "question", SCALES, WITHOUT_VICTIM, acknowledged)


def test_an_acknowledgement_of_one_round_is_none_in_another() -> None:
    run, _, _ = masked_round()
    run.mask(ANSWERS, SCALES, 2, "another question")
    old = {h: run.participants[h].acknowledge(1, "question", SCALES, WITHOUT_VICTIM) for h in WITHOUT_VICTIM}
    one = run.participants[FOUR[1]]
    one.acknowledge(2, "another question", SCALES, WITHOUT_VICTIM)
    with pytest.raises(SecureSumRefused, match="do not carry its signature"):
        one.reveal(2, "another question", SCALES, WITHOUT_VICTIM, old)


def test_a_hospital_that_answered_and_is_called_lost_takes_no_part() -> None:
    run, _, _ = masked_round()
    with pytest.raises(SecureSumRefused, match="hospital-000 answered and is not among the survivors"):
        run.participants[VICTIM].acknowledge(1, "question", SCALES, WITHOUT_VICTIM)


def test_a_hospital_that_has_not_answered_reveals_nothing() -> None:
    run, _, _ = masked_round()
    for step in (run.participants[VICTIM].acknowledge, run.participants[VICTIM].reveal):
        with pytest.raises(SecureSumRefused, match="this hospital has masked no answer to that question"):
            step(2, "another question", SCALES, FOUR)
        with pytest.raises(SecureSumRefused, match="this hospital has masked no answer to that question"):
            step(1, "another question", SCALES, FOUR)


@pytest.mark.parametrize(
    "survivors", [FOUR[::-1], (*FOUR, FOUR[3]), (*FOUR[:3], "hospital-x"), (FOUR[0], FOUR[0], FOUR[1], FOUR[2])]
)
def test_survivors_that_are_no_list_of_the_roster_are_refused(survivors: Hospitals) -> None:
    run, _, _ = masked_round()
    for step in (run.participants[VICTIM].acknowledge, run.participants[VICTIM].reveal):
        with pytest.raises(SecureSumRefused, match="must be hospitals of the roster, once each and in order"):
            step(1, "question", SCALES, survivors)


def shares_revealed(
    run: Run, hospital: str, packed: bytes, survivors: Hospitals, round_number: int, question: str
) -> dict[tuple[str, str], tuple[int, bytes]]:
    """What a coordinator learns from one hospital: by dealer and kind, the share and where it lies."""
    shares = Reveals.from_bytes(packed, Terms(run.agreement, round_number, question, SCALES), survivors).shares
    return {
        (dealer, "self seed" if dealer in survivors else "mask key"): (run.agreement.point(hospital), share)
        for dealer, share in zip(run.agreement.hospitals, shares, strict=True)
    }


def test_a_coordinator_with_a_colluding_hospital_gets_one_list_of_survivors_whatever_it_tells() -> None:
    """Every story to every honest hospital, in both orders: never both secrets of a hospital, never two totals."""
    honest, colluding = FOUR[:3], FOUR[3]
    lists = [FOUR, *(tuple(h for h in FOUR if h != lost) for lost in honest)]
    stories = list(product(lists, repeat=3))
    run, _ = started(4, rounds=len(stories))
    opened: set[Hospitals] = set()
    for number, story in enumerate(stories, 1):
        question = f"question {number}"
        terms = Terms(run.agreement, number, question, SCALES)
        run.mask(ANSWERS, SCALES, number, question)
        acknowledged: dict[Hospitals, dict[str, bytes]] = defaultdict(dict)
        for survivors in lists[1:]:  # the colluding hospital signs whatever it is given
            signature = identity_of(colluding).sign(Acknowledgement.signed(terms, survivors))
            acknowledged[survivors][colluding] = Acknowledgement(signature).to_bytes()
        learned: dict[tuple[str, str], set[int]] = defaultdict(set)
        for dealer in honest:
            for kind in ("self seed", "mask key"):
                learned[dealer, kind].add(run.agreement.point(colluding))
        told = list(zip(honest, story, strict=True))
        for hospital, survivors in told:
            if survivors != FOUR and hospital in survivors:
                acknowledged[survivors][hospital] = run.participants[hospital].acknowledge(
                    number, question, SCALES, survivors
                )
        for hospital, told_first in told:
            for survivors in (told_first, *lists):  # and then it is asked for everything else
                try:
                    packed = run.participants[hospital].reveal(
                        number, question, SCALES, survivors, acknowledged[survivors]
                    )
                except SecureSumRefused:
                    continue
                for key, (point, _) in shares_revealed(run, hospital, packed, survivors, number, question).items():
                    learned[key].add(point)
        restored = {key for key, points in learned.items() if len(points) >= run.agreement.threshold}
        for dealer in honest:
            assert not {(dealer, "self seed"), (dealer, "mask key")} <= restored
        lost = tuple(h for h in honest if (h, "mask key") in restored)
        assert len(lost) <= 1
        if lost:
            opened.add(tuple(h for h in FOUR if h not in lost))
    # The protocol is not safe by never opening anything: each loss was recovered where all told it alike.
    assert opened == set(lists[1:])


def test_an_answer_that_comes_too_late_stays_hidden_under_its_own_mask() -> None:
    """Its pair masks are known once the others took it for lost."""
    run, set_up, masked = masked_round()
    total = added(set_up, {h: masked[h] for h in WITHOUT_VICTIM}, SCALES)
    reveals = run.reveal(WITHOUT_VICTIM, SCALES)
    assert same(total.open(reveals), exact_total(ANSWERS, WITHOUT_VICTIM))
    shares = [
        shares_revealed(run, h, packed, WITHOUT_VICTIM, 1, "question")[VICTIM, "mask key"]
        for h, packed in reveals.items()
    ]
    secret = join(weights_at_zero([point for point, _ in shares]), [share for _, share in shares])
    terms = Terms(run.agreement, 1, "question", SCALES)
    vector = Masked.from_bytes(masked[VICTIM], terms).vector.copy()
    for peer in WITHOUT_VICTIM:
        key, adds = terms.pair_mask(secret, VICTIM, peer, set_up.keys[peer].masking[0])
        add_masks(vector, () if adds else (key,), (key,) if adds else ())
    clear = vector.view("<i8")[:-1]
    assert (np.abs(clear.astype(float)) > 2**40).mean() > 0.9  # noise: the sums themselves are small
    # With its own mask, which nobody can open any more, it would have been readable.
    add_masks(
        vector, (), (terms.self_mask(RunKeys(run.kept[VICTIM]["secret"][-32:], run.agreement).self_seed(1)),)
    )
    assert same({"n": np.array(float(vector.view("<i8")[0])) / 2.0 ** (62 - 2 - 8)}, {"n": ANSWERS[VICTIM]["n"]})


def test_recovering_a_hospital_in_round_5_opens_no_mask_of_round_4() -> None:
    run, set_up = started(4, rounds=5)
    masked = run.mask(ANSWERS, SCALES, 4, "fourth")
    survivors = WITHOUT_VICTIM
    run.mask({h: ANSWERS[h] for h in survivors}, SCALES, 5, "fifth")
    reveals = run.reveal(survivors, SCALES, 5, "fifth")
    learned = [shares_revealed(run, h, packed, survivors, 5, "fifth") for h, packed in reveals.items()]
    restored = {
        key: join(weights_at_zero([one[key][0] for one in learned]), [one[key][1] for one in learned])
        for key in learned[0]
    }
    assert public_key(restored[VICTIM, "mask key"]) == set_up.keys[VICTIM].masking[4]
    # Nothing that was learned is a secret of round 4, nor gives a mask of it.
    fourth = Terms(run.agreement, 4, "fourth", SCALES)
    for (dealer, _), secret in restored.items():
        keys = RunKeys(run.kept[dealer]["secret"][-32:], run.agreement)
        assert secret not in (keys.mask_secret(4), keys.self_seed(4))
        assert fourth.self_mask(secret) != fourth.self_mask(keys.self_seed(4))
        for peer in FOUR:
            if peer != dealer:
                peer_key = set_up.keys[peer].masking[3]
                true = fourth.pair_mask(keys.mask_secret(4), dealer, peer, peer_key)
                assert fourth.pair_mask(secret, dealer, peer, peer_key) != true
    with pytest.raises(SecureSumRefused, match="another round or other survivors"):
        added(set_up, {h: masked[h] for h in survivors}, SCALES, 4, "fourth").open(reveals)
