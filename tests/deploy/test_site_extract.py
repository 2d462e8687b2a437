"""`hepafed site extract`, and a study over what was extracted, as their users type them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from common.errors import StudyStopped
from common.query import Disclosed
from server.roll_call import same_versions
from tests.client.images_on_disk import as_image, ball, ct_voxels
from tests.command import hepafed
from tests.imaged_hospitals import STUDY, write_hospital


def written_study(folder: Path) -> Path:
    study = STUDY | {"validation": {"folds": 0, "leave_one_hospital_out": False}}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def test_a_hospital_extracts_and_is_told_what_failed_and_how_to_mend_it(tmp_path: Path) -> None:
    site = write_hospital(tmp_path / "north")
    sitk.WriteImage(as_image(np.zeros_like(ball())), str(site.images / "P1" / "tumour.nii.gz"))
    (site.images / "stranger").mkdir()
    ran = hepafed("site", "extract", written_study(tmp_path), site.folder, "--csv", tmp_path / "features.csv")
    assert ran.exit_code == 2, ran.output
    assert "3 patients: 2 computed, 0 unchanged, 1 failed" in ran.output
    assert "patients a minute" in ran.output
    assert "Failed: patient P1, tumour" in ran.output
    assert "not in patients.csv, not extracted: stranger" in ran.output
    with (tmp_path / "features.csv").open() as file:
        table = {row["id"]: row for row in csv.DictReader(file)}
    assert set(table) == {"P0", "P2"}
    mean = float(table["P2"]["portal_tumour_original_firstorder_Mean"])
    assert mean == pytest.approx(ct_voxels(2)[ball() > 0].mean(), rel=1e-12)
    assert "portal_tumour_original_firstorder_Entropy" in table["P2"]
    again = hepafed("site", "extract", tmp_path / "study.yaml", site.folder)
    assert "0 computed, 2 unchanged, 1 failed" in again.output


def test_a_study_without_the_section_or_a_folder_without_images_is_told_so(tmp_path: Path) -> None:
    site = write_hospital(tmp_path / "north", patients=1)
    study = tmp_path / "plain.yaml"
    study.write_text(yaml.safe_dump({name: value for name, value in STUDY.items() if name != "features"}))
    ran = hepafed("site", "extract", study, site.folder)
    assert ran.exit_code == 1
    assert "has no section features" in ran.stderr
    site.images.rename(tmp_path / "elsewhere")
    ran = hepafed("site", "extract", written_study(tmp_path), site.folder)
    assert ran.exit_code == 1
    assert "there is no such folder; put one folder a patient there" in ran.stderr


def test_a_simulated_study_extracts_first_and_then_fits_the_features(tmp_path: Path) -> None:
    for number, name in enumerate(("north", "south", "west")):
        write_hospital(tmp_path / "hospitals" / name, patients=20, seed=100 * number)
    out = tmp_path / "report"
    ran = hepafed("simulate", written_study(tmp_path), "--sites", tmp_path / "hospitals", "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "north: features of 20 of 20 patients" in ran.output
    results = json.loads((out / "results.json").read_text())
    assert results["sites"]["north"]["fingerprint"]["features pyradiomics"] == "3.0.1"
    assert "portal_tumour_original_firstorder_Mean" in json.dumps(results["model"])
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "features pyradiomics" in report
    again = hepafed(
        "simulate", tmp_path / "study.yaml", "--sites", tmp_path / "hospitals", "--out", out, "--overwrite"
    )
    assert again.exit_code == 0, again.output
    first = {name: value for name, value in results.items() if name != "transport"}
    second = json.loads((out / "results.json").read_text())
    assert first == {name: value for name, value in second.items() if name != "transport"}


def disclosed(**fingerprint: str) -> Disclosed:
    return Disclosed(hospital="h", fingerprint={"hepafed": "1", **fingerprint})


def test_hospitals_that_extract_in_another_way_are_named() -> None:
    said = {
        "north": disclosed(**{"features settings": "aa"}),
        "south": disclosed(**{"features settings": "bb"}),
    }
    with pytest.raises(StudyStopped, match=r"do not agree on features settings .*north: aa; south: bb"):
        same_versions(said)
    said = {
        "north": disclosed(**{"features settings": "aa", "features numpy": "1.26.4"}),
        "south": disclosed(**{"features settings": "aa", "features numpy": "2.2.6"}),
    }
    (note,) = same_versions(said)
    assert "numpy (north: 1.26.4; south: 2.2.6)" in note
