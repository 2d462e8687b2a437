"""Tumour and two rings on two phases of a 512 × 512 × 100 CT: hepafed against PyRadiomics called per region.

`make bench-extraction` runs it and takes some minutes; --quick takes a small image. Every contender runs in a process
of its own, so that its peak memory is its own. PyRadiomics keeps its defaults (whole image, ITK's threads on all
cores), hepafed uses one thread a process and one process a core.
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

from client.cohort.grids import Grid
from client.extraction import PhaseImages, extract, one_thread
from client.preprocessing import like, prepare
from client.regions import Masks, build_regions, lesions_of
from common.features import Features

SPACING_MM = (0.8, 0.8, 1.0)
TIMES_AS_FAST, OF_THE_MEMORY = 8, 0.25
"""What is claimed."""
TOLERANCE = {"original and wavelet": 1e-6, "LoG": 1e-4}
"""Relative; LoG is computed on a cropped image (docs/extraction.md)."""
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


@dataclass(frozen=True)
class Size:
    """The image in voxels (x, y, z) and the tumour."""

    image: tuple[int, int, int]
    radius_mm: float


FULL, QUICK = Size((512, 512, 100), 24.0), Size((72, 72, 48), 8.0)


def make_patient(folder: Path, size: Size) -> None:
    """Two phases and the tumour's mask as files, and every region's mask for PyRadiomics."""
    shape = size.image[::-1]
    middle = [(n - 1) / 2 for n in size.image]
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    away2 = sum(
        ((axis - centre) * edge) ** 2
        for axis, centre, edge in zip(axes, middle[::-1], SPACING_MM[::-1], strict=True)
    )
    tumour = np.asarray(away2) <= size.radius_mm**2
    for seed, name in enumerate(PHASES):
        noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(0, 120, shape).astype(np.float32))
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


def main(size: Size) -> None:
    """Print the table and whether the claims hold; an error where the numbers differ."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_patient(folder, size)
        ours, pair = side_by_side("hepafed", 1, folder)[0], side_by_side("hepafed", 2, folder)
        theirs = side_by_side("pyradiomics", 1, folder)[0]
    shown = " × ".join(map(str, size.image))
    table = Table(title=f"tumour + 2 rings × 2 phases of {shown} voxels, {len(ours.values):,} features")
    for column in ("", "s a patient", "processor s", "peak GiB a process", "patients an hour", "times as fast"):
        table.add_column(column, justify="left" if not column else "right")
    on_two_cores = max(one.seconds for one in pair) / len(pair)
    rows = [
        ("PyRadiomics per region, all cores", theirs.seconds, theirs),
        ("hepafed, one process", ours.seconds, ours),
        ("hepafed, two processes", on_two_cores, max(pair, key=lambda one: one.peak_gib)),
    ]
    for said, seconds, one in rows:
        times = f"{theirs.seconds / seconds:.1f}"
        hourly = f"{3600 / seconds:.0f}"
        table.add_row(said, f"{seconds:.1f}", f"{one.processor_seconds:.0f}", f"{one.peak_gib:.2f}", hourly, times)
    console = Console(width=120)
    console.print(table)
    if size == FULL:
        faster, memory = theirs.seconds / on_two_cores, max(one.peak_gib for one in pair) / theirs.peak_gib
        said = _held(faster >= TIMES_AS_FAST)
        console.print(f"on two cores {faster:.1f} times as fast, claimed {TIMES_AS_FAST}: {said}")
        said = _held(memory < OF_THE_MEMORY)
        console.print(f"memory of a process {memory:.0%}, claimed under {OF_THE_MEMORY:.0%}: {said}")
    differs = False
    for said, allowed in TOLERANCE.items():
        worst, whose = largest_difference(ours.values, theirs.values, said == "LoG")
        console.print(f"largest relative difference, {said}: {worst:.1e} ({whose}): {_held(worst <= allowed)}")
        differs |= worst > allowed
    if differs:
        raise SystemExit("the numbers are not PyRadiomics'")


def _held(claim: bool) -> str:
    return "holds" if claim else "DOES NOT HOLD"


if __name__ == "__main__":
    if len(sys.argv) == 4:
        child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(QUICK if "--quick" in sys.argv else FULL)
