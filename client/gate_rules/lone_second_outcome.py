"""A second outcome that one or two hospitals have is neither trained on nor judged: the total would be theirs."""

from client.gate_rules.external import asks_about_external
from client.gate_rules.lone_parts import lone_part
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.whole_hospitals import EXTERNAL

ASKING = ("train_network", "second_task")


def check_lone_second_outcome(rows: Rows, room: Room) -> None:
    """Refuse where, by what was signed at the roll call, too few hospitals know a network's second outcome."""
    columns = rows.study.second_columns()[-1:]
    if rows.query.name not in ASKING or not columns:
        return
    knowing = room.knowing(columns[0])
    found = lone_part(rows.study, room.names, knowing.names)
    judged = len(knowing.judged(rows.study, EXTERNAL).seats)
    if not found and asks_about_external(rows.query) and 0 < judged < FEWEST_HOSPITALS:
        found = f"{judged} external hospitals, of none or {FEWEST_HOSPITALS} that are needed"
    if found:
        raise HospitalError(
            Code.LONE_SECOND,
            f"query {rows.query.name!r}: {found}, know the second outcome, {columns[0]}, of five patients and more who "
            "had it, and who had not: its part of the total would be theirs",
        )
