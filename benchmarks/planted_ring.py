"""Four synthetic hospitals whose CT images hold the outcome in the ring: what images, and what the ring, are worth.

Every patient is a small CT (NIfTI) with a mask of the tumour. The outcome depends on how bright the five millimetres
round the tumour are, and less on age. The tumour's own brightness and size tell nothing; hospitals differ in noise,
in their bias of Hounsfield units and in how many have the outcome. The whole way is run: files → patches → a federation
with secure sums → leave one hospital out → the report. Four networks side by side: columns and images, columns alone,
images alone, images of the tumour alone. Strength of the signal and settings were found on hospitals of other seeds.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import SimpleITK as sitk
import typer
import yaml
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).parents[1]
HOSPITALS = {"alder": 70, "birch": 80, "cedar": 90, "dogwood": 100}
EDGE, VOXEL_MM, RING_MM = 24, 2.0, 5.0
LIVER_HU, TUMOUR_HU, RING_HU = 60.0, 95.0, 60.0
RING_SPREAD_HU = 25.0
"""Of the ring's brightness, by which patients with and without the outcome differ."""
TUMOUR_SPREAD_HU = 25.0
RING_LOG_ODDS, AGE_LOG_ODDS = 2.5, 1.0
SEED = 22

STUDY: dict[str, Any] = {
    "study": "planted-ring",
    "outcome": {"kind": "binary", "column": "mvi"},
    "predictors": {"clinical": ["age", "tumour_size"]},
    "variables": {"tumour_size": {"unit": "mm"}},
    "model": {"kind": "network"},
    "patches": {
        "phases": {"portal": {"modality": "CT"}},
        "spacing_mm": VOXEL_MM,
        "size": [16, 16, 16],
        "ring_mm": RING_MM,
        "ring_rules": {"clip_to_liver": False, "lowest_hu": None},
        "augmentation": None,
    },
    "network": {
        "architecture": "fusion",
        "image": {"channels": [8, 16]},
        "precision": "single",
        "rounds": 20,
        "batch_size": 16,
        "learning_rate": 0.02,
        "momentum": 0.9,
        "clip_gradient": 1.0,
    },
    "compare": {
        "columns alone": {"clinical": "all", "image": "none"},
        "images alone": {"image": "everything"},
        "tumour alone": {"image": "tumour"},
    },
    "validation": {"folds": 0, "leave_one_hospital_out": True},
    "seed": SEED,
}
NAMES = {
    "": "columns and images",
    "columns alone": "columns alone",
    "images alone": "images alone",
    "tumour alone": "images of the tumour alone",
}
LEFT_OUT = "leave_one_hospital_out"


def write_hospitals(folder: Path, quick: bool = False) -> None:
    """Hospital folders with images, and study.yaml beside them.

    Parameters
    ----------
    quick
        Columns alone beside the network that sees all.
    """
    rng = np.random.default_rng(SEED)
    for place, (name, patients) in enumerate(HOSPITALS.items()):
        noise_hu, bias_hu, shift = rng.uniform(8, 16), rng.normal(0, 5), rng.normal(0, 0.7)
        ring, age = rng.normal(size=patients), rng.normal(size=patients)
        chance = 1 / (1 + np.exp(-shift - RING_LOG_ODDS * ring - AGE_LOG_ODDS * age))
        outcome = rng.random(patients) < chance
        rows = []
        for number in range(patients):
            patient = f"{name[:1].upper()}{place}{number:03d}"
            radius_mm = write_images(folder / name / "images" / patient, ring[number], noise_hu, bias_hu, rng)
            rows.append([patient, f"{62 + 9 * age[number]:.1f}", f"{2 * radius_mm:.1f}", int(outcome[number])])
        with (folder / name / "patients.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "age", "tumour_size", "mvi"], *rows])
        (folder / name / "site.yaml").write_text(f"name: {name}\npolicy: {{single_hospital_sums: true}}\n")
    compared = {name: seen for name, seen in STUDY["compare"].items() if not quick or name == "columns alone"}
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | {"compare": compared}, sort_keys=False))


def write_images(folder: Path, ring: float, noise_hu: float, bias_hu: float, rng: np.random.Generator) -> float:
    """One patient's CT and tumour; the tumour's radius."""
    folder.mkdir(parents=True)
    radius_mm = float(rng.uniform(5, 8))
    centre = (EDGE - 1) / 2 + rng.uniform(-1, 1, size=3)
    away_mm = VOXEL_MM * np.linalg.norm(np.indices((EDGE,) * 3) - centre[:, None, None, None], axis=0)
    tumour = away_mm <= radius_mm
    around = (away_mm > radius_mm) & (away_mm <= radius_mm + RING_MM)
    hu = LIVER_HU + bias_hu + noise_hu * rng.normal(size=away_mm.shape)
    hu += 15 * gaussian_filter(rng.normal(size=away_mm.shape), 2.0) / 0.05
    hu[tumour] += TUMOUR_HU - LIVER_HU + TUMOUR_SPREAD_HU * rng.normal()
    hu[around] += RING_HU - LIVER_HU + RING_SPREAD_HU * ring
    for name, voxels in (("portal", np.rint(hu).astype(np.int16)), ("tumour", tumour.astype(np.uint8))):
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((VOXEL_MM,) * 3)
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return radius_mm


def table(results: dict[str, Any]) -> str:
    """The published table, of a run's results.json."""
    lines = ["| network over | AUC of all patients | AUC within hospitals |", "|---|---|---|"]
    for name in results["models"]:
        found = results["models"][name]["performance"][LEFT_OUT]
        overall, within = (_interval(found[where]["auc"]) for where in ("overall", "within_sites"))
        lines.append(f"| {NAMES[name]} | {overall} | {within} |")
    seen = results["network"]["attention"]
    lines += ["", "| | tumour | ring | elsewhere |", "|---|---|---|---|"]
    for key, said in (("shares", "Grad-CAM's share"), ("volumes", "share of the voxels: chance")):
        lines.append(
            f"| {said} | " + " | ".join(f"{seen[key][p]:.3f}" for p in ("tumour", "ring", "elsewhere")) + " |"
        )
    return "\n".join(lines)


def _interval(auc: dict[str, float]) -> str:
    return f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Two of the networks.")] = False,
    out: Annotated[Path | None, typer.Option(help="An empty folder that is kept; left out: none.")] = None,
) -> None:
    """Write the hospitals, run the study, print the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as own:
        folder = out or Path(own)
        write_hospitals(folder / "hospitals", quick)
        study, sites = folder / "hospitals" / "study.yaml", folder / "hospitals"
        asked = [sys.executable, "-m", "deploy", "simulate", study, "--sites", sites, "--out", folder / "report"]
        ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise SystemExit((ran.stdout + ran.stderr)[-2000:])
        results = json.loads((folder / "report" / "results.json").read_text())
    typer.echo(f"{results['cohort']['patients']} patients, {results['cohort']['events']} with the outcome")
    typer.echo(table(results))
    typer.echo(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    typer.run(main)
