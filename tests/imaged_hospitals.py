"""Hospitals with images of a few kilobytes, of some milliseconds' work each, and a study that extracts from them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from client.site import Site, open_site
from common.study import Study
from tests.client.images_on_disk import as_image, ball, ct_voxels

STUDY: dict[str, Any] = {
    "study": "imaged",
    "outcome": {"kind": "binary", "column": "mvi"},
    "predictors": {"clinical": ["age"], "radiomics": ["portal_tumour_original_firstorder_Mean"]},
    "features": {
        "phases": {"portal": {"modality": "CT", "spacing_mm": "native"}},
        "classes": ["firstorder"],
        "minimum_voxels": 8,
    },
}


def write_hospital(folder: Path, patients: int = 3, seed: int = 0) -> Site:
    """Patients with one CT and one tumour each, of some milliseconds' work."""
    (folder / "images").mkdir(parents=True)
    with (folder / "patients.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "age", "mvi"])
        ages = np.random.default_rng(patients).integers(40, 80, patients)
        table.writerows([[f"P{n}", ages[n], (n * 7 // 3) % 2] for n in range(patients)])
    for number in range(patients):
        write_patient(folder / "images" / f"P{number}", seed + number)
    return open_site(folder)


def write_patient(folder: Path, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(as_image(ct_voxels(seed)), str(folder / "portal.nii.gz"))
    sitk.WriteImage(as_image(ball()), str(folder / "tumour.nii.gz"))


def imaged_study(**changes: Any) -> Study:
    return Study.from_content({**STUDY, **changes}, "study")
