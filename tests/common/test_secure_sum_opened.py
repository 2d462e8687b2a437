"""A round that was opened, added up again by a hospital: the same total, and no other one can be told."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.secure_sum.agreement import Agreement
from common.secure_sum.fixed_point import decode
from common.secure_sum.masks import add_masks
from common.secure_sum.messages import Masked
from common.secure_sum.opened import Opened
from common.secure_sum.refusals import SecureSumRefused
from common.secure_sum.terms import Terms
from tests.common.secure_sum_run import (
    added,
    agreement_of,
    exact_total,
    identity_of,
    names,
    same,
    scales_for,
    started,
    whole_numbers,
)

HOSPITALS = names(5)
ANSWERS = whole_numbers(HOSPITALS)
SCALES = scales_for(ANSWERS)
IDENTITIES = {h: identity_of(h).public_key().public_bytes_raw() for h in HOSPITALS}


def opened_round() -> tuple[Agreement, Opened]:
    run, set_up = started(len(HOSPITALS))
    masked = run.mask(ANSWERS, SCALES)
    total = added(set_up, masked, SCALES)
    total.open(run.reveal(HOSPITALS, SCALES))
    parts = (tuple(masked[h] for h in HOSPITALS), tuple(total.secrets[h] for h in HOSPITALS))
    return run.agreement, Opened("run", run.agreement.rounds, 1, "question", SCALES.packed, *parts)


AGREEMENT, OPENED = opened_round()


def test_whoever_reads_it_finds_the_total() -> None:
    read = Opened.from_bytes(OPENED.to_bytes())
    assert read == OPENED
    assert same(read.total(AGREEMENT, IDENTITIES), exact_total(ANSWERS, HOSPITALS))


@given(st.sampled_from(["masked", "seeds"]), st.integers(0, len(HOSPITALS) - 1), st.floats(0, 1, exclude_max=True))
def test_no_byte_of_it_can_be_another(part: str, whose: int, place: float) -> None:
    parts = list(getattr(OPENED, part))
    altered = bytearray(parts[whose])
    altered[int(place * len(altered))] ^= 1
    parts[whose] = bytes(altered)
    with pytest.raises(SecureSumRefused):
        replace(OPENED, **{part: tuple(parts)}).total(AGREEMENT, IDENTITIES)


@pytest.mark.parametrize(
    "other",
    [agreement_of(HOSPITALS, study="another"), agreement_of(HOSPITALS, run="another"), agreement_of(names(6)[1:])],
)
def test_it_is_of_one_study_run_and_roster(other: Agreement) -> None:
    keys = {h: identity_of(h).public_key().public_bytes_raw() for h in other.hospitals}
    with pytest.raises(SecureSumRefused, match="cannot be read"):
        OPENED.total(other, keys)


@pytest.mark.parametrize("change", [{"question": "another"}, {"round_number": 2}, {"round_number": 9}])
def test_it_is_of_one_question_and_round(change: dict[str, object]) -> None:
    with pytest.raises(SecureSumRefused):
        replace(OPENED, **change).total(AGREEMENT, IDENTITIES)


def test_somebody_elses_key_signs_for_nobody() -> None:
    strange = IDENTITIES | {HOSPITALS[2]: IDENTITIES[HOSPITALS[3]]}
    with pytest.raises(SecureSumRefused, match="do not carry its signature"):
        OPENED.total(AGREEMENT, strange)


def test_a_hospitals_own_numbers_stay_under_the_masks_that_it_shares() -> None:
    """A reader knows every self mask, and what it has in common with each other hospital itself: not all pairs."""
    terms = Terms(AGREEMENT, 1, "question", SCALES)
    for hospital, packed, seed in zip(HOSPITALS, OPENED.masked, OPENED.seeds, strict=True):
        vector = Masked.from_bytes(packed, terms).vector.copy()
        add_masks(vector, (), [terms.self_mask(seed)])
        try:
            seen = decode(vector[:-1], SCALES, len(HOSPITALS))
        except SecureSumRefused:  # noise lies outside the bounds of a total
            continue
        assert np.abs(seen["sums"] - ANSWERS[hospital]["sums"]).min() > 0


@given(st.binary(max_size=60))
def test_bytes_of_any_other_kind_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Opened.from_bytes(packed)
