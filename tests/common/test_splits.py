"""Which splits and schemes a study has."""

import pytest

from common.query import Query
from common.splits import FINAL, schemes_of, splits_of, splits_of_scheme
from common.study import Study

ROSTER = ["cedar", "alder", "birch"]


def study(**validation: int | bool) -> Study:
    content = {
        "study": "s",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": ["age"]},
        "validation": validation,
    }
    return Study.from_content(content, "study")


def test_splits_stand_in_a_fixed_order_whatever_the_order_of_the_roster() -> None:
    two_by_two = study(folds=2, repeats=2, leave_one_hospital_out=True)
    expected: tuple[str, ...] = ("final", "kfold/0/0", "kfold/0/1", "kfold/1/0", "kfold/1/1")
    expected += tuple(f"leave_one_hospital_out/{name}" for name in ("alder", "birch", "cedar"))
    assert splits_of(two_by_two, ROSTER) == expected
    assert splits_of(two_by_two, reversed(ROSTER)) == expected


@pytest.mark.parametrize("folds", [0, 3])
@pytest.mark.parametrize("leave_out", [False, True])
def test_every_split_belongs_to_exactly_one_scheme(folds: int, leave_out: bool) -> None:
    chosen = study(folds=folds, repeats=11, leave_one_hospital_out=leave_out)
    splits = splits_of(chosen, ROSTER)
    of_schemes = [split for scheme in schemes_of(chosen) for split in splits_of_scheme(scheme, splits)]
    assert sorted(of_schemes) == sorted(splits)
    assert len(set(of_schemes)) == len(of_schemes)


def test_the_first_repeat_does_not_take_the_folds_of_the_eleventh() -> None:
    splits = splits_of(study(folds=2, repeats=11, leave_one_hospital_out=False), ROSTER)
    assert splits_of_scheme("kfold/1", splits) == ("kfold/1/0", "kfold/1/1")


def test_without_validation_all_rows_are_the_only_split() -> None:
    none = study(folds=0, leave_one_hospital_out=False)
    assert splits_of(none, ROSTER) == (FINAL,)
    assert schemes_of(none) == ("apparent",)


def test_training_without_one_hospital_is_of_the_class_single_hospital() -> None:
    without = Query(name="q", study="s", roster=("a",), splits=("final", "leave_one_hospital_out/a"))
    within = Query(name="q", study="s", roster=("a",), splits=("final", "kfold/0/0"))
    assert without.disclosure == "single hospital"
    assert within.disclosure == "masked total"
