"""A run of secure sums in memory, with fixed keys: the hospitals, what they keep, and a coordinator that is honest."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.query import Arrays
from common.secure_sum.agreement import Agreement, fingerprint_of
from common.secure_sum.encoding import pack
from common.secure_sum.fixed_point import Exponents, magnitudes
from common.secure_sum.participant import Participant
from common.secure_sum.set_up import SetUp
from common.secure_sum.total import RoundTotal

Answers = Mapping[str, Mapping[str, np.ndarray]]
Hospitals = tuple[str, ...]


def names(many: int) -> Hospitals:
    return tuple(f"hospital-{number:03}" for number in range(many))


def identity_of(hospital: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"identity of {hospital}".encode()).digest())


def agreement_of(hospitals: Iterable[str], rounds: int = 2, study: str = "study", run: str = "run") -> Agreement:
    fingerprints = {hospital: fingerprint_of(identity_of(hospital).public_key()) for hospital in hospitals}
    return Agreement(study, run, fingerprints, rounds)


def keep_nothing(part: str, content: bytes, /) -> None:
    """A store for a hospital that will not live long."""


@dataclass
class Run:
    """Hospitals of one agreement, each with what it kept."""

    agreement: Agreement
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    participants: dict[str, Participant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for hospital in self.agreement.hospitals:
            if hospital not in self.kept:
                seed = hashlib.sha256(self.agreement.digest + hospital.encode()).digest()
                self.kept[hospital] = {"secret": pack("secret", self.agreement.digest, seed)}
            self.restart(hospital)

    def restart(self, hospital: str) -> Participant:
        """The hospital's process ends, and another begins from what was kept."""
        kept = self.kept[hospital]
        self.participants[hospital] = Participant(
            hospital, identity_of(hospital), self.agreement, kept.__setitem__, dict(kept)
        )
        return self.participants[hospital]

    def set_up(self) -> SetUp:
        keys = {hospital: p.announce() for hospital, p in self.participants.items()}
        deals = {hospital: p.deal(keys) for hospital, p in self.participants.items()}
        set_up = SetUp.from_messages(self.agreement, keys, deals)
        for hospital, participant in self.participants.items():
            participant.receive(set_up.parcels_for(hospital))
        return set_up

    def mask(
        self, answers: Answers, scales: Exponents, round_number: int = 1, question: str = "question"
    ) -> dict[str, bytes]:
        return {
            hospital: self.participants[hospital].mask(round_number, question, answers[hospital], scales)
            for hospital in sorted(answers)
        }

    def reveal(
        self, survivors: Hospitals, scales: Exponents, round_number: int = 1, question: str = "question"
    ) -> dict[str, bytes]:
        """Shares of all survivors, after as many acknowledgements as it takes."""
        acknowledgements: dict[str, bytes] = {}
        if survivors != self.agreement.hospitals:
            acknowledgements = {
                hospital: self.participants[hospital].acknowledge(round_number, question, scales, survivors)
                for hospital in survivors
            }
        return {
            hospital: self.participants[hospital].reveal(
                round_number, question, scales, survivors, acknowledgements
            )
            for hospital in survivors
        }


def started(many: int, rounds: int = 2, **agreed: str) -> tuple[Run, SetUp]:
    run = Run(agreement_of(names(many), rounds, **agreed))
    return run, run.set_up()


def scales_for(answers: Answers) -> Exponents:
    """Scales into which the largest values of all hospitals fit."""
    every = list(answers.values())
    return magnitudes({name: np.max([np.abs(own[name]) for own in every], axis=0) for name in every[0]}, {})


def whole_numbers(hospitals: Hospitals, size: int = 6, seed: int = 1) -> dict[str, Arrays]:
    """Answers whose total is exact in any arithmetic."""
    rng = np.random.default_rng(seed)
    return {
        hospital: {"sums": rng.integers(-1000, 1000, (2, size)).astype(float), "n": np.array(float(place))}
        for place, hospital in enumerate(hospitals, 1)
    }


def exact_total(answers: Answers, hospitals: Iterable[str]) -> Arrays:
    chosen = sorted(hospitals)
    return {name: np.asarray(sum(answers[h][name] for h in chosen)) for name in answers[chosen[0]]}


def added(
    set_up: SetUp,
    masked: Mapping[str, bytes],
    scales: Exponents,
    round_number: int = 1,
    question: str = "question",
) -> RoundTotal:
    total = RoundTotal(set_up, round_number, question, scales)
    for hospital in sorted(masked):
        total.add(hospital, masked[hospital])
    return total


def same(found: Arrays, expected: Arrays) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in found)
