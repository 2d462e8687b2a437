"""Shares: any threshold of them restore a secret, fewer tell nothing, and what was tampered with is refused."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.secure_sum import dealing
from common.secure_sum.dealing import KINDS, Deal, Parcel, deal, open_parcel, share_in
from common.secure_sum.keys import Keys, RunKeys, checked_keys
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.shamir import PRIME, SHARE_BYTES, join, split, weights_at_zero
from tests.common.secure_sum_run import agreement_of, identity_of, names

SECRETS = st.binary(min_size=32, max_size=32)


def test_the_modulus_is_a_prime_above_every_secret() -> None:
    assert PRIME > 2**256
    odd = PRIME - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    rng = random.Random(1)
    for _ in range(64):  # Miller–Rabin: wrong with a chance of 4^-64
        x = pow(rng.randrange(2, PRIME - 1), odd, PRIME)
        squares = [pow(x, 2**power, PRIME) for power in range(twos)]
        assert x == 1 or PRIME - 1 in squares


@given(SECRETS, SECRETS, st.integers(3, 40), st.data())
@settings(deadline=None)
def test_any_threshold_of_shares_restores_the_secret(
    secret: bytes, key: bytes, many: int, data: st.DataObject
) -> None:
    threshold = data.draw(st.integers(1, many))
    shares = split(secret, key, threshold, range(1, many + 1))
    assert {len(share) for share in shares} == {SHARE_BYTES}
    chosen = data.draw(st.permutations(range(1, many + 1)))[:threshold]
    assert join(weights_at_zero(chosen), [shares[point - 1] for point in chosen]) == secret


@given(SECRETS, SECRETS, SECRETS, st.integers(2, 12))
def test_one_share_too_few_fits_any_other_secret_as_well(
    secret: bytes, key: bytes, other: bytes, threshold: int
) -> None:
    shares = split(secret, key, threshold, range(1, threshold + 1))
    weights = weights_at_zero(range(1, threshold + 1))
    known = sum(w * int.from_bytes(s, "little") for w, s in zip(weights[:-1], shares[:-1], strict=True))
    missing = (int.from_bytes(other, "little") - known) * pow(weights[-1], -1, PRIME) % PRIME
    assert join(weights, [*shares[:-1], missing.to_bytes(SHARE_BYTES, "little")]) == other


def test_coefficients_are_as_large_as_the_secret_that_they_hide() -> None:
    shares = [split(bytes(32), bytes([key]) * 32, 2, (1, 2)) for key in range(50)]
    slopes = [(int.from_bytes(two, "little") - int.from_bytes(one, "little")) % PRIME for one, two in shares]
    assert sum(slope >> 255 for slope in slopes) > 10  # the highest bit is a coin: 25 are expected


def test_shares_of_one_secret_differ_from_those_of_another_with_the_same_points() -> None:
    one, two = (split(b"s" * 32, bytes([k]) * 32, 3, range(1, 6)) for k in (1, 2))
    assert not set(one) & set(two)


def test_a_share_beyond_the_prime_is_refused() -> None:
    with pytest.raises(ValueError, match="below 2"):
        join([1], [b"\xff" * SHARE_BYTES])
    with pytest.raises(ValueError, match="below 2"):
        join([1], [b"\x01" * 32])


ROSTER = names(5)
AGREEMENT = agreement_of(ROSTER, rounds=3)
RUN_KEYS = {h: RunKeys(hashlib.sha256(h.encode()).digest(), AGREEMENT) for h in ROSTER}
KEYS: dict[str, Keys] = {h: RUN_KEYS[h].announce(h, identity_of(h)) for h in ROSTER}
DEALER, RECEIVER, OTHER = ROSTER[0], ROSTER[1], ROSTER[2]
DEALT = deal(RUN_KEYS[DEALER], DEALER, KEYS)
PACKED = DEALT.parcels[RECEIVER].to_bytes()


def test_what_was_dealt_restores_the_secrets_of_every_round() -> None:
    opened = {h: open_parcel(RUN_KEYS[h], KEYS[DEALER], h, DEALT.parcels[h].to_bytes()) for h in ROSTER}
    chosen = ROSTER[1:]
    weights = weights_at_zero([AGREEMENT.point(h) for h in chosen])
    for round_number in (1, 2, 3):
        mask_key, seed = (
            join(weights, [share_in(opened[h], round_number, kind) for h in chosen]) for kind in KINDS
        )
        assert mask_key == RUN_KEYS[DEALER].mask_secret(round_number)
        assert seed == RUN_KEYS[DEALER].self_seed(round_number)


def test_dealing_again_gives_the_same_bytes_and_a_deal_survives_its_journey() -> None:
    packed = DEALT.to_bytes(AGREEMENT)
    assert deal(RUN_KEYS[DEALER], DEALER, KEYS).to_bytes(AGREEMENT) == packed
    assert Deal.from_bytes(packed, AGREEMENT) == DEALT


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
@settings(deadline=None)
def test_every_flipped_byte_of_a_parcel_is_noticed_and_the_dealer_named(place: int, flip: int) -> None:
    damaged = bytearray(PACKED)
    damaged[place] ^= flip
    with pytest.raises(SecureSumRefused, match=f"^{DEALER}: the parcel it dealt") as refused:
        open_parcel(RUN_KEYS[RECEIVER], KEYS[DEALER], RECEIVER, bytes(damaged))
    assert refused.value.hospital == DEALER


def test_a_parcel_opens_for_nobody_but_its_receiver() -> None:
    for hospital in (OTHER, DEALER):
        with pytest.raises(SecureSumRefused, match="dealt to another hospital"):
            open_parcel(RUN_KEYS[hospital], KEYS[DEALER], hospital, PACKED)
    with pytest.raises(SecureSumRefused, match="dealt to another hospital"):
        open_parcel(RUN_KEYS[RECEIVER], KEYS[OTHER], RECEIVER, PACKED)


def test_a_parcel_of_another_run_does_not_open() -> None:
    other = agreement_of(ROSTER, rounds=3, run="another")
    keys = RunKeys(RUN_KEYS[RECEIVER].secret, other)
    with pytest.raises(SecureSumRefused, match="another hospital, run or roster"):
        open_parcel(keys, KEYS[DEALER], RECEIVER, PACKED)


def test_a_parcel_shows_no_share_in_clear() -> None:
    shares = open_parcel(RUN_KEYS[RECEIVER], KEYS[DEALER], RECEIVER, PACKED)
    assert all(shares[at : at + 8] not in PACKED for at in range(len(shares) - 8))


def test_no_secret_and_no_share_is_used_in_two_rounds() -> None:
    secrets = [
        secret(r) for keys in RUN_KEYS.values() for secret in (keys.mask_secret, keys.self_seed) for r in (1, 2, 3)
    ]
    assert len(set(secrets)) == 2 * 3 * len(ROSTER)
    shares = open_parcel(RUN_KEYS[RECEIVER], KEYS[DEALER], RECEIVER, PACKED)
    assert len({share_in(shares, r, kind) for r in (1, 2, 3) for kind in KINDS}) == 6


def test_the_two_secrets_of_a_round_are_shared_by_polynomials_of_their_own() -> None:
    """With one polynomial for both, a single hospital would know the difference of the two secrets."""
    differences = set()
    for hospital in ROSTER:
        shares = open_parcel(RUN_KEYS[hospital], KEYS[DEALER], hospital, DEALT.parcels[hospital].to_bytes())
        mask_key, seed = (int.from_bytes(share_in(shares, 1, kind), "little") for kind in KINDS)
        differences.add((mask_key - seed) % PRIME)
    assert len(differences) == len(ROSTER)


def test_two_hospitals_never_seal_with_one_keystream() -> None:
    """They have one secret in common; parcels to and fro must not be under one key, the nonce being fixed."""
    back = deal(RUN_KEYS[RECEIVER], RECEIVER, KEYS).parcels[DEALER]
    forth = DEALT.parcels[RECEIVER]
    clear = [
        open_parcel(RUN_KEYS[RECEIVER], KEYS[DEALER], RECEIVER, forth.to_bytes()),
        open_parcel(RUN_KEYS[DEALER], KEYS[RECEIVER], DEALER, back.to_bytes()),
    ]
    sealed = bytes(a ^ b for a, b in zip(forth.sealed, back.sealed, strict=True))
    assert sealed[: len(clear[0])] != bytes(a ^ b for a, b in zip(*clear, strict=True))


def test_shares_that_a_dealer_did_not_commit_to_are_refused_on_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(dealing, "commit_to_share", lambda *_: bytes(16))
        crooked = deal(RUN_KEYS[DEALER], DEALER, KEYS)
    with pytest.raises(SecureSumRefused, match=f"^{DEALER}: a share it dealt is not the one it committed to"):
        open_parcel(RUN_KEYS[RECEIVER], KEYS[DEALER], RECEIVER, crooked.parcels[RECEIVER].to_bytes())


def test_a_parcel_of_other_lengths_is_no_parcel() -> None:
    parcel = Parcel.from_bytes(PACKED, AGREEMENT)
    for short in (Parcel(parcel.commitments[:-16], parcel.sealed), Parcel(parcel.commitments, parcel.sealed[:-1])):
        with pytest.raises(ValueError, match="a parcel of"):
            Parcel.from_bytes(short.to_bytes(), AGREEMENT)


def packed_keys() -> dict[str, bytes]:
    return {hospital: keys.to_bytes() for hospital, keys in KEYS.items()}


def test_keys_that_were_announced_are_accepted() -> None:
    assert checked_keys(AGREEMENT, packed_keys()) == KEYS


@given(st.data())
@settings(deadline=None)
def test_every_flipped_byte_of_an_announcement_is_noticed(data: st.DataObject) -> None:
    packed = packed_keys()
    damaged = bytearray(packed[DEALER])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SecureSumRefused, match=f"^{DEALER}: ") as refused:
        checked_keys(AGREEMENT, packed | {DEALER: bytes(damaged)})
    assert refused.value.hospital == DEALER
