"""Enough patients behind every sum: N ≥ 30 and 3(q + 1) in total, n likewise where a hospital stands alone."""

from dataclasses import dataclass
from typing import Any

from client.gate_rules.declared import Declared
from client.rows import Rows
from common.dimension import patients_needed, times_allowed
from common.errors import Code, HospitalError
from common.query import LEAVE_OUT
from common.room import Room
from common.splits import APPARENT, FINAL


@dataclass(frozen=True)
class Held:
    """The smallest row set and the widest cross-product that a question touches."""

    patients: int
    columns: int


def check_row_sets(rows: Rows, asked: Any, declared: Declared, room: Room) -> Held:
    """Refuse a question of which some row set is too small in total, or too small for its width."""
    policy, query, study = rows.site.file.policy, rows.query, rows.study
    _check_number_of_row_sets(rows, room.judged(study, APPARENT))
    # What a split holds out is the difference of two totals that are both asked for: it counts as a row set too.
    sides = (True, False) if query.splits else (query.rows == "training",)
    smallest, widest = room.judged(study, APPARENT).patients, 0
    for k, split in enumerate(query.splits or (FINAL,)):
        columns = declared.width(rows, asked, k)
        widest = max(widest, columns)
        for known in declared.known(rows, asked):
            for training in sides:
                if split.startswith(LEAVE_OUT) and not training:
                    continue  # one hospital's own rows: check_alone holds these
                patients = room.fewest(study, split, training or not query.splits, known)
                smallest = min(smallest, patients)
                _check_classes(rows, room, split, training or not query.splits)
                among = f" with {', '.join(known)} known" if known else ""
                if patients < policy.minimum_row_set:
                    raise HospitalError(
                        Code.FEW_IN_ROW_SET,
                        f"query {query.name!r}: {patients} patients in total are sure to be in {split}{among}, this "
                        f"hospital asks for {policy.minimum_row_set} (policy: minimum_row_set)",
                        split,
                    )
                if patients < patients_needed(columns, policy.patients_per_column):
                    raise HospitalError(
                        Code.TOO_WIDE,
                        f"query {query.name!r}: a cross-product of {columns} columns over {patients} patients in "
                        f"{split}{among}; {policy.patients_per_column} × (columns + 1) are needed",
                        split,
                    )
    return Held(smallest, widest)


def _check_classes(rows: Rows, room: Room, split: str, training: bool) -> None:
    """Sums that look at the outcome are sums by class as soon as two of them are combined."""
    fewest, least = room.fewest_of_a_class(rows.study, split, training), rows.site.file.policy.minimum_cell
    if fewest is not None and fewest < least:
        raise HospitalError(
            Code.FEW_OF_A_CLASS,
            f"query {rows.query.name!r}: {fewest} patients of the rarer class in total are sure to be in {split}, this "
            f"hospital asks for {least} (policy: minimum_cell)",
            split,
        )


def check_alone(rows: Rows, columns: int) -> None:
    """Refuse sums that could be told to be this hospital's own where it has too few patients for them."""
    patients = len(rows.members.classes)
    least = max(rows.site.floor, patients_needed(columns, rows.site.file.policy.patients_per_column))
    if patients < least:
        raise HospitalError(
            Code.FEW_FOR_SINGLE,
            f"query {rows.query.name!r}: this hospital's own sums over {columns} columns could be derived; that takes "
            f"{least} patients here, and there are {patients}",
        )


def _check_number_of_row_sets(rows: Rows, room: Room) -> None:
    """Totals over many sets of rows are equations for every patient."""
    validation = rows.study.validation
    sets = validation.repeats * (validation.folds - 1) + 1 if validation.folds else 1
    inner = rows.study.inner_folds()
    if inner:
        outer = 1 + validation.repeats * validation.folds + validation.leave_one_hospital_out * len(room.seats)
        sets += outer * (inner - 1)
    if sets > times_allowed(room.patients):
        within = f", each with {inner} folds of its own," if inner else ""
        raise HospitalError(
            Code.MANY_ROW_SETS,
            f"{validation.repeats} repeats of {validation.folds} folds{within} over {room.patients} patients in total: "
            "more sets of rows than a third of the patients",
        )
