"""A hospital without masks, chains of views made by hand, and what it says to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client.app import Whereabouts
from common.errors import Code
from common.query import Answer, View
from common.study import Study
from tests.client.test_app import ask, call_roll, log_of
from tests.hospitals_on_disk import study

F = ("final",)
FEATURES = ["f0", "f1", "f2"]
Steps = Sequence[tuple[str, dict[str, Any], dict[str, Any]]]


def patients_with_gaps() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(40)],
            "age": rng.integers(40, 80, 40).astype(float),
            "size": rng.normal(40, 9, 40).round(1),
            "afp": rng.normal(100, 20, 40),
            "kernel": rng.choice(["soft", "sharp"], 40),
            "mvi": rng.permutation(np.arange(40) % 2),
        }
    )
    rows.loc[17, "afp"] = np.nan
    rows[FEATURES] = rng.normal(5, 1, (40, 3))
    rows.loc[3, "f2"] = np.nan
    return rows


def hospital_of(tmp_path: Path, table: pd.DataFrame) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    table.drop(columns=FEATURES).to_csv(folder / "patients.csv", index=False)
    table[["id", *FEATURES]].to_csv(folder / "features.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, tmp_path / "own")


def asking(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "predictors": {"clinical": ["age", "size", "afp"], "radiomics": "all"},
        "validation": {"folds": 2, "leave_one_hospital_out": True},
        "variables": {"kernel": {"type": "category", "levels": ["soft", "sharp"]}},
        "privacy": {"secure_sum": False},
    }
    return study(**(content | changes))


def harmonising(**changes: Any) -> Study:
    return asking(harmonisation={"method": "combat", "preserve": ["age"]} | changes)


PLAIN = asking()
YEO_JOHNSON = harmonising(transform="yeo-johnson")
SIGNED_LOG = harmonising(transform="signed-log")


def chain_of(columns: list[str], steps: Steps) -> list[View]:
    """A chain for the split `final`; arrays are given without the axis of splits."""
    views = [View("columns", parameters={"columns": columns})]
    for step, parameters, arrays in steps:
        rows = {name: np.asarray(array, dtype=float)[None] for name, array in arrays.items()}
        views.append(View(step, views[-1].hash, F, parameters, rows))
    return views


def moments(hospital: Whereabouts, chosen: Study, views: Sequence[View], width: int, **query: Any) -> Answer:
    assert call_roll(hospital, chosen).disclosed.code is None
    asked = {"splits": F, "arrays": {"centre": np.zeros((1, width))}} | query
    return ask(hospital, chosen, "moments", tuple(views), view=views[-1].hash, **asked)


def refused(hospital: Whereabouts, answer: Answer, why: str) -> None:
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert not answer.sums
    assert why in log_of(hospital).strip().splitlines()[-1]


def combat(**changes: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What an honest coordinator sends for three features and the preserved covariate age (column 0)."""
    parameters: dict[str, Any] = {
        "covariates": [0],
        "smooth": {},
        "features": [1, 2, 3],
        "groups": [0, 0, 0],
        "reference": [""],
        "settings": {"empirical_bayes": True, "parametric": True, "mean_only": False},
    }
    arrays: dict[str, Any] = {
        "coefficients": np.zeros((1, 3)),
        "grand_mean": np.full(3, 5.0),
        "variance": np.ones(3),
        "constant": np.zeros(3),
        "patients": np.full(3, 200.0),
    }
    step = changes.pop("step", "combat")
    for name, value in changes.items():
        (parameters if name in (*parameters, "variable") else arrays)[name] = value
    return step, parameters, arrays


COLUMNS = ["age", *FEATURES]
IMPUTED = ("impute", {}, {"fill": [60.0, 5.0, 5.0, 5.0]})
LEVELS = {
    "variable": "kernel",
    "level_patients": np.full(2, 50.0),
    "gamma": np.zeros((2, 3)),
    "delta": np.ones((2, 3)),
}
SCALE = ("scale", {}, {"centre": [60.0, 40.0], "spread": [10.0, 9.0]})
LINEAR = ("linear", {}, {"beta": [[0.0, 1.0, 1.0]]})
