"""The benchmarks run; what they measure is for people to read (`make bench`), no test looks at a clock."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_harmonisation_benchmark_runs_and_both_sides_agree() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "harmonisation.py", "--quick"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "pooled neuroHarmonize" in ran.stdout
    assert "federated : pooled" in ran.stdout
    assert "Largest difference" in ran.stdout


@pytest.mark.slow
def test_the_extraction_benchmark_runs_and_its_numbers_are_pyradiomics() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "extraction.py", "--quick"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "7,896 features" in ran.stdout
    assert "patients an hour" in ran.stdout
    assert ran.stdout.count(": holds") == 2
