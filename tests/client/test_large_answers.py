"""A network's update is large: it is kept once, and whoever asks again gets the same bytes."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.large_answers import LARGE
from client.ledger import Leaving, entries, kept_answer
from common import wire
from common.errors import HospitalError
from common.query import Answer, canonical_json
from tests.client.kept_ledger import Kept, leaving

STUDY = "s" * 64


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    opened = Kept(tmp_path / "own")
    with closing(opened.store):
        yield opened


def answered(kept: Kept, weights: int) -> tuple[Leaving, str]:
    """An answer of so many weights as the app keeps it, then the ledger; and its roster."""
    asked = leaving().query
    assert asked is not None
    packed = wire.answer_to_bytes(Answer(sums={"update": np.random.default_rng(1).normal(size=weights)}))
    roster = canonical_json(sorted(asked.roster))
    assert kept.store.keep_answer(STUDY, asked.question, roster, packed, False) == packed
    leaves = Leaving(asked, b"masked", packed)
    kept.ledger.prepare(leaves)
    return leaves, roster


def stored(kept: Kept) -> int:
    """Bytes of answers in the store."""
    sizes = kept.store.first(
        "SELECT (SELECT sum(length(answer)) FROM answered) + (SELECT sum(length(answer)) FROM ledger_answers)"
    )
    assert sizes is not None
    return int(sizes[0])


@pytest.mark.parametrize(("weights", "copies"), [(LARGE // 8 + 1, 1), (1000, 2)])
def test_a_large_answer_is_kept_once_and_sent_again_to_the_same_bytes(
    kept: Kept, weights: int, copies: int
) -> None:
    leaves, roster = answered(kept, weights)
    assert leaves.query is not None
    assert stored(kept) == pytest.approx(copies * len(leaves.answer), abs=200)
    assert kept.store.answered(STUDY, leaves.query.question, roster).answer == leaves.answer
    assert kept.store.keep_answer(STUDY, leaves.query.question, roster, b"{another}", False) == leaves.answer
    kept.ledger.prepare(leaves)
    assert kept_answer(kept.store, entries(kept.store)[0]) is not None
    assert kept.faults() == ()


def test_an_answer_that_was_taken_out_of_the_ledger_is_not_worked_out_anew(kept: Kept) -> None:
    leaves, roster = answered(kept, LARGE // 8 + 1)
    assert leaves.query is not None
    kept.tamper("DELETE FROM ledger_answers")
    with pytest.raises(HospitalError, match="no longer in the ledger"):
        kept.store.answered(STUDY, leaves.query.question, roster)
