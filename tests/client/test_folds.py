"""Folds within a hospital: stratified, balanced, reproducible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.folds import assign_folds, held_out, training
from common.errors import HospitalError

outcomes = st.lists(st.sampled_from([0.0, 1.0]), min_size=10, max_size=200).map(np.array)


@given(outcomes, st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_folds_are_balanced_in_size_and_in_each_class(strata: np.ndarray, folds: int, seed: int) -> None:
    fold = assign_folds(strata, folds, seed, 0, "north")
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for stratum in (0.0, 1.0):
        counts = np.bincount(fold[strata == stratum], minlength=folds)
        assert counts.max() - counts.min() <= 1


@given(outcomes)
def test_every_patient_is_held_out_once_and_trained_on_otherwise(strata: np.ndarray) -> None:
    masks = [held_out(f"kfold/0/{f}", strata, 5, 7, "north") for f in range(5)]
    assert (np.sum(masks, axis=0) == 1).all()
    for f, mask in enumerate(masks):
        assert (training(f"kfold/0/{f}", strata, 5, 7, "north") == ~mask).all()


def test_repeats_hospitals_and_seeds_give_other_folds() -> None:
    strata = np.tile([0.0, 1.0], 50)
    first = assign_folds(strata, 5, 7, 0, "north")
    assert (first == assign_folds(strata, 5, 7, 0, "north")).all()
    for other in (
        assign_folds(strata, 5, 7, 1, "north"),
        assign_folds(strata, 5, 8, 0, "north"),
        assign_folds(strata, 5, 7, 0, "south"),
    ):
        assert (first != other).any()


def test_a_left_out_hospital_trains_on_nobody_and_is_held_out_whole() -> None:
    strata = np.zeros(12)
    assert not training("leave_one_hospital_out/north", strata, 5, 7, "north").any()
    assert held_out("leave_one_hospital_out/north", strata, 5, 7, "north").all()
    assert training("leave_one_hospital_out/north", strata, 5, 7, "south").all()
    assert not held_out("leave_one_hospital_out/north", strata, 5, 7, "south").any()


@pytest.mark.parametrize("split", ["kfold/0/5", "kfold/0/-1", "kfold/x/1", "rows/1,2,3", "", "kfold"])
def test_no_other_text_selects_rows(split: str) -> None:
    with pytest.raises(HospitalError):
        held_out(split, np.zeros(20), 5, 7, "north")
