"""A total to which one or two hospitals can contribute would be theirs: repeated measurements, images, accusations."""

from typing import Any

from client.gate_rules.lone_parts import lone_part
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS
from common.room import Room
from common.splits import FINAL
from common.stability import REPEATED

OF_THE_FINAL_MODEL = {"retest": "retest", "attention": "images", "attribution": "images"}


def check_lone_contributors(rows: Rows, asked: Any, room: Room) -> None:
    """Refuse where, by what was signed at the roll call, fewer than three hospitals can contribute."""
    query, having = rows.query, dict[str, int]()
    if query.name in OF_THE_FINAL_MODEL:
        _check_final(rows)
        what = OF_THE_FINAL_MODEL[query.name]
        having[what] = room.contributing(what)
    if query.name == "stability_sums":
        having |= {kind: room.contributing(kind) for kind in REPEATED if getattr(asked, kind)}
    if query.name == "membership":
        having |= {f"accusations at {share:g}": room.accusing(rows.study, share) for share in asked.allowed}
    for what, hospitals in having.items():
        if hospitals < FEWEST_HOSPITALS:
            raise HospitalError(
                Code.SINGLE_HOSPITAL,
                f"query {query.name!r}: {hospitals} hospitals can add to the total of {what}, "
                f"{FEWEST_HOSPITALS} are needed: the total would be theirs",
            )
    _check_images(rows, room)


def _check_final(rows: Rows) -> None:
    """Of other rows than all that train, hospitals signed nothing: one may have enough, and the others too few."""
    if rows.query.splits != (FINAL,) or rows.query.rows != "training":
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"query {rows.query.name!r} is asked of the final model and the rows that it was trained on, not of "
            f"{rows.query.rows} rows of {', '.join(rows.query.splits) or 'no split'}",
        )


def _check_images(rows: Rows, room: Room) -> None:
    """Without an image, a patient leaves an encoder's weights as they are: their change would be one hospital's own."""
    settings = rows.study.network
    if rows.query.name != "train_network" or settings is None or not settings.sees_images:
        return
    if found := lone_part(rows.study, room.names, room.contributors("images").names):
        raise HospitalError(
            Code.LONE_IMAGES,
            f"query 'train_network': {found}, have images of five patients and more: what is learnt from images would "
            "be theirs",
        )
