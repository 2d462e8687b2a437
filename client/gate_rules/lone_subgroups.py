"""A subgroup that one or two hospitals have is not summed: the total would be theirs."""

from typing import Any

from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS
from common.room import Room


def check_lone_subgroups(rows: Rows, asked: Any, room: Room) -> None:
    """Refuse subgroups in which, by what the hospitals signed at the roll call, fewer than three take part."""
    taking_part = {k: room.with_subgroup(k) for k in getattr(asked, "subgroups", ())}
    comparing = {k: room.with_subgroup(k, comparing=True) for k in getattr(asked, "compared", ())}
    for number, hospitals in (*taking_part.items(), *comparing.items()):
        if hospitals < FEWEST_HOSPITALS:
            raise HospitalError(
                Code.SINGLE_HOSPITAL,
                f"query {rows.query.name!r}: {hospitals} hospitals take part in the study's subgroup {number}, "
                f"{FEWEST_HOSPITALS} are needed: the total would be theirs",
            )
