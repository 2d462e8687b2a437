"""Who sums with whom: the roster of hospitals, the run, and how many of them must stay.

A hospital approves names and fingerprints of long-term keys, compared out of band. Messages are checked against
them and nothing else: a certificate, whoever signed it, makes no hospital.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.query import FEWEST_HOSPITALS
from common.secure_sum.encoding import number, pack, pack_many
from common.secure_sum.refusals import SecureSumRefused, TooFewHospitals
from common.study import HOSPITAL_NAME

MOST_HOSPITALS = 200
MOST_ROUNDS = 1024
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def fingerprint_of(identity: Ed25519PublicKey) -> str:
    """SHA-256 of a hospital's long-term public key, as people compare it."""
    return hashlib.sha256(identity.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


@dataclass(frozen=True)
class Agreement:
    """What every hospital of a run has approved.

    Parameters
    ----------
    study
        The study's hash.
    run
        The name of this set of keys; never used twice.
    fingerprints
        Of each hospital of the roster, by name.
    rounds
        How many sums the keys are good for; rounds are counted from 1.
    """

    study: str
    run: str
    fingerprints: Mapping[str, str]
    rounds: int

    def __post_init__(self) -> None:
        """Refuse a roster in which a sum would not hide its parts."""
        many = len(self.fingerprints)
        if not FEWEST_HOSPITALS <= many <= MOST_HOSPITALS:
            raise SecureSumRefused(
                f"a roster of {many} hospitals: a secure sum needs {FEWEST_HOSPITALS} to {MOST_HOSPITALS}"
            )
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise SecureSumRefused(f"{self.rounds} rounds: keys are made for 1 to {MOST_ROUNDS} at a time")
        for name, fingerprint in self.fingerprints.items():
            if not HOSPITAL_NAME.fullmatch(name) or not _FINGERPRINT.fullmatch(fingerprint):
                raise SecureSumRefused(
                    f"roster: {name!r} with the fingerprint {fingerprint!r} is no hospital; expected a name and the "
                    "SHA-256 of its public key as 64 hexadecimal digits"
                )
        if len(set(self.fingerprints.values())) != many:
            raise SecureSumRefused("roster: two names have one key; every hospital brings a key of its own")

    @cached_property
    def hospitals(self) -> tuple[str, ...]:
        """The roster in the order that signs of masks and points of shares follow."""
        return tuple(sorted(self.fingerprints))

    @cached_property
    def threshold(self) -> int:
        """More than two thirds: two such groups share an honest hospital while fewer than a third collude."""
        return 2 * len(self.fingerprints) // 3 + 1

    @cached_property
    def digest(self) -> bytes:
        """Study, run, roster and rounds in 32 bytes: the salt of every key and part of all that is signed."""
        roster = pack_many(pack_many((h.encode(), bytes.fromhex(self.fingerprints[h]))) for h in self.hospitals)
        roster_digest = hashlib.sha256(pack("roster", roster)).digest()
        parts = (self.study.encode(), self.run.encode(), roster_digest, number(self.rounds))
        return hashlib.sha256(pack("hepafed secure sum 1", *parts)).digest()

    def point(self, hospital: str) -> int:
        """Where a hospital's shares lie on every polynomial: its place in the roster, from 1."""
        return self.hospitals.index(hospital) + 1

    def check_round(self, round_number: int) -> None:
        """Refuse a round for which there are no keys."""
        if not 1 <= round_number <= self.rounds:
            raise SecureSumRefused(f"round {round_number}: the keys of this run are for rounds 1 to {self.rounds}")

    def check_survivors(self, survivors: tuple[str, ...]) -> None:
        """Refuse survivors that are not of the roster, out of order, or too few."""
        if list(survivors) != sorted(set(survivors)) or not set(survivors) <= set(self.hospitals):
            raise SecureSumRefused(
                f"the survivors {list(survivors)} must be hospitals of the roster, once each and in order"
            )
        least = max(self.threshold, FEWEST_HOSPITALS)
        if len(survivors) < least:
            raise TooFewHospitals(
                f"{len(survivors)} of {len(self.hospitals)} hospitals answered, {least} are needed: "
                "the sum stays closed; wait for the others, or begin anew under another roster"
            )
