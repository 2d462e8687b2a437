"""Folds within a hospital: stratified, balanced, reproducible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.folds import Folds
from common.errors import HospitalError

outcomes = st.lists(st.sampled_from([0.0, 1.0]), min_size=10, max_size=200).map(np.array)


@given(outcomes, st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_folds_are_balanced_in_size_and_in_each_class(strata: np.ndarray, folds: int, seed: int) -> None:
    fold = Folds(strata, folds, seed, "north").assign(0)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for stratum in (0.0, 1.0):
        counts = np.bincount(fold[strata == stratum], minlength=folds)
        assert counts.max() - counts.min() <= 1


@given(outcomes)
def test_every_patient_is_held_out_once_and_trained_on_otherwise(strata: np.ndarray) -> None:
    masks = [Folds(strata, 5, 7, "north").held_out(f"kfold/0/{f}") for f in range(5)]
    assert (np.sum(masks, axis=0) == 1).all()
    for f, mask in enumerate(masks):
        assert (Folds(strata, 5, 7, "north").training(f"kfold/0/{f}") == ~mask).all()


def test_repeats_hospitals_and_seeds_give_other_folds() -> None:
    strata = np.tile([0.0, 1.0], 50)
    first = Folds(strata, 5, 7, "north").assign(0)
    assert (first == Folds(strata, 5, 7, "north").assign(0)).all()
    for other in (
        Folds(strata, 5, 7, "north").assign(1),
        Folds(strata, 5, 8, "north").assign(0),
        Folds(strata, 5, 7, "south").assign(0),
    ):
        assert (first != other).any()


def test_a_left_out_hospital_trains_on_nobody_and_is_held_out_whole() -> None:
    strata = np.zeros(12)
    assert not Folds(strata, 5, 7, "north").training("leave_one_hospital_out/north").any()
    assert Folds(strata, 5, 7, "north").held_out("leave_one_hospital_out/north").all()
    assert Folds(strata, 5, 7, "south").training("leave_one_hospital_out/north").all()
    assert not Folds(strata, 5, 7, "south").held_out("leave_one_hospital_out/north").any()


@pytest.mark.parametrize("split", ["kfold/0/5", "kfold/0/-1", "kfold/x/1", "rows/1,2,3", "", "kfold"])
def test_no_other_text_selects_rows(split: str) -> None:
    with pytest.raises(HospitalError):
        Folds(np.zeros(20), 5, 7, "north").held_out(split)


@given(outcomes)
def test_inner_folds_hold_out_every_patient_of_the_outer_training_rows_once(strata: np.ndarray) -> None:
    folds = Folds(strata, 5, 7, "north", inner=3)
    for outer in ("final", "kfold/0/2", "leave_one_hospital_out/north", "leave_one_hospital_out/south"):
        trained = folds.training(outer)
        held = [folds.held_out(f"{outer}/inner/{k}") for k in range(3)]
        assert (np.sum(held, axis=0) == trained).all()
        for k, mask in enumerate(held):
            assert (folds.training(f"{outer}/inner/{k}") == (trained & ~mask)).all()


@pytest.mark.parametrize("split", ["final/inner/3", "final/inner/x", "final/inner/0/inner/1", "rows/inner/0"])
def test_inner_splits_name_a_split_and_one_of_its_folds(split: str) -> None:
    with pytest.raises(HospitalError):
        Folds(np.zeros(20), 5, 7, "north", inner=3).training(split)
