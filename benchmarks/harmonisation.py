"""ComBat over hospitals against pooled neuroHarmonize: seconds and memory, side by side. `make bench` runs it.

Each part runs in a process of its own that first builds the same tables (hospitals × patients × features, two
covariates to preserve), then is timed. Federated: every hospital's sums are packed as they would travel, unpacked
and added; the coordinator fits; every hospital estimates its shift and scale and harmonises its own table in its
place. Memory is the peak of the process above what it held when its tables stood; from the pooled side's the
harmonised table that it returns is taken off as well, since that is a table too.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

ROOT = Path(__file__).parents[1]
COMPARED = 50
"""Features of which the two results are compared: enough to see, few enough to write down."""


@dataclass(frozen=True)
class Size:
    """How many hospitals, patients in each, and features."""

    hospitals: int
    patients: int
    features: int

    @property
    def table_bytes(self) -> int:
        """All features of all patients."""
        return 8 * self.hospitals * self.patients * self.features


FULL = Size(hospitals=100, patients=200, features=5000)
QUICK = Size(hospitals=8, patients=50, features=800)


@dataclass(frozen=True)
class Measured:
    """One part: wall time, and peak memory beyond the tables."""

    seconds: float
    memory_bytes: int


def tables(size: Size, features: np.ndarray) -> np.ndarray:
    """Fill the features (all patients, hospital by hospital) in place; return the covariates."""
    n = size.patients
    rng = np.random.default_rng(1)
    covariates = np.empty((len(features), 2))
    slopes = rng.normal(0, [[0.02], [0.5]], (2, size.features))
    for k in range(size.hospitals):
        own = np.random.default_rng([2, k])
        rows = slice(k * n, (k + 1) * n)
        # Quarters are exact in single precision, to which neuroHarmonize rounds covariates.
        covariates[rows, 0] = np.round(own.gamma(3.0, 15.0, n) * 4) / 4
        covariates[rows, 1] = own.random(n) < 0.4
        block = own.standard_normal(out=features[rows])
        block *= np.exp(0.2 * own.normal(size=size.features))
        block += own.normal(size=size.features)
        for patient, c in zip(block, covariates[rows], strict=True):
            patient += c @ slopes
    return covariates


def pooled(size: Size) -> tuple[Measured, np.ndarray]:
    """`neuroHarmonize.harmonizationLearn` on one table of all patients."""
    import pandas as pd
    from neuroHarmonize import harmonizationLearn

    features = np.empty((size.hospitals * size.patients, size.features))
    covariates = tables(size, features)
    names = [f"h{k:03d}" for k in range(size.hospitals)]
    frame = pd.DataFrame(covariates, columns=["size", "sex"])
    frame.insert(0, "SITE", np.repeat(names, size.patients))
    (_, harmonised), seconds, peak = _measured(lambda: harmonizationLearn(features, frame))
    return Measured(seconds, peak - size.table_bytes), harmonised[:, :COMPARED]


def federated(size: Size) -> tuple[Measured, np.ndarray]:
    """Sums, total, fit, and every hospital on its own, with the code that hospitals and coordinator run."""
    from neuroHarmonize import harmonizationApply  # noqa: F401  (what is imported counts for neither side)

    from common.query import Answer, add
    from common.wire import answer_from_bytes, answer_to_bytes
    from harmonization.apply import estimate, harmonise
    from harmonization.fit import fit
    from harmonization.neuroharmonize import single_precision
    from harmonization.sums import combat_sums

    def work() -> None:
        sent = {
            f"h{k:03d}": answer_to_bytes(Answer(sums=combat_sums(single_precision(c), y)))
            for k, (c, y) in enumerate(hospitals)
        }
        total = add({name: answer_from_bytes(packed) for name, packed in sent.items()})
        parameters = fit(total.sums)
        for c, y in hospitals:
            c = single_precision(c)
            y[:] = harmonise(c, y, parameters, estimate(c, y, parameters))

    features = np.empty((size.hospitals * size.patients, size.features))
    covariates = tables(size, features)
    n = size.patients
    hospitals = [(covariates[k : k + n], features[k : k + n]) for k in range(0, len(features), n)]
    _, seconds, peak = _measured(work)
    return Measured(seconds, peak), features[:, :COMPARED]


def _measured(work: Callable[[], Any]) -> tuple[Any, float, int]:
    """What the work gave, its wall time, and the peak memory above what the process held before."""
    held = _peak_bytes()
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, _peak_bytes() - held


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


PARTS = {"pooled": pooled, "federated": federated}


def run_part(part: str, size: Size, threads: int) -> tuple[Measured, np.ndarray]:
    """One part in a process of its own."""
    pinned = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL")}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.npy"
        job = json.dumps({"part": part, "size": asdict(size), "result": str(result)})
        said = subprocess.run(
            [sys.executable, __file__, "--job", job],
            env=os.environ | pinned | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Measured(**json.loads(said.stdout.splitlines()[-1])), np.load(result)


def _do(job: str) -> None:
    asked = json.loads(job)
    measured, harmonised = PARTS[asked["part"]](Size(**asked["size"]))
    np.save(asked["result"], harmonised)
    print(json.dumps(asdict(measured)))


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="A size that takes seconds: the script runs, no more.")
    ] = False,
    repeat: Annotated[int, typer.Option(min=1, help="How often each part is run; the medians are shown.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads for linear algebra, the same for both.")] = 1,
    job: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Federated ComBat against pooled neuroHarmonize: seconds, memory beyond the tables, largest difference.

    Example: python benchmarks/harmonisation.py --quick
    """
    if job:
        _do(job)
        return
    from rich.console import Console
    from rich.table import Table

    size = QUICK if quick else FULL
    runs = {part: [run_part(part, size, threads) for _ in range(repeat)] for part in PARTS}
    seconds = {part: float(np.median([m.seconds for m, _ in found])) for part, found in runs.items()}
    memory = {part: float(np.median([m.memory_bytes for m, _ in found])) / 2**20 for part, found in runs.items()}
    reference, own = runs["pooled"][0][1], runs["federated"][0][1]
    difference = float((np.abs(own - reference) / reference.std(axis=0)).max())

    table = Table(
        title=f"ComBat, {size.hospitals} hospitals × {size.patients} patients × {size.features:,} features, "
        f"2 covariates, {threads} thread(s)"
    )
    for heading, side in (("", "left"), ("seconds", "right"), ("MiB beyond the tables", "right")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    table.add_row("pooled neuroHarmonize", f"{seconds['pooled']:.2f}", f"{memory['pooled']:,.0f}")
    table.add_row("federated", f"{seconds['federated']:.2f}", f"{memory['federated']:,.0f}")
    table.add_row(
        "federated : pooled",
        f"{seconds['federated'] / seconds['pooled']:.2f}",
        f"{memory['federated'] / memory['pooled']:.3f}" if memory["pooled"] > 0 else "–",
    )
    console = Console()
    console.print(table)
    console.print(f"Tables: {size.table_bytes / 2**20:,.0f} MiB. Largest difference: {difference:.1e} SD.")
    if difference > 1e-9:
        console.print("The two differ by more than 1e-9 SD.", style="red")
        raise typer.Exit(code=1)


if __name__ == "__main__":
    typer.run(bench)
