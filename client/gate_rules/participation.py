"""Hospitals that train together in some rounds only: the total of every such group is a total by itself.

Rounds in which other groups train, from the same weights, can be subtracted. So each group has patients enough, no
lone second outcome, and trains in a third as many rounds as it has patients (common/networks/rounds.py deals them).
"""

from collections.abc import Sequence

from client.rows import Rows
from common.dimension import times_allowed
from common.errors import Code, HospitalError
from common.networks.rounds import participants, training_groups
from common.outcomes import needed_for_classes
from common.query import FEWEST_HOSPITALS, LEAVE_OUT
from common.room import Room
from common.splits import INNER
from common.whole_hospitals import whole


def check_participation(rows: Rows, room: Room) -> None:
    """Refuse a round where the update of some group would tell on few patients, or on one hospital."""
    query, study, settings = rows.query, rows.study, rows.study.network
    if query.name != "train_network" or settings is None or settings.participation == 1:
        return
    groups = training_groups(study, query.roster)
    drawn = [participants(study, query.roster, number) for number in range(1, settings.rounds + 1)]
    if all(len(names) == sum(map(len, groups)) for names in drawn):
        return
    for group in groups:
        seats = Room(tuple(seat for seat in room.seats if seat.hospital in group))
        _check_lone_parts(rows, seats)
        held = [_fewest(rows, seats, split) for split in query.splits if not _left_out(rows, split, group)]
        fewest = min(held, default=seats.patients)
        if (often := sum(group[0] in names for names in drawn)) > times_allowed(fewest):
            raise HospitalError(
                Code.MANY_QUERIES,
                f"query {query.name!r}: {', '.join(group)} train together in {often} rounds over {fewest} patients; a "
                "third of them are allowed: write fewer network.rounds, or participation: 1",
            )


def _fewest(rows: Rows, seats: Room, split: str) -> int:
    """Patients whom a group surely trains on, enough of them and of their classes."""
    policy, study = rows.site.file.policy, rows.study
    patients = seats.fewest(study, split, True, needed_for_classes(study.outcome))
    of_a_class = seats.fewest_of_a_class(study, split, True)
    if patients < policy.minimum_row_set or (of_a_class is not None and of_a_class < policy.minimum_cell):
        raise HospitalError(
            Code.FEW_IN_ROW_SET,
            f"query 'train_network': {', '.join(seats.names)} train together on {patients} patients in {split}"
            f"{'' if of_a_class is None else f', {of_a_class} of the rarer class'}; this hospital asks for "
            f"{policy.minimum_row_set} and {policy.minimum_cell}: write network.participation: 1",
            split,
        )
    return patients


def _check_lone_parts(rows: Rows, seats: Room) -> None:
    columns, settings = rows.study.second_columns()[-1:], rows.study.network
    knowing = {f"know the second outcome, {name}": (Code.LONE_SECOND, seats.knowing(name)) for name in columns}
    if settings is not None and settings.sees_images:
        knowing["have images"] = Code.LONE_IMAGES, seats.contributors("images")
    for what, (code, there) in knowing.items():
        if 0 < (having := len(there.seats)) < FEWEST_HOSPITALS:
            raise HospitalError(
                code,
                f"query 'train_network': of {', '.join(seats.names)}, who train together, {having} {what}; "
                f"{FEWEST_HOSPITALS} are needed: write network.participation: 1",
            )


def _left_out(rows: Rows, split: str, group: Sequence[str]) -> bool:
    """Whether a split leaves the group out, or one hospital, whose own sums other rules hold."""
    taken = whole(rows.study, split.partition(INNER)[0], group[0])
    return split.startswith(LEAVE_OUT) or (taken is not None and not taken.trains)
