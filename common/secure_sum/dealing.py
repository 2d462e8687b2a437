"""How a hospital deals its secrets out: a share of every round's mask key and self seed for every peer, sealed.

With each parcel goes a commitment to every share in it. The receiver holds the shares against it, and later the
coordinator does: who reveals a wrong share is named, and no wrong total comes of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from common.secure_sum.agreement import Agreement
from common.secure_sum.encoding import number, pack, pack_many, unpack, unpack_many
from common.secure_sum.keys import Keys, RunKeys, shared_key
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.shamir import SHARE_BYTES, read_share, split

KINDS = ("mask key", "self seed")
COMMITMENT_BYTES = 16
_TAG_BYTES = 16
_NONCE = bytes(12)
"""A parcel's key seals that one parcel, so the nonce need not vary."""


@dataclass(frozen=True)
class Parcel:
    """What one hospital deals to another: commitments in clear, shares sealed."""

    commitments: bytes
    sealed: bytes

    def to_bytes(self) -> bytes:
        """The parcel as it travels."""
        return pack("parcel", self.commitments, self.sealed)

    @staticmethod
    def from_bytes(packed: bytes, agreement: Agreement) -> "Parcel":
        """The parcel in these bytes; ValueError for anything else."""
        shares = len(KINDS) * agreement.rounds
        limits = (COMMITMENT_BYTES * shares, SHARE_BYTES * shares + _TAG_BYTES)
        commitments, sealed = unpack(packed, "parcel", *limits)
        if (len(commitments), len(sealed)) != limits:
            raise ValueError(f"a parcel of {len(commitments)} and {len(sealed)} bytes, expected {limits}")
        return Parcel(commitments, sealed)

    def commitment(self, round_number: int, kind: str) -> bytes:
        """The commitment to one share of the parcel."""
        at = COMMITMENT_BYTES * _position(round_number, kind)
        return self.commitments[at : at + COMMITMENT_BYTES]


@dataclass(frozen=True)
class Deal:
    """All that a hospital deals: a parcel for everybody, itself included, and commitments to its self seeds."""

    parcels: Mapping[str, Parcel]
    seeds: tuple[bytes, ...]

    def to_bytes(self, agreement: Agreement) -> bytes:
        """The deal as it travels to the coordinator, who hands the parcels on."""
        parcels = pack_many(self.parcels[hospital].to_bytes() for hospital in agreement.hospitals)
        return pack("deal", parcels, b"".join(self.seeds))

    @staticmethod
    def from_bytes(packed: bytes, agreement: Agreement) -> "Deal":
        """The deal in these bytes; ValueError for anything else."""
        limit = COMMITMENT_BYTES * agreement.rounds
        listed, seeds = unpack(packed, "deal", len(packed), limit)
        parcels = unpack_many(listed, len(agreement.hospitals), len(listed))
        if len(parcels) != len(agreement.hospitals) or len(seeds) != limit:
            raise ValueError("a deal that has not a parcel for every hospital and a commitment for every round")
        named = zip(agreement.hospitals, parcels, strict=True)
        return Deal(
            {hospital: Parcel.from_bytes(parcel, agreement) for hospital, parcel in named},
            tuple(seeds[at : at + COMMITMENT_BYTES] for at in range(0, limit, COMMITMENT_BYTES)),
        )


def deal(keys: RunKeys, dealer: str, peers: Mapping[str, Keys]) -> Deal:
    """The dealer's secrets of all rounds, shared out; the same every time it is called."""
    agreement = keys.agreement
    points = [agreement.point(hospital) for hospital in agreement.hospitals]
    shares: dict[str, list[bytes]] = {hospital: [] for hospital in agreement.hospitals}
    for round_number in range(1, agreement.rounds + 1):
        for kind, secret in zip(KINDS, (keys.mask_secret, keys.self_seed), strict=True):
            polynomial = keys.polynomial_key(round_number, kind)
            dealt = split(secret(round_number), polynomial, agreement.threshold, points)
            for hospital, share in zip(agreement.hospitals, dealt, strict=True):
                shares[hospital].append(share)
    return Deal(
        {h: _seal(keys, dealer, h, peers[h], b"".join(shares[h])) for h in agreement.hospitals},
        tuple(commit_to_seed(agreement, dealer, r, keys.self_seed(r)) for r in range(1, agreement.rounds + 1)),
    )


def open_parcel(keys: RunKeys, dealer: Keys, receiver: str, packed: bytes) -> bytes:
    """The shares that were dealt, one after the other, held against their commitments."""
    agreement, name = keys.agreement, dealer.hospital
    try:
        parcel = Parcel.from_bytes(packed, agreement)
    except ValueError as error:
        raise SecureSumRefused(f"{name}: the parcel it dealt cannot be read: {error}", name) from None
    way = (name.encode(), receiver.encode())
    key = shared_key(keys.sealing, dealer.sealing, name, agreement, "parcel", *way)
    associated = pack("parcel", agreement.digest, *way, parcel.commitments)
    try:
        shares = ChaCha20Poly1305(key).decrypt(_NONCE, parcel.sealed, associated)
    except InvalidTag:
        raise SecureSumRefused(
            f"{name}: the parcel it dealt was altered, or dealt to another hospital, run or roster", name
        ) from None
    for round_number in range(1, agreement.rounds + 1):
        for kind in KINDS:
            share = share_in(shares, round_number, kind)
            committed = parcel.commitment(round_number, kind)
            if commit_to_share(agreement, name, receiver, round_number, kind, share) != committed:
                raise SecureSumRefused(f"{name}: a share it dealt is not the one it committed to", name)
    return shares


def share_in(shares: bytes, round_number: int, kind: str) -> bytes:
    """One share among those of a parcel."""
    at = SHARE_BYTES * _position(round_number, kind)
    share = shares[at : at + SHARE_BYTES]
    read_share(share)
    return share


def commit_to_share(
    agreement: Agreement, dealer: str, receiver: str, round_number: int, kind: str, share: bytes
) -> bytes:
    """A commitment that hides, since a share is uniform over 2^256 numbers."""
    return _digest(
        "share", agreement, dealer.encode(), receiver.encode(), number(round_number), kind.encode(), share
    )


def commit_to_seed(agreement: Agreement, dealer: str, round_number: int, seed: bytes) -> bytes:
    """A commitment to the self seed of one round."""
    return _digest("seed", agreement, dealer.encode(), number(round_number), seed)


def _seal(keys: RunKeys, dealer: str, receiver: str, peer: Keys, shares: bytes) -> Parcel:
    agreement = keys.agreement
    commitments = b"".join(
        commit_to_share(agreement, dealer, receiver, r, kind, share_in(shares, r, kind))
        for r in range(1, agreement.rounds + 1)
        for kind in KINDS
    )
    way = (dealer.encode(), receiver.encode())
    key = shared_key(keys.sealing, peer.sealing, receiver, agreement, "parcel", *way)
    associated = pack("parcel", agreement.digest, *way, commitments)
    return Parcel(commitments, ChaCha20Poly1305(key).encrypt(_NONCE, shares, associated))


def _position(round_number: int, kind: str) -> int:
    return len(KINDS) * (round_number - 1) + KINDS.index(kind)


def _digest(kind: str, agreement: Agreement, *parts: bytes) -> bytes:
    return hashlib.sha256(pack(kind, agreement.digest, *parts)).digest()[:COMMITMENT_BYTES]
