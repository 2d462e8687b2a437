"""The benchmarks run; what they measure is for people to read (`make bench`), no test looks at a clock.

The LIHC benchmark runs on a made-up table of the same form, units mixed up as there; the real one is not here.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SIZES = {"DD": 60, "G3": 40, "BC": 30, "ED": 30, "RC": 9, "UB": 8}


def said_by(benchmark: str, *words: object, seconds: float = 180) -> str:
    """What a benchmark prints; it must end well."""
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / benchmark, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_harmonisation_benchmark_runs_and_both_sides_agree() -> None:
    said = said_by("harmonisation.py", "--quick")
    assert "pooled neuroHarmonize" in said
    assert "federated : pooled" in said
    assert "Largest difference" in said


def test_the_benchmark_of_secure_sums_runs() -> None:
    assert "secure sums: seconds" in said_by("secure_sum.py", "--quick")


@pytest.mark.slow
def test_the_extraction_benchmark_runs_and_its_numbers_are_pyradiomics() -> None:
    said = said_by("extraction.py", "--quick")
    assert "7,896 features" in said
    assert "patients an hour" in said
    assert said.count(": holds") == 2


def made_up() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    tss = np.repeat(list(SIZES), list(SIZES.values()))
    n = len(tss)
    table = pd.DataFrame({"pid": [f"X-{i:03d}" for i in range(n)], "tss": tss})
    table["centre"] = np.where(table["tss"].isin(["RC", "UB"]), "OTH", table["tss"])
    for name in ("male", "asian", "grade34", "hbv", "alcohol"):
        table[name] = rng.integers(0, 2, n)
    table["age"], table["t"] = rng.normal(60, 10, n).round(), rng.integers(1, 5, n)
    table["log_afp"], table["creat"] = rng.normal(1.5, 1, n).round(4), rng.normal(1, 0.1, n).round(1)
    table["albumin"], table["platelet"] = rng.normal(4, 0.3, n).round(1), rng.normal(200, 30, n).round()
    table["mvi"] = (rng.random(n) < 1 / (1 + np.exp(2.5 - table["t"]))).astype(float)
    table.loc[rng.choice(n, 15, replace=False), "mvi"] = np.nan
    table.loc[(table["tss"] == "BC") & (np.arange(n) % 3 > 0), "platelet"] *= 1000
    table.loc[(table["tss"] == "G3") & (np.arange(n) % 2 == 0), "albumin"] /= 10
    return table


@pytest.mark.slow
def test_the_lihc_benchmark_stops_at_the_units_and_goes_on_when_they_are_mended(tmp_path: Path) -> None:
    made_up().to_csv(tmp_path / "table.csv", index=False)
    said = said_by("lihc.py", tmp_path / "table.csv", "--out", tmp_path / "out", seconds=300)
    said = " ".join(said.split())
    assert "`platelet: {unit: /uL}` in BC's columns.yaml" in said
    assert "G3: many_values_out_of_range" in said
    assert "4 centres with 10 known outcomes and more: BC, DD, ED, G3" in said
    assert "of 2 centres that did not train: AUC 0." in said
    assert "pooled, scikit-learn" in said
