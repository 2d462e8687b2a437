"""A hospital's keys for one run, and their announcement, signed with its long-term key.

All keys of a run come from one secret of 32 bytes by HKDF: a mask key and a self-mask seed for every round, and a
key to which peers seal shares. HKDF does not run backwards, so the key of round 5, opened because a hospital was
lost there, tells nothing of round 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.secure_sum.agreement import Agreement, fingerprint_of
from common.secure_sum.encoding import number, pack, read_text, unpack
from common.secure_sum.refusals import SecureSumRefused

KEY_BYTES = 32
SIGNATURE_BYTES = 64


def derive(secret: bytes, agreement: Agreement, purpose: str, *what_for: bytes) -> bytes:
    """A key of 32 bytes for one purpose under one agreement."""
    return HKDF(SHA256(), KEY_BYTES, agreement.digest, pack(purpose, *what_for)).derive(secret)


def shared_key(
    own: X25519PrivateKey, peer: bytes, hospital: str, agreement: Agreement, purpose: str, *what_for: bytes
) -> bytes:
    """A key that the owners of two X25519 keys have in common; `hospital` is whose public key `peer` is."""
    try:
        secret = own.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:  # the exchange comes out as zero for anybody
        raise SecureSumRefused(
            f"{hospital}: a public key that makes no secret; do not sum with it", hospital
        ) from None
    return derive(secret, agreement, purpose, *what_for)


@dataclass(frozen=True)
class RunKeys:
    """The private keys of one hospital for one run."""

    secret: bytes
    agreement: Agreement

    @property
    def sealing(self) -> X25519PrivateKey:
        """The key to which peers seal the shares they deal."""
        return X25519PrivateKey.from_private_bytes(derive(self.secret, self.agreement, "sealing key"))

    def mask_secret(self, round_number: int) -> bytes:
        """The private X25519 key behind this hospital's pair masks of one round; shared out among the roster."""
        return derive(self.secret, self.agreement, "mask key", number(round_number))

    def self_seed(self, round_number: int) -> bytes:
        """The seed of the mask of its own that a hospital adds in one round; shared out among the roster."""
        return derive(self.secret, self.agreement, "self seed", number(round_number))

    def polynomial_key(self, round_number: int, kind: str) -> bytes:
        """Where the coefficients for sharing one secret of one round come from."""
        return derive(self.secret, self.agreement, "polynomial", number(round_number), kind.encode())

    def announce(self, name: str, identity: Ed25519PrivateKey) -> "Keys":
        """The public keys of the run, signed."""
        rounds = range(1, self.agreement.rounds + 1)
        unsigned = Keys(
            hospital=name,
            identity=identity.public_key().public_bytes_raw(),
            sealing=self.sealing.public_key().public_bytes_raw(),
            masking=tuple(public_key(self.mask_secret(r)) for r in rounds),
            signature=b"",
        )
        return replace(unsigned, signature=identity.sign(unsigned.signed(self.agreement)))


def public_key(secret: bytes) -> bytes:
    """The public X25519 key of 32 secret bytes."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


@dataclass(frozen=True)
class Keys:
    """What a hospital announces: its long-term key, a key for sealing, and a mask key for every round."""

    hospital: str
    identity: bytes
    sealing: bytes
    masking: tuple[bytes, ...]
    signature: bytes

    def signed(self, agreement: Agreement) -> bytes:
        """What the signature is over; agreed on with it are study, run, roster and rounds."""
        return pack(
            "keys of", agreement.digest, self.hospital.encode(), self.identity, self.sealing, self._masking
        )

    @property
    def _masking(self) -> bytes:
        return b"".join(self.masking)

    def to_bytes(self) -> bytes:
        """The announcement as it travels."""
        return pack("keys", self.hospital.encode(), self.identity, self.sealing, self._masking, self.signature)

    @staticmethod
    def from_bytes(packed: bytes, agreement: Agreement) -> "Keys":
        """The announcement in these bytes, its signature not yet checked; ValueError for anything else."""
        limits = (64, KEY_BYTES, KEY_BYTES, KEY_BYTES * agreement.rounds, SIGNATURE_BYTES)
        name, identity, sealing, masking, signature = unpack(packed, "keys", *limits)
        lengths = tuple(map(len, (identity, sealing, masking, signature)))
        if lengths != limits[1:]:
            raise ValueError(f"keys of {lengths} bytes, expected {limits[1:]}")
        parts = tuple(masking[at : at + KEY_BYTES] for at in range(0, len(masking), KEY_BYTES))
        return Keys(read_text(name), identity, sealing, parts, signature)


def checked_keys(agreement: Agreement, packed: Mapping[str, bytes]) -> dict[str, Keys]:
    """The roster's announcements, each held against the fingerprint that was approved."""
    if set(packed) != set(agreement.hospitals):
        missing, strange = set(agreement.hospitals) - set(packed), set(packed) - set(agreement.hospitals)
        raise SecureSumRefused(
            f"keys of the roster are needed, no more and no fewer: missing {sorted(missing)}, "
            f"not in the roster {sorted(strange)}"
        )
    return {hospital: _checked(agreement, hospital, packed[hospital]) for hospital in agreement.hospitals}


def _checked(agreement: Agreement, hospital: str, packed: bytes) -> Keys:
    try:
        keys = Keys.from_bytes(packed, agreement)
        identity = Ed25519PublicKey.from_public_bytes(keys.identity)
    except ValueError as error:
        raise SecureSumRefused(f"{hospital}: its keys cannot be read: {error}", hospital) from None
    if keys.hospital != hospital or fingerprint_of(identity) != agreement.fingerprints[hospital]:
        raise SecureSumRefused(
            f"{hospital}: the keys are of {keys.hospital!r} with the fingerprint {fingerprint_of(identity)}, the "
            f"roster has {agreement.fingerprints[hospital]}; somebody else speaks for it. Compare fingerprints by "
            "telephone before going on",
            hospital,
        )
    check_signature(keys, keys.signature, keys.signed(agreement), "its keys")
    if len({keys.sealing, *keys.masking}) != 1 + agreement.rounds:
        raise SecureSumRefused(f"{hospital}: it announces one key twice; every round needs its own", hospital)
    return keys


def check_signature(keys: Keys, signature: bytes, signed: bytes, what: str) -> None:
    """Refuse what a hospital's long-term key, as it announced it, has not signed."""
    check_signed_by(keys.hospital, keys.identity, signature, signed, what)


def check_signed_by(hospital: str, identity: bytes, signature: bytes, signed: bytes, what: str) -> None:
    """Refuse what this long-term key has not signed."""
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, signed)
    except InvalidSignature:
        raise SecureSumRefused(
            f"{hospital}: {what} do not carry its signature for this study, run and roster; "
            "they were altered or belong to another run",
            hospital,
        ) from None
