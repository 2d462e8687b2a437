"""The LIHC benchmark runs on a made-up table of the same form, units mixed up as there; the real one is not here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
SIZES = {"DD": 60, "G3": 40, "BC": 30, "ED": 30, "RC": 9, "UB": 8}


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
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "lihc.py", tmp_path / "table.csv", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert "`platelet: {unit: /uL}` in BC's columns.yaml" in said
    assert "G3: many_values_out_of_range" in said
    assert "4 centres with 10 known outcomes and more: BC, DD, ED, G3" in said
    assert "of 2 centres that did not train: AUC 0." in said
    assert "pooled, scikit-learn" in said
