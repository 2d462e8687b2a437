"""A small hospital for `hepafed site check`: healthy patients, of whom single cells are replaced."""

import csv
from pathlib import Path
from typing import Any

import yaml

from tests.client.images_on_disk import write_patient
from tests.command import Result, hepafed

HEALTHY = {"age": "61", "afp": "12.5", "albumin": "41", "platelets": "160", "tumour_size_mm": "35", "mvi": "1"}
FEATURES: dict[str, Any] = {
    "phases": {"portal": {"modality": "CT", "bin_width": 5}},
    "regions": ["tumour", "ring"],
    "ring_mm": [3, 5],
    "ring_rules": {"clip_to_liver": False},
}
ASKED: dict[str, Any] = {
    "study": "rings",
    "outcome": {"kind": "binary", "column": "mvi"},
    "predictors": {"clinical": ["age", "albumin"], "radiomics": "all"},
    "variables": {"age": {"type": "integer", "unit": "years", "range": [18, 90]}, "albumin": {"unit": "g/L"}},
    "features": FEATURES,
}


def check(folder: Path, *arguments: object) -> Result:
    return hepafed("site", "check", folder, *arguments)


def write_table(folder: Path, rows: dict[str, dict[str, str]], name: str = "patients.csv") -> None:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", *columns])
        table.writerows([patient.split("/")[0], *(row[c] for c in columns)] for patient, row in rows.items())


def hospital(folder: Path, patients: int = 3, **changed: dict[str, str]) -> Path:
    """Healthy patients P0, P1, … with one CT each; `changed` replaces cells of single patients."""
    for seed in range(patients):
        write_patient(folder / "images" / f"P{seed}", seed)
    write_table(folder, {f"P{seed}": HEALTHY | changed.get(f"P{seed}", {}) for seed in range(patients)})
    return folder


def study_file(folder: Path, **changes: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(ASKED | changes), encoding="utf-8")
    return path


def about(result: Result, patient: str) -> list[str]:
    return [line for line in result.output.splitlines() if f"patient {patient}" in line]
