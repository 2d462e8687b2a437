"""Who is in the room, and with how many patients: from this each hospital works out how many stand behind a total.

A hospital knows its own patients only. So the coordinator hands round what each hospital said at the roll call, a
seat each, signed by the hospital: a coordinator that wrote larger numbers to have smaller totals answered would need
the keys of the hospitals whose fingerprints were approved.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from common.auditing import accuses
from common.privacy_plan import is_private
from common.query import FEWEST_HOSPITALS, HEXADECIMAL, SMALLEST_CELL, Contribution, Disclosed, canonical_json
from common.secure_sum.agreement import fingerprint_of
from common.splits import FINAL, INNER
from common.study import HospitalName, Study
from common.whole_hospitals import is_judged, trains, whole

PURPOSE = "numbers of patients at the roll call"
KFOLD = "kfold/"


class Seat(BaseModel):
    """What one hospital said of itself at the roll call.

    Parameters
    ----------
    subgroups, comparing
        Numbers of the study's subgroups in which it takes part, and in which it has five patients of every class.
    contributes
        What it can add to totals to which some hospitals alone can.
    alone
        Whether its policy allows that its own sums are derived.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hospital: HospitalName
    patients: int = Field(ge=0)
    events: int | None = None
    missing: dict[str, int] = {}
    subgroups: tuple[int, ...] = ()
    comparing: tuple[int, ...] = ()
    contributes: tuple[Contribution, ...] = ()
    alone: bool = False
    key: str = Field(default="", pattern=f"^$|{HEXADECIMAL}")
    signature: str = Field(default="", pattern=f"^$|{HEXADECIMAL}")

    def statement(self, study_hash: str) -> bytes:
        """What the hospital signs."""
        said = self.model_dump(exclude={"key", "signature"})
        return canonical_json({"study": study_hash} | said).encode()

    @property
    def fingerprint(self) -> str:
        """Of the key that the seat names; empty where it names none that can be read."""
        try:
            return fingerprint_of(Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key)))
        except ValueError:
            return ""

    def without_missing(self, column: str) -> int:
        """How many of its patients surely have a value: a number that was suppressed is below five."""
        return max(0, self.patients - self.missing.get(column, SMALLEST_CELL - 1))


_SEATS = TypeAdapter(tuple[Seat, ...])


@dataclass(frozen=True)
class Room:
    """The seats of a roster, in the order of names."""

    seats: tuple[Seat, ...]

    @staticmethod
    def of(disclosed: Mapping[str, Disclosed]) -> "Room":
        """The room of the hospitals that answered the roll call."""
        return Room(tuple(seat_of(name, disclosed[name]) for name in sorted(disclosed)))

    def to_json(self) -> str:
        """The room as it travels and is kept."""
        return canonical_json([seat.model_dump(exclude_defaults=True) for seat in self.seats])

    @staticmethod
    def from_json(text: str) -> "Room":
        """The room that `to_json` wrote; anything else raises ValueError."""
        return Room(_SEATS.validate_json(text))

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals."""
        return tuple(seat.hospital for seat in self.seats)

    def judged(self, study: Study, scheme: str) -> "Room":
        """The seats of the hospitals whose patients a scheme judges: for `apparent`, those that train."""
        return Room(tuple(seat for seat in self.seats if is_judged(study, scheme, seat.hospital)))

    @property
    def patients(self) -> int:
        """All patients of the study."""
        return sum(seat.patients for seat in self.seats)

    @property
    def most_of_smaller_class(self) -> int:
        """The largest size that the smaller class can have, in total, after what was disclosed."""
        events = sum(s.patients if s.events is None else s.events for s in self.seats)
        others = sum(s.patients if s.events is None else s.patients - s.events for s in self.seats)
        return min(events, others, self.patients // 2)

    def with_subgroup(self, number: int, *, comparing: bool = False) -> int:
        """How many hospitals take part in a subgroup, or compare its patients in pairs."""
        return sum(number in (seat.comparing if comparing else seat.subgroups) for seat in self.seats)

    def contributing(self, what: str) -> int:
        """How many hospitals can add to a total to which some alone can."""
        return len(self.contributors(what).seats)

    def contributors(self, what: str) -> "Room":
        """The seats of those who can."""
        return Room(tuple(seat for seat in self.seats if what in seat.contributes))

    def knowing(self, column: str) -> "Room":
        """The seats of those who surely have a value of a column."""
        return Room(tuple(seat for seat in self.seats if seat.without_missing(column) > 0))

    def accusing(self, study: Study, allowed: float) -> int:
        """How many hospitals have patients enough for the audit's accusations at a share of false ones."""
        return sum(accuses(seat.patients, allowed) for seat in self.seats if trains(study, seat.hospital))

    def fewest(self, study: Study, split: str, training: bool, known: tuple[str, ...] = ()) -> int:
        """A number that the row set of a split surely reaches in total.

        Folds are dealt within each hospital so that their sizes differ by one at the most.

        Parameters
        ----------
        known
            Columns that must all be known; those who lack one may all be in this row set.
        """
        total = 0
        for seat in self.seats:
            lacking = sum(seat.patients - seat.without_missing(column) for column in known)
            total += max(0, _fewest_at(seat, study, split, training) - lacking)
        return total

    def fewest_of_a_class(self, study: Study, split: str, training: bool) -> int | None:
        """Patients of the rarer class whom the row set of a split surely holds; None where nobody said how many.

        Folds are dealt evenly within a class too. A hospital that suppresses its number counts as having none; of
        times to an event, the events alone count.
        """
        if study.outcome.kind == "multiclass" or is_private(study):
            return None
        classes = [[seat.events or 0 for seat in self.seats]]
        if study.outcome.kind == "binary":
            classes.append([seat.patients - seat.events if seat.events else 0 for seat in self.seats])
        return min(
            sum(
                _fewest_at(seat.model_copy(update={"patients": number}), study, split, training)
                for seat, number in zip(self.seats, numbers, strict=True)
            )
            for numbers in classes
        )


def _fewest_at(seat: Seat, study: Study, split: str, training: bool) -> int:
    """A number that the row set of a split surely reaches at one hospital."""
    outer, _, inner = split.partition(INNER)
    if inner:
        return _of_folds(_fewest_at(seat, study, outer, True), study.inner_folds(), training)
    if (taken := whole(study, split, seat.hospital)) is not None:
        return seat.patients * (taken.trains if training else taken.held_out)
    if split.startswith(KFOLD):
        return _of_folds(seat.patients, max(study.validation.folds, 1), training)
    if split == FINAL:
        return seat.patients
    return seat.patients * (split.endswith(f"/{seat.hospital}") is not training)


def _of_folds(patients: int, folds: int, training: bool) -> int:
    return patients - -(-patients // folds) if training else patients // folds


def seat_of(hospital: str, said: Disclosed) -> Seat:
    """The seat that a hospital's answer to the roll call makes."""
    return Seat(
        hospital=hospital,
        patients=said.patients or 0,
        events=said.events,
        missing=said.missing,
        subgroups=said.subgroups,
        comparing=said.comparing,
        contributes=said.contributes,
        alone=said.alone,
        key=said.key or "",
        signature=said.signature or "",
    )


def fewest_of(roster: Mapping[str, str]) -> int:
    """How many of an approved roster must be in the room: more than two thirds, and three."""
    return max(FEWEST_HOSPITALS, 2 * len(roster) // 3 + 1)


def roster_hash(roster: Mapping[str, str]) -> str:
    """SHA-256 of names and fingerprints: what an approval is tied to."""
    return hashlib.sha256(canonical_json(dict(roster)).encode()).hexdigest()
