"""What travels in a round: a masked answer, an acknowledgement of who answered, and shares revealed."""

import hashlib
from dataclasses import dataclass

import numpy as np

from common.secure_sum.encoding import pack, unpack
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.keys import SIGNATURE_BYTES
from common.secure_sum.shamir import SHARE_BYTES, read_share
from common.secure_sum.terms import Terms

_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class Masked:
    """One hospital's answer under its masks, with its magnitudes in clear."""

    magnitudes: Exponents
    vector: np.ndarray
    signature: bytes

    def signed(self, terms: Terms, hospital: str) -> bytes:
        """What the signature is over."""
        content = hashlib.sha256(self.vector.data).digest()
        return pack("masked by", terms.digest, hospital.encode(), self.magnitudes.packed, content)

    def to_bytes(self, terms: Terms) -> bytes:
        """The masked answer as it travels."""
        return pack("masked", terms.digest, self.magnitudes.packed, self.vector.tobytes(), self.signature)

    @staticmethod
    def from_bytes(packed: bytes, terms: Terms) -> "Masked":
        """The masked answer in these bytes; ValueError if it is for other terms or no such answer."""
        limits = (_DIGEST_BYTES, len(terms.scales.packed), 8 * (terms.scales.values + 1), SIGNATURE_BYTES)
        digest, magnitudes, vector, signature = unpack(packed, "masked", *limits)
        if digest != terms.digest:
            raise ValueError("a message for another study, run, roster, round, question or other scales")
        said = Exponents.from_bytes(magnitudes)
        if not said.same_groups(terms.scales) or len(vector) != limits[2]:
            raise ValueError("a masked answer of other arrays than were asked for")
        return Masked(said, np.frombuffer(vector, dtype="<u8"), signature)


@dataclass(frozen=True)
class Acknowledgement:
    """One hospital's signature under the list of those who answered."""

    signature: bytes

    @staticmethod
    def signed(terms: Terms, survivors: tuple[str, ...]) -> bytes:
        """What the signature is over."""
        return pack("acknowledged", terms.survivors_digest(survivors))

    def to_bytes(self) -> bytes:
        """The acknowledgement as it travels."""
        return pack("acknowledgement", self.signature)

    @staticmethod
    def from_bytes(packed: bytes) -> "Acknowledgement":
        """The acknowledgement in these bytes; ValueError for anything else."""
        return Acknowledgement(*unpack(packed, "acknowledgement", SIGNATURE_BYTES))


@dataclass(frozen=True)
class Reveals:
    """A share for every hospital of the roster: of a survivor's self seed, of a lost one's mask key."""

    shares: tuple[bytes, ...]

    def to_bytes(self, terms: Terms, survivors: tuple[str, ...]) -> bytes:
        """The reveals as they travel."""
        return pack("reveals", terms.survivors_digest(survivors), b"".join(self.shares))

    @staticmethod
    def from_bytes(packed: bytes, terms: Terms, survivors: tuple[str, ...]) -> "Reveals":
        """The reveals in these bytes; ValueError if they are for another round or other survivors."""
        length = SHARE_BYTES * len(terms.agreement.hospitals)
        digest, joined = unpack(packed, "reveals", _DIGEST_BYTES, length)
        if digest != terms.survivors_digest(survivors):
            raise ValueError("shares that were revealed for another round or other survivors")
        if len(joined) != length:
            raise ValueError("not a share for every hospital of the roster")
        shares = tuple(joined[at : at + SHARE_BYTES] for at in range(0, length, SHARE_BYTES))
        for share in shares:
            read_share(share)
        return Reveals(shares)
