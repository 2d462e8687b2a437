"""Real hospital folders for tests: a pooled table split by hospital, and a study that fits it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn.datasets import load_breast_cancer

from common.study import Study

UNMASKED = {"secure_sum": False}
"""For tests of figures: masks change none of them (tests/server/test_masked_studies.py), and take most of the time."""
UNEVEN = {"alder": 0.12, "birch": 0.18, "cedar": 0.27, "dogwood": 0.43}


def breast_cancer() -> pd.DataFrame:
    """scikit-learn's bundled breast-cancer set, with ids, split into four uneven hospitals."""
    data = load_breast_cancer(as_frame=True)
    table = data.frame.rename(columns={"target": "mvi"} | {c: c.replace(" ", "_") for c in data.feature_names})
    table.insert(0, "id", [f"P{i:04d}" for i in range(len(table))])
    rng = np.random.default_rng(5)
    table["hospital"] = rng.choice(list(UNEVEN), size=len(table), p=list(UNEVEN.values()))
    return table


def write_hospitals(folder: Path, table: pd.DataFrame, clinical: list[str], features: list[str]) -> Path:
    """One folder a hospital: patients.csv with the clinical columns, features.csv with the rest."""
    for name, rows in table.groupby("hospital"):
        hospital = folder / str(name)
        hospital.mkdir(parents=True)
        rows[["id", *clinical]].to_csv(hospital / "patients.csv", index=False)
        if features:
            rows[["id", *features]].to_csv(hospital / "features.csv", index=False)
    return folder


def study(**changes: Any) -> Study:
    """A small binary study; sections can be replaced by name."""
    content: dict[str, Any] = {
        "study": "test",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": [], "radiomics": "all"},
        "model": {"kind": "logistic", "penalty": "ridge", "strength": 1.0},
        "validation": {"folds": 5, "leave_one_hospital_out": True},
        "seed": 7,
    }
    return Study.from_content(content | changes, "test study")


def write_study(path: Path, chosen: Study) -> Path:
    """The study as a file."""
    path.write_text(yaml.safe_dump(yaml.safe_load(chosen.to_json()), allow_unicode=True), encoding="utf-8")
    return path
