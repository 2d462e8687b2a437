"""Hospitals and studies for tests of differential privacy: 20 features of which eight tell of the outcome."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.study import Study
from tests.hospitals_on_disk import study, write_hospitals

FEATURES = [f"f{k:02d}" for k in range(20)]


def radiomics(patients: int, seed: int = 3) -> pd.DataFrame:
    """A pooled table whose true AUC is about 0.76."""
    rng = np.random.default_rng(seed)
    correlation = 0.3 ** np.abs(np.subtract.outer(range(20), range(20)))
    x = rng.normal(size=(patients, 20)) @ np.linalg.cholesky(correlation).T
    beta = np.where(np.arange(20) < 8, np.resize([1.0, -1.0, 0.5], 20), 0.0)
    linear = x @ beta / np.sqrt(beta @ correlation @ beta)
    table = pd.DataFrame(x, columns=FEATURES)
    table.insert(0, "id", [f"P{k:05d}" for k in range(patients)])
    table["mvi"] = (rng.random(patients) < 1 / (1 + np.exp(0.4 - linear))).astype(int)
    return table


def hospitals_of(folder: Path, hospitals: int, patients: int, seed: int = 3) -> Path:
    """So many hospitals with so many patients each."""
    table = radiomics(hospitals * patients, seed)
    table["hospital"] = [f"h{k}" for k in np.repeat(range(hospitals), patients)]
    return write_hospitals(folder, table, ["mvi"], FEATURES)


def private_study(differential: dict[str, Any] | None = None, **changes: Any) -> Study:
    """A study with differential privacy over those features."""
    given = {"epsilon": 4.0, "bounds": {"f*": [-4, 4]}} | (differential or {})
    content: dict[str, Any] = {
        "validation": {"folds": 0, "leave_one_hospital_out": False},
        "privacy": {"differential": given},
    }
    return study(**(content | changes))
