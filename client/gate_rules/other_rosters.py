"""Who is in one roster of a study and not in another: the difference of the two totals is those hospitals' own.

A hospital that is said to be lost is not asked any more, and one that comes later was not asked before. So each says at
the roll call, signed, whether its own sums may be derived, and the others hold a second roster against that.
"""

from client.gate_rules.external import asks_about_external
from client.gate_rules.memory import Memory
from client.rows import Rows
from common.dimension import patients_needed
from common.errors import Code, HospitalError
from common.room import Room
from common.whole_hospitals import trains


def check_other_rosters(rows: Rows, memory: Memory, room: Room, columns: int) -> None:
    """Refuse a question under another roster where a hospital that is not in both of them does not stand alone.

    Parameters
    ----------
    columns
        Of the question's widest cross-product.
    """
    policy, query = rows.site.file.policy, rows.query
    least = max(rows.site.floor, patients_needed(columns, policy.patients_per_column))
    now = {seat.hospital: seat for seat in room.seats}
    for other in memory.rooms(query.study):
        before = {seat.hospital: seat for seat in Room.from_json(other).seats}
        for name in sorted(now.keys() ^ before.keys()):
            seat = now.get(name) or before[name]
            if not trains(rows.study, name) and not asks_about_external(query):
                continue  # its sums are zeros
            if not seat.alone or seat.patients < least:
                reason = "its policy does not allow that" if not seat.alone else f"it has {seat.patients} patients"
                raise HospitalError(
                    Code.SINGLE_HOSPITAL,
                    f"query {query.name!r}: {name} is in one roster of this study and not in another, so that its own "
                    f"sums could be derived: {reason}; that takes policy: single_hospital_sums: true there when the "
                    f"roll is called, and {least} patients",
                )
