"""What a hospital refuses to say, and keeps to itself, when its harmonisation is judged."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from common.errors import Code
from common.query import View
from common.study import Study
from tests.client.test_app import ask, call_roll, log_of
from tests.hospitals_on_disk import study

SPLITS = ("final", "kfold/0/0", "kfold/0/1")
LEFT_OUT = "leave_one_hospital_out/north"
RAW = View(step="columns", parameters={"columns": ["f0", "f1", "f2"]})
IMPUTED = View("impute", RAW.hash, (*SPLITS, LEFT_OUT), {}, {"fill": np.zeros((4, 3))})
TOLD = {"after": IMPUTED.hash, "features": [0, 1, 2]}


@pytest.fixture
def chosen() -> Study:
    return study(validation={"folds": 2, "leave_one_hospital_out": True})


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(1)
    ids = [f"P{i:02d}" for i in range(40)]
    pd.DataFrame({"id": ids, "mvi": np.arange(40) % 2}).to_csv(folder / "patients.csv", index=False)
    table = pd.DataFrame(rng.normal(5, 1, (40, 3)), columns=["f0", "f1", "f2"])
    table.insert(0, "id", ids)
    table.to_csv(folder / "features.csv", index=False)
    return Whereabouts(folder, tmp_path / "own", lower_profile=True)


def measured_twice(hospital: Whereabouts, pairs: int, columns: tuple[str, ...] = ("f0", "f1", "f2")) -> None:
    table = pd.read_csv(hospital.folder / "features.csv").head(pairs)
    table[["id", *columns]].to_csv(hospital.folder / "features_retest.csv", index=False)


def judge(hospital: Whereabouts, chosen: Study, name: str, **changes: Any) -> Any:
    call_roll(hospital, chosen)
    query = {"view": IMPUTED.hash, "splits": SPLITS[1:], "rows": "held_out", "parameters": TOLD} | changes
    return ask(hospital, chosen, name, (RAW, IMPUTED), **query)


@pytest.mark.parametrize("changes", [{"splits": (LEFT_OUT,)}, {"splits": ("final",)}, {"rows": "training"}])
def test_only_the_folds_held_out_patients_are_spoken_of(
    hospital: Whereabouts, chosen: Study, changes: dict[str, Any]
) -> None:
    """Held out by leave-one-hospital-out are one hospital's patients alone: their sums would be its own."""
    assert judge(hospital, chosen, "hospital_effect").disclosed.code is None
    assert judge(hospital, chosen, "hospital_effect", **changes).disclosed.code is Code.BAD_PARAMETERS


def test_a_classifier_of_many_columns_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    columns = {"columns": [[0] * 31, [0] * 31]}
    assert (
        judge(hospital, chosen, "classifier_sums", parameters=TOLD | columns).disclosed.code is Code.BAD_PARAMETERS
    )
    assert "at most 30 columns" in log_of(hospital)


@pytest.mark.parametrize(("pairs", "said"), [(9, (0, 0)), (10, (1, 10))])
def test_below_ten_pairs_a_hospital_says_nothing_of_them(
    hospital: Whereabouts, chosen: Study, pairs: int, said: tuple[int, int]
) -> None:
    measured_twice(hospital, pairs)
    assert tuple(judge(hospital, chosen, "hospital_effect").sums["retest"]) == said
    asked = {"splits": ("final",), "rows": "training", "arrays": {"offset": np.zeros(3)}}
    sums = judge(hospital, chosen, "retest", **asked).sums
    assert all(value.any() == (pairs >= 10) for value in sums.values())
    assert (sums["before_n"] == said[1]).all()


def test_a_second_measurement_with_other_columns_is_refused_in_words(hospital: Whereabouts, chosen: Study) -> None:
    measured_twice(hospital, 12, ("f0", "f2"))
    assert judge(hospital, chosen, "hospital_effect").disclosed.code is Code.COLUMN_MISSING
    assert "it lacks f1; a second measurement has the same columns" in log_of(hospital)
