"""The hospital's gate: what may be asked at all, what must hold before a sum is worked out, and before it leaves.

Read this file, client/gate_rules/ and client/queries/ to know everything that can leave this hospital, and when.
`admit` looks at who asks and for which study; `check` at the question; `check_answer` at the arrays. In the lower
profile (simulations on one machine) approval is taken as given and only the roster is looked at; bounds of
parameters, views and the frozen cohort are held there as everywhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from client.approval import Approval, approval_of
from client.cohort.cohort import Cohort
from client.gate_rules.bins import check_bins
from client.gate_rules.budget import spend_budget
from client.gate_rules.cells import check_cells, check_own_cells
from client.gate_rules.cohorts import check_cohort, check_withdrawals, keep_cohort
from client.gate_rules.counts import keep_counts
from client.gate_rules.declared import Declared, declared
from client.gate_rules.edges import check_edges
from client.gate_rules.external import asks_about_external, check_external_total, check_whole_hospitals, unlock
from client.gate_rules.local_work import check_local_work
from client.gate_rules.lone_contributors import check_lone_contributors
from client.gate_rules.lone_second_outcome import check_lone_second_outcome
from client.gate_rules.lone_subgroups import check_lone_subgroups
from client.gate_rules.measured_again import freeze_measured_again
from client.gate_rules.memory import Earlier, Memory
from client.gate_rules.other_rosters import check_other_rosters
from client.gate_rules.participation import check_participation
from client.gate_rules.questions import questions_of
from client.gate_rules.repetition import check_repetition, check_view
from client.gate_rules.rooms import check_own_seat, room_of
from client.gate_rules.row_sets import check_alone, check_row_sets
from client.rows import Rows
from client.site import Site
from client.store import Store
from common.errors import Code, HospitalError
from common.privacy_plan import is_private
from common.query import FEWEST_HOSPITALS, ROLL_CALL, WITHOUT_SUMS, Answer, Query, View, canonical_json
from common.room import Room
from common.study import Study
from common.whole_hospitals import trains
from common.wire import Handed

VIEWS_IN_PARAMETERS = ("after", "harmonised")
Thresholds = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Admitted:
    """A question that may be looked at: by which approval, and who is in the room; None in the lower profile."""

    memory: Memory
    approval: Approval | None = None
    room: Room | None = None


def check_approval(site: Site, store: Store, study: Study) -> Approval | None:
    """The study's approval, refused where it does not hold (any more); None in the lower profile."""
    if site.lower_profile:
        return None
    approval = approval_of(store, study)
    approval.check(datetime.now(UTC).date())
    return approval


def admit(site: Site, store: Store, study: Study, query: Query, handed: Handed) -> Admitted:
    """Refuse a study that is not approved (any more), other hospitals than approved, and queries not allowed.

    It is asked for every message, before anything is stored or a kept answer is sent again: that is how an approval
    that was revoked stops a running study.
    """
    memory = Memory(store)
    check_withdrawals(site, memory, study)
    approval = check_approval(site, store, study)
    if approval is None:
        return Admitted(memory)
    allowed = site.file.policy.allowed_queries
    if allowed is not None and query.name not in (ROLL_CALL, *allowed):
        raise HospitalError(
            Code.NOT_ALLOWED,
            f"query {query.name!r} is not among the policy's allowed_queries ({', '.join(allowed)})",
        )
    if query.name == ROLL_CALL:
        return Admitted(memory, approval)
    _check_who_is_there(site, query)
    approval.check_roster(query.roster)
    room = room_of(memory, query, handed.room, approval)
    if room is not None:
        keep_counts(memory, query, room, handed.counts)
    return Admitted(memory, approval, room)


def check_roster(site: Site, query: Query, another: bool) -> None:
    """Who is in the room: this hospital, with enough others, and no other room before.

    Parameters
    ----------
    another
        Whether another roster got an answer in this study.
    """
    if query.name == ROLL_CALL:
        return
    _check_who_is_there(site, query)
    alone = query.disclosure == "single hospital"
    if (alone or another) and not site.single_hospital_sums:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            "the answer would let this hospital's own sums be derived "
            "(leave one hospital out, a reference hospital, or a second roster in a study that has been answered); "
            "site.yaml does not allow it (policy: single_hospital_sums: true)",
        )
    if alone and len(query.roster) <= FEWEST_HOSPITALS and not site.lower_profile:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            f"single-hospital sums need {FEWEST_HOSPITALS + 1} hospitals, not {len(query.roster)}",
        )


def freeze(site: Site, store: Store, admitted: Admitted, study: Study, cohort: Cohort, digest: str) -> None:
    """Freeze a study's cohort, or refuse one that has changed since, or nearly equals another study's.

    Parameters
    ----------
    digest
        Of everything that is frozen: the cohort, and measurements that were repeated.
    """
    if not site.lower_profile:
        check_cohort(site, admitted.memory, study, cohort)
    freeze_measured_again(site, admitted.memory, study, cohort)
    store.freeze_cohort(study.hash, digest)
    keep_cohort(admitted.memory, study, cohort)


