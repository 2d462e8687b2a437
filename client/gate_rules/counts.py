"""How many patients of all hospitals are in a cell: added up here, from answers that every hospital signed."""

from collections.abc import Sequence

from client.gate_rules.memory import Memory
from common.counting import COUNTING
from common.errors import Code, HospitalError
from common.query import Query, canonical_json
from common.room import Room
from common.secure_sum.agreement import Agreement
from common.secure_sum.bounded import from_summed
from common.secure_sum.opened import Opened
from common.secure_sum.refusals import SecureSumRefused


def keep_counts(memory: Memory, query: Query, room: Room, handed: Sequence[bytes]) -> None:
    """Add up the counts in a message and keep them; HospitalError where they are not those that were signed.

    Parameters
    ----------
    room
        The hospitals of the question, whose keys were approved: counts of another roster do not add up.
    """
    roster = canonical_json(sorted(query.roster))
    for packed in handed:
        try:
            opened = Opened.from_bytes(packed)
            if memory.has_counts(roster, opened.question):
                continue
            if not memory.was_asked(query.study, roster, opened.question, COUNTING):
                raise SecureSumRefused("counts of a question that this hospital was never asked under this roster")
            fingerprints = {seat.hospital: seat.fingerprint for seat in room.seats}
            agreement = Agreement(query.study, opened.run, fingerprints, opened.rounds)
            identities = {seat.hospital: bytes.fromhex(seat.key) for seat in room.seats}
            counts = from_summed(opened.total(agreement, identities), {})
        except (ValueError, SecureSumRefused) as error:
            raise HospitalError(
                Code.NUMBERS_NOT_SIGNED,
                f"the counts of all hospitals that were handed round are not what they signed: {error}",
            ) from None
        memory.keep_counts(roster, opened.question, counts)
