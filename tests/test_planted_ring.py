"""A signal in the ring of CT images is found by a federation, and its network looks there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "planted_ring.py"


@pytest.mark.slow
def test_images_beat_columns_at_hospitals_left_out_and_attention_falls_on_the_ring(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    left_out = {name: found["performance"]["leave_one_hospital_out"] for name, found in results["models"].items()}
    for where in ("overall", "within_sites"):
        seen, columns = (left_out[name][where]["auc"] for name in ("", "columns alone"))
        assert seen["low"] > columns["high"], (seen, columns)
    attention = results["network"]["attention"]
    assert attention["shares"]["ring"] > 1.5 * attention["volumes"]["ring"]
    assert "columns alone" in ran.stdout
