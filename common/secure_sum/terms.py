"""What one round is about, and the keys of its masks.

Every mask is bound to study, run and roster (through the agreement), round, question and scales. Hospitals that were
told different things use masks that do not cancel: their total opens as noise, and is refused.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from common.secure_sum.agreement import Agreement
from common.secure_sum.encoding import LONGEST_TEXT, number, pack, pack_many
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.keys import derive, shared_key
from common.secure_sum.refusals import SecureSumRefused


@dataclass(frozen=True)
class Terms:
    """One round of a run: which question is summed, on which scales."""

    agreement: Agreement
    round_number: int
    question: str
    scales: Exponents

    def __post_init__(self) -> None:
        """Refuse a round without keys or a question without end."""
        self.agreement.check_round(self.round_number)
        if not 0 < len(self.question.encode()) <= LONGEST_TEXT:
            raise SecureSumRefused("a round needs a question, named by its hash")

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that all masks, signatures and reveals of the round are bound to."""
        parts = (number(self.round_number), self.question.encode(), self.scales.digest)
        return hashlib.sha256(pack("terms", self.agreement.digest, *parts)).digest()

    def pair_mask(self, secret: bytes, own: str, peer: str, peer_key: bytes) -> tuple[bytes, bool]:
        """The key of the mask that two hospitals have in common, and whether `own` adds it."""
        first = own < peer
        pair = (own, peer) if first else (peer, own)
        private = X25519PrivateKey.from_private_bytes(secret)
        named = (pair[0].encode(), pair[1].encode())
        return shared_key(private, peer_key, peer, self.agreement, "pair mask", self.digest, *named), first

    def self_mask(self, seed: bytes) -> bytes:
        """The key of a hospital's own mask."""
        return derive(seed, self.agreement, "self mask", self.digest)

    def survivors_digest(self, survivors: tuple[str, ...]) -> bytes:
        """32 bytes for the list of hospitals over which the round's total is opened."""
        names = pack_many(hospital.encode() for hospital in survivors)
        return hashlib.sha256(pack("survivors", self.digest, names)).digest()
