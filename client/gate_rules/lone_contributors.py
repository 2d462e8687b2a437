"""A total to which one or two hospitals can contribute would be theirs: repeated measurements, images, accusations."""

from typing import Any

from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.stability import REPEATED

ALWAYS = {"retest": "retest", "attention": "images", "attribution": "images"}


def check_lone_contributors(rows: Rows, asked: Any, room: Room) -> None:
    """Refuse where, by what was signed at the roll call, fewer than three hospitals can contribute."""
    having: dict[str, int] = {}
    if rows.query.name in ALWAYS:
        what = ALWAYS[rows.query.name]
        having[what] = room.contributing(what)
    if rows.query.name == "stability_sums":
        having |= {kind: room.contributing(kind) for kind in REPEATED if getattr(asked, kind)}
    if rows.query.name == "membership":
        having |= {f"accusations at {share:g}": room.accusing(rows.study, share) for share in asked.allowed}
    for what, hospitals in having.items():
        if hospitals < FEWEST_HOSPITALS:
            raise HospitalError(
                Code.SINGLE_HOSPITAL,
                f"query {rows.query.name!r}: {hospitals} hospitals can add to the total of {what}, "
                f"{FEWEST_HOSPITALS} are needed: the total would be theirs",
            )
