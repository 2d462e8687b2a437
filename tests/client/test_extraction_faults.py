"""Bad inputs on their way to features: each fails with its patient, what was found and the cure, and stops nobody.

The list is that of tests/client/test_images_faults.py; what only asks a person to look is extracted.
"""

import csv
import os
import time
from pathlib import Path
from typing import Any

from client.cohort.findings import Severity
from client.extraction_run.run import Asked, extract_hospital
from client.site import open_site
from tests.client.images_on_disk import write_patient
from tests.client.test_images_faults import FAULTS
from tests.imaged_hospitals import STUDY, imaged_study

SECONDS = 180.0
CT: dict[str, Any] = {"modality": "CT", "spacing_mm": "native"}
FEATURES: dict[str, Any] = STUDY["features"] | {
    "phases": {"portal": CT, "arterial": CT},
    "missing_phases": "leave-empty",
    "regions": ["tumour", "ring"],
    "ring_mm": [5],
    "ring_rules": {"clip_to_liver": False},
    "minimum_voxels": 64,
}


def test_every_bad_input_fails_in_words_and_all_others_are_extracted(tmp_path: Path) -> None:
    stopped, looked = [], []
    for number, (_, spoil, _, severity, words) in enumerate(FAULTS):
        patient = f"Bad{number:02}"
        spoil(write_patient(tmp_path / "images" / patient))
        (stopped if severity is Severity.STOPS else looked).append((patient, words))
    healthy = [f"Good{number}" for number in range(3)]
    for number, patient in enumerate(healthy):
        write_patient(tmp_path / "images" / patient, seed=number)
    with (tmp_path / "patients.csv").open("w", newline="") as file:
        rows = [["id"], *([patient] for patient in sorted(os.listdir(tmp_path / "images")))]
        csv.writer(file).writerows(rows)
    assert len(stopped) >= 40

    began = time.monotonic()
    study = imaged_study(features=FEATURES)
    done = extract_hospital(open_site(tmp_path), study, Asked(processes=2, minutes=1), lambda *_: None)
    assert time.monotonic() - began < SECONDS
    assert set(healthy) <= set(done.computed), [done.failed.get(p) for p in healthy]
    unexpected = {patient for patient, _ in stopped} - set(done.failed)
    assert not unexpected
    for patient, words in stopped:
        said = done.failed[patient]
        assert f"patient {patient}" in said
        # what cannot be read at all is said before what is unlikely
        assert any(found in said for found in (words, "does not lie on the grid", "phase portal is missing")), said
        assert all("; " in line for line in said.splitlines()), said  # every fault with its cure
        assert "hepafed's own" not in said
