"""How many patients the others have: taken from the coordinator only where the hospitals themselves signed it."""

from client.approval import Approval
from client.gate_rules.memory import Memory
from client.identity import verify
from common.errors import Code, HospitalError
from common.query import Query, canonical_json
from common.room import PURPOSE, Room, Seat


def room_of(memory: Memory, query: Query, sent: str, approval: Approval) -> Room | None:
    """The room of the query's roster, checked and pinned; None where it was never sent.

    Parameters
    ----------
    sent
        The room in the message; empty where there was none.
    """
    roster = canonical_json(sorted(query.roster))
    known = memory.room(query.study, roster)
    seats = sent or known
    if seats is None or not query.roster:
        return None
    try:
        room = Room.from_json(seats)
    except ValueError as error:
        raise HospitalError(Code.BAD_PARAMETERS, f"a room that cannot be read: {str(error)[:200]}") from None
    if room.names != tuple(sorted(query.roster)):
        raise _unsigned(
            f"the room seats {', '.join(room.names)}, the question is asked of {', '.join(query.roster)}"
        )
    for seat in room.seats:
        _check_signature(seat, query.study, approval)
    if memory.keep_room(query.study, roster, seats) != seats:
        raise _unsigned("other numbers than those that were handed round first in this study and roster")
    return room


def check_own_seat(room: Room, hospital: str, patients: int) -> None:
    """HospitalError where the room says of this hospital what is not so."""
    own = [seat.patients for seat in room.seats if seat.hospital == hospital]
    if own != [patients]:
        raise _unsigned(f"the room gives this hospital {own} patients, it has {patients} in this study")


def _check_signature(seat: Seat, study_hash: str, approval: Approval) -> None:
    expected = approval.roster.get(seat.hospital)
    if not seat.key or seat.fingerprint != expected:
        raise _unsigned(
            f"{seat.hospital} signs with a key of the fingerprint {seat.fingerprint or 'none'}, approved was {expected}"
        )
    if not verify(bytes.fromhex(seat.key), seat.statement(study_hash), bytes.fromhex(seat.signature), PURPOSE):
        raise _unsigned(f"what the room says of {seat.hospital} does not carry its signature")


def _unsigned(found: str) -> HospitalError:
    return HospitalError(
        Code.NUMBERS_NOT_SIGNED,
        f"{found}: the coordinator, or somebody in between, altered it; compare fingerprints before going on",
    )
