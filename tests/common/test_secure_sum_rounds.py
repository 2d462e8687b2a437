"""Rounds: the survivors' exact total whoever is lost and whenever, or no total at all."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.query import Arrays
from common.secure_sum.fixed_point import Exponents
from common.secure_sum.refusals import SecureSumRefused, TooFewHospitals
from common.secure_sum.set_up import SetUp
from tests.common.secure_sum_run import (
    Hospitals,
    Run,
    added,
    agreement_of,
    exact_total,
    names,
    same,
    scales_for,
    started,
    whole_numbers,
)


def test_the_whole_roster_needs_a_question_and_one_unmasking() -> None:
    run, set_up = started(4)
    answers = whole_numbers(names(4))
    scales = scales_for(answers)
    total = added(set_up, run.mask(answers, scales), scales)
    reveals = {h: p.reveal(1, "question", scales, total.survivors) for h, p in run.participants.items()}
    assert same(total.open(reveals), exact_total(answers, names(4)))


@pytest.mark.parametrize("many", [3, 4, 5, 6, 7])
def test_every_subset_down_to_the_threshold_gets_its_exact_total(many: int) -> None:
    """Lost before masking."""
    run, set_up = started(many, rounds=40)
    hospitals, answers = names(many), whole_numbers(names(many))
    scales = scales_for(answers)
    threshold = run.agreement.threshold
    subsets = [s for size in range(threshold, many + 1) for s in combinations(hospitals, size)]
    for number, survivors in enumerate(subsets, 1):
        question = f"question {number}"
        masked = run.mask({h: answers[h] for h in survivors}, scales, number, question)
        total = added(set_up, masked, scales, number, question)
        opened = total.open(run.reveal(survivors, scales, number, question))
        assert same(opened, exact_total(answers, survivors))


@pytest.mark.parametrize(("many", "threshold"), [(3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (30, 21), (200, 134)])
def test_the_threshold_is_more_than_two_thirds_and_three_at_least(many: int, threshold: int) -> None:
    assert agreement_of(names(many)).threshold == threshold > 2 * many / 3


def masked_by_all(many: int) -> tuple[Run, SetUp, dict[str, Arrays], Exponents, dict[str, bytes]]:
    run, set_up = started(many)
    answers = whole_numbers(names(many))
    scales = scales_for(answers)
    return run, set_up, answers, scales, run.mask(answers, scales)


@pytest.mark.parametrize("revealing", list(combinations(names(6), 5)), ids=str)
def test_hospitals_lost_after_masking_stay_in_the_total(revealing: Hospitals) -> None:
    run, set_up, answers, scales, masked = masked_by_all(6)
    total = added(set_up, masked, scales)
    reveals = {h: run.participants[h].reveal(1, "question", scales, names(6)) for h in revealing}
    assert same(total.open(reveals), exact_total(answers, names(6)))


def test_a_masked_answer_that_never_arrives_is_left_out_of_the_total() -> None:
    run, set_up, answers, scales, masked = masked_by_all(7)
    survivors = names(7)[1:6]
    total = added(set_up, {h: masked[h] for h in survivors}, scales)
    assert same(total.open(run.reveal(survivors, scales)), exact_total(answers, survivors))


def test_hospitals_lost_at_every_stage_at_once_leave_the_survivors_exact_total() -> None:
    run, set_up = started(10)
    answers = whole_numbers(names(10))
    scales = scales_for(answers)
    survivors = names(10)[1:]  # one is lost before it masks
    total = added(set_up, run.mask({h: answers[h] for h in survivors}, scales), scales)
    acknowledging = survivors[:-1]  # another one before it acknowledges
    acknowledged = {h: run.participants[h].acknowledge(1, "question", scales, survivors) for h in acknowledging}
    revealing = acknowledging[1:]  # and a third before it reveals
    reveals = {h: run.participants[h].reveal(1, "question", scales, survivors, acknowledged) for h in revealing}
    assert len(reveals) == run.agreement.threshold
    assert same(total.open(reveals), exact_total(answers, survivors))


@pytest.mark.parametrize("many", [3, 4, 7])
def test_under_the_threshold_nothing_opens(many: int) -> None:
    run, set_up = started(many)
    answers = whole_numbers(names(many))
    scales = scales_for(answers)
    few = names(many)[: run.agreement.threshold - 1]
    masked = run.mask({h: answers[h] for h in few}, scales)
    total = added(set_up, masked, scales)
    with pytest.raises(TooFewHospitals, match="the sum stays closed"):
        total.open({})
    for hospital in few:
        with pytest.raises(TooFewHospitals):
            run.participants[hospital].acknowledge(1, "question", scales, few)
        with pytest.raises(TooFewHospitals):
            run.participants[hospital].reveal(1, "question", scales, few)


def test_with_one_share_too_few_the_total_stays_closed() -> None:
    run, set_up, _, scales, masked = masked_by_all(4)
    total = added(set_up, masked, scales)
    reveals = run.reveal(names(4), scales)
    with pytest.raises(TooFewHospitals, match="2 hospitals have revealed their shares, 3 are needed"):
        total.open({h: reveals[h] for h in names(4)[:2]})


def test_two_hospitals_make_no_roster() -> None:
    with pytest.raises(SecureSumRefused, match="a roster of 2 hospitals"):
        agreement_of(names(2))


@given(st.integers(3, 8), st.integers(0, 2**32), st.data())
@settings(max_examples=25, deadline=None)
def test_totals_are_precise_for_any_arrays_and_survivors(many: int, seed: int, data: st.DataObject) -> None:
    run, set_up = started(many, rounds=1)
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    lost = data.draw(st.integers(0, many - run.agreement.threshold))
    survivors = tuple(sorted(rng.permutation(names(many))[lost:].tolist()))
    answers = {h: {"x": np.asarray(rng.normal(size=shape) * 10.0 ** rng.integers(-12, 12))} for h in survivors}
    scales = scales_for(answers)
    total = added(set_up, run.mask(answers, scales), scales)
    found = total.open(run.reveal(survivors, scales))["x"]
    assert found.shape == shape
    largest = np.sum([np.abs(answers[h]["x"]) for h in survivors], axis=0).max(initial=0)
    assert np.abs(found - exact_total(answers, survivors)["x"]).max(initial=0) <= 1e-11 * largest


def test_an_answer_without_sums_is_a_round_like_any_other() -> None:
    run, set_up = started(3)
    answers: dict[str, Arrays] = {hospital: {} for hospital in names(3)}
    scales = scales_for(answers)
    assert added(set_up, run.mask(answers, scales), scales).open(run.reveal(names(3), scales)) == {}


def test_an_answer_that_outgrows_its_scales_is_asked_for_again_and_only_then_opened() -> None:
    run, set_up = started(4)
    answers = whole_numbers(names(4))
    guessed = scales_for(answers)
    answers["hospital-002"]["sums"][0, 0] = 2.0**40
    total = added(set_up, run.mask({h: answers[h] for h in names(4) if h != "hospital-002"}, guessed), guessed)
    with pytest.raises(SecureSumRefused, match="do not fit the scales"):
        run.participants["hospital-002"].mask(1, "question", answers["hospital-002"], guessed)
    scales = scales_for(answers)
    again = added(set_up, run.mask(answers, scales, 2), scales, 2)
    # The first round is closed for good: opened with the second it would single out hospital-002.
    with pytest.raises(SecureSumRefused, match="round 1 was closed when its question came again"):
        run.participants["hospital-000"].acknowledge(1, "question", guessed, total.survivors)
    assert same(again.open(run.reveal(names(4), scales, 2)), exact_total(answers, names(4)))


@pytest.mark.slow
def test_ten_million_weights_of_five_hospitals_with_one_lost() -> None:
    run, set_up = started(5, rounds=1)
    survivors = names(5)[1:]
    answers = {h: {"w": np.random.default_rng(k).normal(0, 0.05, 10_000_000)} for k, h in enumerate(survivors)}
    scales = scales_for(answers)
    total = added(set_up, run.mask(answers, scales), scales)
    found = total.open(run.reveal(survivors, scales))["w"]
    assert np.abs(found - sum(answers[h]["w"] for h in survivors)).max() < 1e-14