def check(rows: Rows, asked: Any, admitted: Admitted, another: bool) -> Thresholds:
    """Hold a question against every rule that can be held before it is answered; what was checked, by name.

    Parameters
    ----------
    asked
        The query's parameters, within their bounds.
    another
        Whether another roster got an answer in this study: then this one's sums count as this hospital's own.
    """
    query, approval, room = rows.query, admitted.approval, admitted.room
    about, here = declared(query.name), _patients_here(rows, admitted)
    if approval is None or query.name == ROLL_CALL:
        return here | spend_budget(rows, admitted.memory)
    if query.name not in questions_of(rows.study):
        raise HospitalError(
            Code.NOT_ALLOWED, f"query {query.name!r} is none of those that the approved study asks"
        )
    if room is None:
        raise HospitalError(
            Code.UNKNOWN_VIEW, f"the numbers of patients of {', '.join(query.roster)} were not handed round"
        )
    check_own_seat(room, rows.site.name, len(rows.cohort.ids))
    roster = canonical_json(sorted(query.roster))
    if query.name in WITHOUT_SUMS:
        return here
    check_external_total(rows, room)
    held = check_row_sets(rows, asked, about, room)
    if another:
        check_other_rosters(rows, admitted.memory, room, held.columns)
    adds = trains(rows.study, rows.site.name) or asks_about_external(query)  # else this hospital's sums are zeros
    if adds and (another or query.disclosure == "single hospital"):
        check_alone(rows, held.columns)
        if not is_private(rows.study):  # what it refuses depends on single patients, and would carry no noise
            check_own_cells(rows)
    check_cells(rows, asked, about)
    check_lone_subgroups(rows, asked, room)
    check_lone_second_outcome(rows, room)
    check_lone_contributors(rows, asked, room)
    check_bins(rows, asked, room)
    most = _most(rows.site, approval)
    admitted.memory.let_views_through(query.study, roster, _views(rows, asked), check_view(rows.study))
    check_local_work(rows, held.patients)
    check_participation(rows, room)
    admitted.memory.let_question_through(
        query, roster, _judge(rows, about, room, most, held.patients), with_arrays=not about.rounds
    )
    here |= spend_budget(rows, admitted.memory)
    return here | {
        "patients in the smallest row set": held.patients,
        "columns of the widest cross-product": held.columns,
        "hospitals": len(query.roster),
        "questions allowed": most,
    }


def _patients_here(rows: Rows, admitted: Admitted) -> dict[str, int | float | str]:
    """What the ledger notes of every answer; at an external hospital, when its outcomes were first used."""
    here: dict[str, int | float | str] = {"patients here": len(rows.cohort.ids)}
    if rows.query.name == ROLL_CALL:
        return here
    check_whole_hospitals(rows)
    first = unlock(rows, admitted.memory)
    return here | ({"sealed outcomes first used": first} if first else {})


def check_answer(rows: Rows, answer: Answer) -> None:
    """Refuse arrays that cannot be a sum of this hospital's patients: not finite, or of another shape than asked."""
    query = rows.query
    for name, array in answer.sums.items():
        if array.dtype != np.float64:
            raise HospitalError(Code.INTERNAL, f"query {query.name!r}: {name} is {array.dtype}, expected float64")
        if not rows.site.lower_profile and not np.isfinite(array).all():
            raise HospitalError(
                Code.BAD_PARAMETERS, f"query {query.name!r}: {name} holds what is not a finite number"
            )
    if query.name != ROLL_CALL and answer.disclosed.hospital is not None:
        raise HospitalError(Code.INTERNAL, f"query {query.name!r}: it tells what only the roll call may")


def _judge(
    rows: Rows, about: Declared, room: Room, most: int, smallest: int
) -> Callable[[list[Earlier], int], None]:
    def judge(earlier: list[Earlier], total: int) -> None:
        check_repetition(rows, about, earlier, total, most, smallest)
        check_edges(rows, earlier, room)

    return judge


def _most(site: Site, approval: Approval) -> int:
    own = site.file.policy.maximum_queries
    return approval.maximum_queries if own is None else min(own, approval.maximum_queries)


def _views(rows: Rows, asked: Any) -> list[View]:
    """Every view that a question rests on, the roots first."""
    named = [rows.query.view, *(getattr(asked, name, None) for name in VIEWS_IN_PARAMETERS)]
    chains = [rows.views.chain(name) for name in named if isinstance(name, str)]
    found = {view.hash: view for chain in chains for view in reversed(chain)}
    return list(found.values())


def _check_who_is_there(site: Site, query: Query) -> None:
    hospitals = set(query.roster)
    if len(hospitals) != len(query.roster) or site.name not in hospitals or len(hospitals) < FEWEST_HOSPITALS:
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"the roster {list(query.roster)} must name {site.name} and {FEWEST_HOSPITALS - 1} others, once each",
        )
