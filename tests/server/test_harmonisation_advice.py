"""Whole studies over synthetic hospitals whose truth is known: is the advice right?"""

import json
from pathlib import Path

import pytest
import yaml

from common.study import Study
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence


@pytest.mark.slow
@pytest.mark.parametrize("planted", [True, False])
def test_over_twenty_seeds_it_says_help_where_an_effect_was_planted_and_only_there(
    tmp_path: Path, planted: bool
) -> None:
    """Synthetic hospitals as `hepafed demo-data` writes them; age and tumour size, their case mix, are preserved."""
    verdicts = []
    for seed in range(20):
        folder = tmp_path / str(seed)
        content = yaml.safe_load(write_hospitals(folder / "demo", seed=seed, hospital_effect=planted).read_text())
        content["predictors"] = {"clinical": [], "radiomics": "all"}
        content["harmonisation"] = {"method": "combat", "preserve": ["age", "tumour_size_mm"]}
        content["validation"] = {"folds": 5, "leave_one_hospital_out": False}
        chosen = Study.from_content(content, "the demo study")
        simulate(Simulation(chosen, find_hospitals(folder / "demo"), folder / "out"), Silence())
        results = json.loads((folder / "out" / "results.json").read_text())
        verdicts.append(results["harmonisation"]["advice"]["verdict"])
    assert verdicts.count("help") >= 19 if planted else verdicts.count("help") <= 1
