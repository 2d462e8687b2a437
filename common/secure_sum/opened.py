"""A round that was opened, with all that a hospital of its roster needs to add it up by itself.

The coordinator tells a total this way, and can tell no other. Every masked answer carries the signature of its
hospital's long-term key over study, run, roster, round, question and shapes: so what is added is fixed, and pair masks
cancel only over the whole roster. Of the self masks the seeds are told. They need no commitment beside the signatures:
any other seed leaves noise, which keeps within the ring's bounds and fits the check value with a chance below 2⁻⁶⁴.
Whoever reads it learns the total and no more: a hospital's numbers stay under the masks that it shares with the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.query import Arrays
from common.secure_sum.agreement import MOST_HOSPITALS, Agreement
from common.secure_sum.encoding import (
    LONGEST_TEXT,
    number,
    pack,
    pack_many,
    read_number,
    read_text,
    unpack,
    unpack_many,
)
from common.secure_sum.fixed_point import Exponents, decode
from common.secure_sum.keys import KEY_BYTES, check_signed_by
from common.secure_sum.masks import add_masks, check_value
from common.secure_sum.messages import Masked
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.terms import Terms

_KIND = "opened"
_NUMBER_BYTES = 8


@dataclass(frozen=True)
class Opened:
    """An opened round; study and roster are those of whoever reads it, never taken from here.

    Parameters
    ----------
    run, rounds
        Of the keys: their name, and for how many rounds they are.
    masked, seeds
        Every hospital's masked answer, signed, and the seed of its own mask, in the order of names.
    """

    run: str
    rounds: int
    round_number: int
    question: str
    scales: bytes
    masked: tuple[bytes, ...]
    seeds: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """The round as it travels and is kept."""
        numbers = (number(self.rounds), number(self.round_number))
        texts = (self.run.encode(), self.question.encode())
        return pack(_KIND, *texts, *numbers, self.scales, pack_many(self.masked), pack_many(self.seeds))

    @staticmethod
    def from_bytes(packed: bytes) -> "Opened":
        """The round in these bytes; ValueError for anything else."""
        most = len(packed)
        limits = (LONGEST_TEXT, LONGEST_TEXT, _NUMBER_BYTES, _NUMBER_BYTES, most, most, most)
        run, question, rounds, round_number, scales, masked, seeds = unpack(packed, _KIND, *limits)
        return Opened(
            read_text(run),
            read_number(rounds),
            read_number(round_number),
            read_text(question),
            scales,
            tuple(unpack_many(masked, MOST_HOSPITALS, most)),
            tuple(unpack_many(seeds, MOST_HOSPITALS, KEY_BYTES)),
        )

    def total(self, agreement: Agreement, identities: Mapping[str, bytes]) -> Arrays:
        """What all hospitals of the roster answered, added up.

        Parameters
        ----------
        agreement
            With the reader's own study and roster, and this round's run.
        identities
            The long-term public keys whose fingerprints are in the roster.
        """
        try:
            terms = Terms(agreement, self.round_number, self.question, Exponents.from_bytes(self.scales))
        except ValueError as error:
            raise SecureSumRefused(f"a round of shapes that cannot be read: {error}") from None
        if not len(self.masked) == len(self.seeds) == len(agreement.hospitals):
            raise SecureSumRefused(
                f"{len(self.masked)} answers and {len(self.seeds)} seeds of {len(agreement.hospitals)} hospitals"
            )
        vector = np.zeros(terms.scales.values + 1, dtype="<u8")
        for hospital, packed in zip(agreement.hospitals, self.masked, strict=True):
            try:
                masked = Masked.from_bytes(packed, terms)
            except ValueError as error:
                raise SecureSumRefused(
                    f"{hospital}: its masked answer cannot be read: {error}", hospital
                ) from None
            signed = masked.signed(terms, hospital)
            check_signed_by(hospital, identities[hospital], masked.signature, signed, "its masked sums")
            vector += masked.vector
        add_masks(vector, (), [terms.self_mask(seed) for seed in self.seeds])
        if check_value(vector[:-1])[0] != vector[-1]:
            raise SecureSumRefused("the masks do not cancel: a seed is not that of the hospital's mask")
        return decode(vector[:-1], terms.scales, len(agreement.hospitals))
