"""A survival study with more than a thousand features: how many exchanges it takes, and how large they are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.hospitals_on_disk import study

MOST_EXCHANGES = 60
LARGEST_ANSWER_BYTES = 50_000_000


def widened(features: pd.DataFrame, times: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every feature several times over: itself, and noisier copies such as filters make."""
    measured = features.drop(columns="id")
    spread = measured.std()
    copies = [features[["id"]], measured]
    for k in range(1, times):
        noise = rng.normal(size=measured.shape) * spread.to_numpy()
        copies.append(((measured + noise) / 2).add_suffix(f"_v{k}"))
    return pd.concat(copies, axis=1)


@pytest.mark.slow
def test_a_lasso_cox_study_of_a_thousand_features_takes_sixty_exchanges_of_fifty_megabytes(tmp_path: Path) -> None:
    """Six hospitals of about a hundred, ComBat, nested cross-validation, each hospital left out."""
    sites = tmp_path / "sites"
    write_hospitals(sites, sites=6, patients=100, seed=3)
    rng = np.random.default_rng(1)
    for file in sorted(sites.glob("*/features.csv")):
        widened(pd.read_csv(file), 9, rng).to_csv(file, index=False)
    chosen = study(
        outcome={"kind": "survival", "time": "rfs_days", "event": "rfs_event"},
        variables={"rfs_days": {"type": "number", "unit": "d", "time_zero": "surgery"}},
        predictors={"clinical": ["age", "afp", "tumour_size_mm", "albi"], "radiomics": "all"},
        harmonisation={"method": "combat", "preserve": ["age", "tumour_size_mm"]},
        selection={"screening": "cox", "redundancy": 0.9},
        model={"kind": "cox", "penalty": "lasso", "strength": "cross-validated"},
        validation={"folds": 5, "leave_one_hospital_out": True},
    )
    simulate(Simulation(chosen, find_hospitals(sites), tmp_path / "out"), Silence())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(results["pipeline"]["columns"]) > 1000
    assert results["lost"] == []
    assert results["exchanges"]["rounds"] <= MOST_EXCHANGES
    assert max(asked["largest_answer_bytes"] for asked in results["exchanges"]["asked"]) <= LARGEST_ANSWER_BYTES
    assert 1 <= results["models"][""]["weighed"] < 100
