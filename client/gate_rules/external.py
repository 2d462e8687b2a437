"""A sealed external hospital: in no training rows, judged by one model, and its outcomes looked at once.

What a study asks about the label `external` unlocks the hospital's outcomes: the first such question is noted with the
model it asks by. Another model, of the same study or of a later one over the same patients, is refused: whoever has
seen how a model does on sealed patients would choose the next one by them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from client.gate_rules.memory import Memory, Unlocked
from client.rows import Rows
from common.errors import Code, HospitalError
from common.query import FEWEST_HOSPITALS, SMALLEST_ROW_SET, WITHOUT_SUMS, WRITES_OWN_COPIES, Query, canonical_json
from common.room import Room
from common.splits import Label
from common.whole_hospitals import EXTERNAL, trains

EXTERNAL_FIGURES = "external_figures"


def asks_about_external(query: Query) -> bool:
    """Whether a question is about the patients of external hospitals, by whatever name it calls its labels."""
    held_out = query.rows == "held_out" and EXTERNAL in query.splits
    return (
        held_out
        or query.name == EXTERNAL_FIGURES
        or any(Label.read(text).scheme == EXTERNAL for text in _texts(list(query.parameters.values())))
    )


def _texts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _texts(list(value))


def check_whole_hospitals(rows: Rows) -> None:
    """Three hospitals and more that train, and three external ones behind every total over these."""
    query, study = rows.query, rows.study
    external = [name for name in query.roster if not trains(study, name)]
    training = len(query.roster) - len(external)
    if training < FEWEST_HOSPITALS:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            f"query {query.name!r}: {training} hospitals that train, {FEWEST_HOSPITALS} are needed",
        )
    if query.name not in WITHOUT_SUMS and asks_about_external(query) and len(external) < FEWEST_HOSPITALS:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            f"query {query.name!r}: a total over {len(external)} external hospitals, {FEWEST_HOSPITALS} are needed",
        )
    for group, named in study.validation.leave_groups_out.items():
        inside = len(set(named) & set(query.roster))
        if query.splits and (inside < FEWEST_HOSPITALS or training - inside < FEWEST_HOSPITALS):
            raise HospitalError(
                Code.SINGLE_HOSPITAL,
                f"query {query.name!r}: {inside} hospitals of the group {group} and {training - inside} others, "
                f"{FEWEST_HOSPITALS} of each are needed",
            )


def check_external_total(rows: Rows, room: Room) -> None:
    """Enough patients behind a total over the external hospitals."""
    if rows.query.name in WITHOUT_SUMS or not asks_about_external(rows.query):
        return
    least = max(SMALLEST_ROW_SET, rows.site.file.policy.minimum_row_set)
    patients = room.judged(rows.study, EXTERNAL).patients
    if patients < least:
        raise HospitalError(
            Code.FEW_IN_ROW_SET,
            f"query {rows.query.name!r}: {patients} patients at the external hospitals, this hospital asks for {least} "
            "(policy: minimum_row_set)",
            EXTERNAL,
        )


def unlock(rows: Rows, memory: Memory) -> str:
    """Note the first question about an external hospital's outcomes; when they were first used, empty where not.

    Raises
    ------
    HospitalError
        Where another model was judged on these patients before.
    """
    study, query = rows.study, rows.query
    if trains(study, rows.site.name) or query.name in WRITES_OWN_COPIES or not asks_about_external(query):
        return ""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    asked = Unlocked(study.hash, study.study, canonical_json(study.outcome_columns()), str(query.view), now)
    own = set(rows.cohort.ids)

    for other in memory.unlocked():
        same = other.study != asked.study and other.outcome == asked.outcome
        if same and own & set(memory.patients(other.study)):
            raise _sealed(f"{other.name} was judged on some of these patients at {other.at}")
    first = memory.unlock(asked)
    if first.model != asked.model:
        raise _sealed(f"another model of {study.study} was judged on these patients at {first.at}")
    return first.at


def _sealed(found: str) -> HospitalError:
    return HospitalError(
        Code.SEALED,
        f"{found}: sealed patients are looked at once. Let this hospital train (take it out of validation.external), "
        "or wait for new patients and take those alone (cohort.include)",
    )
