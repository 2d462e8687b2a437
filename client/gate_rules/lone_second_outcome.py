"""A second outcome that one or two hospitals have is neither trained on nor judged: the total would be theirs."""

from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS
from common.room import Room

ASKING = ("train_network", "second_task")


def check_lone_second_outcome(rows: Rows, room: Room) -> None:
    """Refuse where, by what was signed at the roll call, too few hospitals know a network's second outcome.

    Where hospitals are left out in turn, one more is needed, as for all sums.
    """
    columns = rows.study.second_columns()[-1:]
    if rows.query.name not in ASKING or not columns:
        return
    least = FEWEST_HOSPITALS + rows.study.validation.leave_one_hospital_out
    having = sum(seat.without_missing(columns[0]) > 0 for seat in room.seats)
    if having < least:
        raise HospitalError(
            Code.LONE_SECOND,
            f"query {rows.query.name!r}: {having} hospitals know the second outcome, {columns[0]}, of five patients "
            f"and more who had it, and who had not; {least} are needed, or its part of the total would be theirs",
        )
