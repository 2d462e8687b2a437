"""Counts of a hospital and its neighbours under masks, opened: what an honest coordinator hands round."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from client.app import Whereabouts, respond
from common import wire
from common.masking import Asking, Step
from common.query import Arrays, Query, View
from common.secure_sum.agreement import Agreement
from common.secure_sum.bounded import to_summed
from common.secure_sum.encoding import unpack
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.opened import Opened
from common.secure_sum.participant import Participant
from common.secure_sum.set_up import SetUp
from common.secure_sum.total import RoundTotal
from common.secure_sum.wide import MASKED
from common.study import Study
from tests.approved import identity_of, site_of

Neighbour = Callable[[Arrays], Mapping[str, np.ndarray]]
"""What each neighbour answers, from what the hospital itself answers."""


def alike(own: Arrays) -> Arrays:
    """Neighbours that count as the hospital does."""
    return own


def nobody(own: Arrays) -> Arrays:
    """Neighbours of whom nobody is in any bin but the last: all their patients score above every edge."""
    return {name: array * (name not in ("below", "patients")) for name, array in own.items()}


def counted_together(
    hospital: Whereabouts,
    chosen: Study,
    query: Query,
    views: Sequence[View],
    own: Arrays,
    neighbour: Neighbour = alike,
    room: str = "",
) -> Opened:
    """The opened round in which a hospital and its neighbours answered a question that it has answered before.

    Parameters
    ----------
    own
        What the hospital answered.
    """
    here = site_of(hospital).name
    names = sorted(query.roster)
    fingerprints = {name: identity_of(hospital, name).fingerprint for name in names}
    agreement = Agreement(chosen.hash, f"run-{query.question[:16]}", fingerprints, 1)
    others = {
        name: Participant(name, identity_of(hospital, name).private_key, agreement, lambda *_: None)
        for name in names
        if name != here
    }

    def step(asking: Asking) -> bytes:
        return respond(hospital, wire.step_to_record(asking)).content

    keys = {name: one.announce() for name, one in others.items()} | {here: step(Asking(agreement, Step.ANNOUNCE))}
    deals = {name: one.deal(keys) for name, one in others.items()}
    deals[here] = step(Asking(agreement, Step.DEAL, parts=keys))
    set_up = SetUp.from_messages(agreement, keys, deals)
    asking = Asking(agreement, round_number=1, parts=set_up.parcels_for(here))
    packed = {view.hash: view.to_bytes() for view in views}
    reply = respond(hospital, wire.query_to_record(query, packed, room, asking))
    scales, answered = unpack(reply.content, MASKED, len(reply.content), len(reply.content))
    masked = {here: answered}
    for name, one in others.items():
        one.receive(set_up.parcels_for(name))
        summed, shapes, groupings = to_summed(neighbour(own), {}, name, query.question)
        masked[name] = one.mask(1, query.question, summed, shapes, groupings)
    total = RoundTotal(set_up, 1, query.question, Exponents.from_bytes(scales))
    for name in names:
        total.add(name, masked[name])
    reveals = {
        name: one.reveal(1, query.question, Exponents.from_bytes(scales), agreement.hospitals)
        for name, one in others.items()
    }
    total.open(reveals)
    parts: dict[str, Any] = {"run": agreement.run, "rounds": 1, "round_number": 1, "question": query.question}
    return Opened(
        **parts,
        scales=scales,
        masked=tuple(masked[name] for name in names),
        seeds=tuple(total.secrets[name] for name in names),
    )
