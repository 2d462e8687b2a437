"""A hospital's own AUC leaves in clear: not where the score was worded so that it is a patient's outcome."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from client.clear_figures import centred, may_be_judged_in_clear
from common.query import Answer, View
from common.study import Study
from tests.client.curious_coordinator import ask, call_roll, log_of
from tests.hospitals_on_disk import study

PATIENTS = 60
SPLITS = ("kfold/0/0", "kfold/0/1")
COLUMNS = ["age", "kind=rare"]


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    table = {
        "id": [f"P{i}" for i in range(PATIENTS)],
        "age": np.random.default_rng(2).integers(40, 80, PATIENTS),
        "kind": ["rare"] + ["usual"] * (PATIENTS - 1),
        "mvi": np.arange(PATIENTS) % 2,
    }
    pd.DataFrame(table).to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed")


def judged(hospital: Whereabouts, age: float, rare: float) -> Answer:
    """What the hospital says of a score of age, and of one patient's rare kind."""
    chosen: Study = study(
        predictors={"clinical": ["age", "kind"], "radiomics": None},
        variables={"kind": {"type": "category", "levels": ["usual", "rare"]}},
        validation={"folds": 2, "leave_one_hospital_out": False},
        privacy={"secure_sum": False},
    )
    call_roll(hospital, chosen)
    root = View("columns", parameters={"columns": COLUMNS})
    filled = View("impute", root.hash, SPLITS, {}, {"fill": np.zeros((2, 2))})
    scale = {"centre": np.tile([60.0, 0.0], (2, 1)), "spread": np.tile([10.0, 1.0], (2, 1))}
    scaled = View("scale", filled.hash, SPLITS, {}, scale)
    model = View("linear", scaled.hash, SPLITS, {}, {"beta": np.tile([0.0, age, rare], (2, 1, 1))})
    answer = ask(
        hospital,
        chosen,
        "discrimination",
        (root, filled, scaled, model),
        view=model.hash,
        rows="held_out",
        splits=(),
        parameters={"schemes": ["kfold/0"]},
        arrays={"edges": np.ones((1, 1))},
    )
    assert answer.sums, log_of(hospital)
    return answer


@pytest.mark.parametrize("age", [0.0, 1e-9])
def test_a_patient_who_stands_apart_from_all_others_is_not_judged_in_clear(
    hospital: Whereabouts, age: float
) -> None:
    disclosed = judged(hospital, age, 5.0).disclosed
    assert (disclosed.auc, disclosed.calibration) == ({}, {})


def test_a_score_of_all_patients_is_judged_in_clear(hospital: Whereabouts) -> None:
    disclosed = judged(hospital, 0.5, 0.0).disclosed
    assert set(disclosed.auc) == set(disclosed.calibration) == {"kfold/0"}


def test_scores_that_make_a_table_of_counts_are_not_judged_in_clear() -> None:
    rng = np.random.default_rng(3)
    assert not may_be_judged_in_clear(np.repeat([0.0, 1.0], 30)), "its AUC is a point of the ROC curve"
    assert not may_be_judged_in_clear(np.zeros(0))
    assert all(may_be_judged_in_clear(rng.normal(size=20)) for _ in range(50))
    far = np.append(rng.normal(size=40), [80.0, 200.0])
    assert not may_be_judged_in_clear(far), "two patients' outcomes are its slope"
    assert may_be_judged_in_clear(centred(far)), "and not its order"
