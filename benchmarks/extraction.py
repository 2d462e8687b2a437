"""Tumour and two rings on two phases of a 512 × 512 × 100 CT: hepafed against PyRadiomics called per region.

``python benchmarks/extraction.py`` takes some minutes. Every contender runs in a process of its own, so that its
peak memory is its own; PyRadiomics keeps its defaults (whole image, ITK's threads), hepafed uses one thread a process.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from client.extraction import PhaseImages, extract, one_thread
from client.preprocessing import Grid, like, prepare
from client.regions import Masks, build_regions, lesions_of
from common.features import Features

SIZE = (512, 512, 100)
SPACING_MM = (0.8, 0.8, 1.0)
RADIUS_MM = 24.0
PHASES = ("arterial", "portal")
FEATURES = Features.model_validate(
    {
        "phases": {name: {"modality": "CT", "spacing_mm": "native"} for name in PHASES},
        "regions": ["tumour", "ring"],
        "ring_mm": [3, 5],
        "ring_rules": {"clip_to_liver": False, "lowest_hu": None},
        "filters": ["original", "log", "wavelet"],
    }
)


def make_patient(folder: Path) -> None:
    """Two phases and the tumour's mask as files, and every region's mask for PyRadiomics."""
    middle = [(n - 1) / 2 for n in SIZE]
    axes = np.ogrid[tuple(slice(n) for n in SIZE[::-1])]
    away2 = sum(
        ((axis - centre) * edge) ** 2
        for axis, centre, edge in zip(axes, middle[::-1], SPACING_MM[::-1], strict=True)
    )
    tumour = np.asarray(away2) <= RADIUS_MM**2
    for seed, name in enumerate(PHASES):
        noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(0, 120, SIZE[::-1]).astype(np.float32))
        noise.SetSpacing(SPACING_MM)
        texture = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(noise, 1.2))
        image = like(np.rint(90 + texture + 25 * (seed + 1) * tumour).astype(np.int16), noise)
        masks = Masks([like(tumour, noise)])
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
        sitk.WriteImage(masks.tumours[0], str(folder / f"{name}_mask.nrrd"))
        phase = FEATURES.phases[name]
        whole = prepare(image, phase, Grid.of(image))
        for region in build_regions(lesions_of(masks, "largest")[0], masks, whole, FEATURES, phase, 1.0):
            sitk.WriteImage(region.mask, str(folder / f"{name}_{region.name}.nrrd"), True)


def run_hepafed(folder: Path) -> dict[str, float]:
    """All features of the patient in one process with one thread."""
    one_thread()
    given = {
        name: PhaseImages(_read(folder / f"{name}.nrrd"), Masks([_read(folder / f"{name}_mask.nrrd")]))
        for name in PHASES
    }
    return extract(given, FEATURES).rows[0].values


def run_pyradiomics(folder: Path) -> dict[str, float]:
    """The same features from PyRadiomics' own extractor, region by region on the whole image."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    extractor = RadiomicsFeatureExtractor(additionalInfo=False)
    extractor.enableImageTypeByName("LoG", customArgs={"sigma": [float(s) for s in FEATURES.log_sigma_mm]})
    extractor.enableImageTypeByName("Wavelet")
    found: dict[str, float] = {}
    for name in PHASES:
        for region in FEATURES.region_names():
            values = extractor.execute(_read(folder / f"{name}.nrrd"), _read(folder / f"{name}_{region}.nrrd"))
            found |= {f"{name}_{region}_{key}": float(value) for key, value in values.items()}
    return found


CONTENDERS: dict[str, Callable[[Path], dict[str, float]]] = {
    "hepafed": run_hepafed,
    "pyradiomics": run_pyradiomics,
}


def _read(path: Path) -> object:
    return sitk.ReadImage(str(path))


@dataclass(frozen=True)
class Measured:
    """What one process took; processor seconds count what other users of the machine cannot disturb."""

    seconds: float
    processor_seconds: float
    peak_gib: float
    values: dict[str, float]


def child(contender: str, folder: Path, out: Path) -> None:
    """Run one contender here and write down what it took and found."""
    start, start_processor = time.perf_counter(), time.process_time()
    values = CONTENDERS[contender](folder)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - start_processor
    out.write_text(json.dumps(asdict(Measured(seconds, processor_seconds, peak_gib(), values))))


def peak_gib() -> float:
    """This process's own peak; getrusage's begins with what the parent held when it started this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def side_by_side(contender: str, processes: int, folder: Path) -> list[Measured]:
    """The same patient in several processes at once."""
    outs = [folder / f"{contender}{processes}_{number}.json" for number in range(processes)]
    command = [sys.executable, __file__, contender, str(folder)]
    running = [subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL) for out in outs]
    for process in running:
        if process.wait():
            raise SystemExit(f"{contender} failed")
    return [Measured(**json.loads(out.read_text())) for out in outs]


def largest_difference(found: dict[str, float], expected: dict[str, float], log: bool) -> tuple[float, str]:
    """The largest relative difference among features of LoG images, or of all others, and whose it is."""
    names = [name for name in expected if ("_log-sigma" in name) == log]
    a, b = (np.array([values[name] for name in names]) for values in (found, expected))
    if (np.isnan(a) != np.isnan(b)).any():
        raise SystemExit("one contender has a number where the other has none")
    differences = np.nan_to_num(np.abs(a - b) / np.maximum(np.abs(b), 1e-9))
    return float(differences.max()), names[int(differences.argmax())]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_patient(folder)
        ours, pair = side_by_side("hepafed", 1, folder)[0], side_by_side("hepafed", 2, folder)
        theirs = side_by_side("pyradiomics", 1, folder)[0]
    table = Table(title=f"tumour + 2 rings × 2 phases, {len(ours.values):,} features, {SIZE}")
    for column in ("", "s a patient", "processor s", "peak GiB a process", "patients an hour", "times as fast"):
        table.add_column(column, justify="left" if not column else "right")
    rows = [
        ("PyRadiomics per region", theirs.seconds, theirs),
        ("hepafed, one process", ours.seconds, ours),
        ("hepafed, two processes", max(one.seconds for one in pair) / 2, pair[0]),
    ]
    for said, seconds, one in rows:
        faster = f"{theirs.seconds / seconds:.1f}"
        figures = (
            f"{seconds:.1f}",
            f"{one.processor_seconds:.0f}",
            f"{one.peak_gib:.2f}",
            f"{3600 / seconds:.0f}",
        )
        table.add_row(said, *figures, faster)
    console = Console(width=120)
    console.print(table)
    console.print(f"memory of a process: {ours.peak_gib / theirs.peak_gib:.0%} of PyRadiomics'")
    for said, log in (("original and wavelet", False), ("LoG", True)):
        worst, whose = largest_difference(ours.values, theirs.values, log)
        console.print(f"largest relative difference, {said}: {worst:.1e} ({whose})")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
