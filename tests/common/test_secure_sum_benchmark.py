"""The benchmark of secure sums runs; what it measures is for people to read."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_of_secure_sums_runs() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "secure_sum.py", "--quick"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "secure sums: seconds" in ran.stdout
