"""`hepafed site check`, as a hospital types it: every finding with its cure, nothing changed, nobody stops the rest."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from client.cohort import site_check
from client.site import open_site
from deploy.check_words import print_check
from tests.client import spoilt_images as spoilt
from tests.client.images_on_disk import ball, ct_voxels, write, write_patient
from tests.client.test_images_faults import FAULTS
from tests.command import hepafed
from tests.deploy.checked_hospital import ASKED, FEATURES, HEALTHY, about, check, hospital, study_file, write_table


def test_every_known_fault_is_named_in_one_call_and_the_healthy_are_left_alone(tmp_path: Path) -> None:
    for seed, name in enumerate(("Fine1", "Fine2", "Fine3"), start=4):
        write_patient(tmp_path / "images" / name, seed)
    for number, (_, spoil, *_rest) in enumerate(FAULTS):
        spoil(write_patient(tmp_path / "images" / f"Bad{number:02d}"))
    found = check(tmp_path)
    assert found.exit_code == 1
    for number, (what, _, _, severity, words) in enumerate(FAULTS):
        lines = [line for line in about(found, f"Bad{number:02d}") if line.startswith(severity.value)]
        assert any(words in line for line in lines), (what, lines)
    assert about(found, "Fine") == []
    assert f"{len(FAULTS) + 3} patients checked" in found.output
    assert "Error" not in found.output


def test_a_healthy_hospital_has_nothing_to_say_and_nothing_is_changed(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = check(folder)
    assert found.exit_code == 0, found.output
    assert found.output == "3 patients checked: 0 stopped, 0 to look at, 3 with nothing found\n"
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_stops_comes_before_what_to_look_at_and_decides_the_exit_code(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north", P0={"age": "190"})
    write(folder / "images" / "P2" / "tumour.nii.gz", np.zeros_like(ball()))
    (folder / "images" / "P2" / "note.xyz").write_text("?")
    found = check(folder)
    assert found.exit_code == 1
    lines = found.output.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == ["stops", "stops", "look", "look"]
    assert [re.findall(r"P\d", line)[0] for line in lines[:-2]] == ["P2", "P2", "P2", "P0"]
    assert "190 years lies outside what is plausible (15 to 105 years); correct it" in lines[3]
    assert lines[-2] == "3 patients checked: 1 stopped, 1 to look at, 1 with nothing found"
    assert lines[-1].startswith("By kind: ")
    only_look = hospital(tmp_path / "south", P1={"albumin": "4.1"})
    assert check(only_look).exit_code == 0


CLINICAL: list[tuple[str, dict[str, str], str]] = [
    # the column, the row's cells, words of the line
    ("an age", {"age": "6"}, "P1, age: 6 years lies outside what is plausible"),
    ("a size", {"tumour_size_mm": "0.4"}, "tumour_size_mm: 0.4 mm lies outside what is plausible (1 to 300 mm)"),
    ("platelets", {"platelets": "160000"}, "if it is counted in /uL, it is 160 10^9/L"),
    ("albumin", {"albumin": "5200"}, "5200 g/L lies outside"),
    ("another unit", {"albumin": "4.1"}, "if it is counted in g/dL, it is 41 g/L"),
    ("AFP", {"afp": "-1"}, "-1 ng/mL lies outside"),
    ("an outcome", {"mvi": ""}, "mvi: the outcome is not known; fill it in"),
    ("a text", {"afp": ">1210"}, 'column afp holds text where numbers belong: ">1210"'),
]


@pytest.mark.parametrize(("what", "cells", "words"), CLINICAL, ids=[line[0] for line in CLINICAL])
def test_a_doubtful_cell_is_named_without_a_study(
    tmp_path: Path, what: str, cells: dict[str, str], words: str
) -> None:
    found = check(hospital(tmp_path, P1=cells))
    assert found.exit_code == 0
    (line,) = [line for line in found.output.splitlines() if line.startswith("look")]
    assert words in line


def test_many_implausible_values_are_another_unit_and_not_many_patients(tmp_path: Path) -> None:
    write_table(tmp_path, {f"P{i}": HEALTHY | {"albumin": f"{3.6 + i / 10:.1f}"} for i in range(8)})
    (tmp_path / "features.csv").write_text("id,f\n")
    found = check(tmp_path)
    (line,) = [line for line in found.output.splitlines() if line.startswith("look")]
    assert "column albumin: 8 of 8 values lie outside what is plausible" in line
    assert "likely counted in g/dL: add factor: 10" in line


def test_a_single_value_in_another_unit_is_recognised_beside_the_unit_of_the_column(tmp_path: Path) -> None:
    folder = hospital(tmp_path, 4)
    write_table(
        folder, {f"P{i}": HEALTHY | {"albumin": value} for i, value in enumerate(("4.1", "3.9", "44", "4"))}
    )
    (folder / "columns.yaml").write_text("columns:\n  albumin: {unit: g/dL}\n")
    found = check(folder)
    assert "440 g/L lies outside" in "".join(about(found, "P2"))
    assert "if it is counted in g/L already, it is 44 g/L" in "".join(about(found, "P2"))
    assert "1 to look at" in found.output


def test_an_id_on_two_lines_stops_that_patient_and_the_others_are_checked(tmp_path: Path) -> None:
    folder = hospital(tmp_path)
    write_table(folder, {"P0": HEALTHY, "P1": HEALTHY, "P0/again": HEALTHY, "P2": HEALTHY | {"mvi": "NA"}})
    found = check(folder)
    assert found.exit_code == 1
    assert about(found, "P0") == [
        "stops  patient P0, patients.csv: the id stands on lines 2, 4; keep one row, or give the other patient "
        "another id"
    ]
    assert len(about(found, "P2")) == 1
    assert "3 patients checked" in found.output
    with_study = check(folder, "--study", study_file(folder))
    assert sum("stands on lines" in line for line in with_study.output.splitlines()) == 1


def test_rows_without_images_and_images_without_rows_are_named(tmp_path: Path) -> None:
    folder = hospital(tmp_path)
    write_table(folder, {"P0": HEALTHY, "P1": HEALTHY, "P9": HEALTHY, "ZHANG_SAN": HEALTHY, "x" * 300: HEALTHY})
    found = check(folder)
    assert found.exit_code == 1
    assert "the id holds unusual signs" in "".join(about(found, "x" * 300))
    assert "there is no folder images/P9; add the images" in "".join(about(found, "P9"))
    assert "has images and is not in patients.csv" in "".join(about(found, "P2"))
    assert "the id reads like a person's name" in "".join(about(found, "ZHANG_SAN"))
    (folder / "features.csv").write_text("id,f\n")  # features come from there: images may be missing
    assert check(folder).exit_code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda folder: (folder / "patients.csv").unlink(),
            "stops  patients.csv: there is no such file; put one row",
        ),
        (lambda folder: (folder / "patients.csv").write_text(""), "patients.csv: the file is empty"),
        (lambda folder: (folder / "patients.csv").write_text("id,a\nP0,1,2\n"), "3 cells, but the header has 2"),
        (lambda folder: (folder / "columns.yaml").write_text("colums: {}\n"), "columns.yaml"),
        (
            lambda folder: (folder / "images" / "images.yaml").write_text("modalty: CT\n"),
            "did you mean 'modality'",
        ),
        (lambda folder: write(folder / "images" / "P7.nii.gz", ct_voxels()), "1 image file beside the patients'"),
        (lambda folder: os.mkfifo(folder / "images" / "P1" / "pipe.nii.gz"), "this is no file; delete it"),
    ],
)
def test_a_fault_of_the_files_as_a_whole_is_said_and_the_rest_is_checked(
    tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    folder = hospital(tmp_path)
    change(folder)
    found = check(folder)
    assert words in found.output.replace("\n", " ")
    assert "Traceback" not in found.output
    assert "patients checked" in found.output


def test_a_study_decides_on_phases_rings_ranges_and_outcome(tmp_path: Path) -> None:
    folder = hospital(
        tmp_path, 6, P1={"age": "95"}, P2={"mvi": ""}, P3={"albumin": "900"}, P4={"platelets": "9e9"}
    )
    write(folder / "images" / "P0" / "arterial.nii.gz", ct_voxels(0))  # a copy, but the study does not ask for it
    found = check(folder, "--study", study_file(folder))
    assert found.exit_code == 1
    assert about(found, "P0") == []
    assert "stops  patient P1, age: 95 years lies outside what the study allows" in found.output
    assert "look   patient P2, mvi: the outcome is not known" in found.output
    assert "look   patient P3, albumin: 900 g/L lies outside what is plausible (10 to 70 g/L)" in found.output
    assert about(found, "P4") == []  # platelets are none of the study's columns
    assert "By the study's criteria: read 6, met criteria 6, outcome known 5, in range 4" in found.output
    thin = check(folder, "--study", study_file(folder, features=FEATURES | {"ring_mm": [2]}))
    assert sum("rings 2 mm wide" in line for line in thin.output.splitlines()) == 6


def test_what_a_study_cannot_read_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    folder = hospital(tmp_path, P0={"age": "sixty"})
    asked = ASKED | {"outcome": {"kind": "binary", "column": "recurrence"}}
    found = check(folder, "--study", study_file(folder, **asked))
    assert found.exit_code == 1
    assert 'there is no column "recurrence", the study\'s outcome' in found.output
    assert 'column age holds text where numbers belong: "sixty" (1 patient: P0)' in found.output
    assert "2 faults of the files as a whole" in found.output


@pytest.mark.parametrize(
    ("features", "spoil", "words"),
    [
        ({"phases": {"arterial": {"modality": "CT"}}}, None, "the phase arterial is missing (there are: portal)"),
        ({"phases": {"portal": {"modality": "MRI"}}}, None, "the image is CT, the study asks for MRI"),
        ({"ring_rules": {"clip_to_liver": True}}, None, "portal has no mask of it; add liver.nii.gz"),
        ({"minimum_voxels": 500}, None, "179 voxels are marked, 500 are needed"),
        ({"phases": {"portal": {"modality": "CT", "bin_width": 0.05}}}, None, "at most 512 can be computed"),
        ({"phases": {"portal": {"modality": "CT", "bin_width": 100}}}, None, "no texture is left"),
        ({}, spoilt.tumour(ball((5, 5, 16))), "of it are below -300 HU: lung, gas, or air and table"),
        (
            {"ring_rules": {"clip_to_liver": True}},
            spoilt.phase("liver", ball()),
            "the ring holds no voxel; check the liver's mask",
        ),
        ({"regions": ["band"], "ring_mm": [], "band_mm": [1]}, None, "rings 1 mm wide"),
    ],
)
def test_what_a_study_asks_of_images_is_checked(
    tmp_path: Path, features: dict[str, Any], spoil: Callable[[Path], object] | None, words: str
) -> None:
    folder = hospital(tmp_path, 1)
    if spoil:
        spoil(folder / "images" / "P0")
    found = check(folder, "--study", study_file(folder, features=FEATURES | features))
    assert words in "".join(about(found, "P0")), found.output


def test_a_study_without_images_does_not_ask_for_them(tmp_path: Path) -> None:
    write_table(tmp_path, {f"P{i}": HEALTHY for i in range(3)})
    write_table(tmp_path, {"P0": {"f": "1"}, "P1": {"f": "2"}}, "features.csv")
    found = check(tmp_path, "--study", study_file(tmp_path, features=None))
    assert found.exit_code == 0
    assert about(found, "P2") == [
        "look   patient P2, features.csv: the patient has no row in features.csv; add it; the study leaves the "
        "patient out"
    ]
    assert "with features 2" in found.output
    needed = check(tmp_path, "--study", study_file(tmp_path))
    assert needed.exit_code == 1
    assert "there is no folder images, and the study computes its features from images" in needed.output


def test_one_patient_that_breaks_the_check_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = site_check.ring_on_image

    def breaks(phase: Any, *rest: Any, **named: Any) -> Any:
        if float(phase.image.GetPixel(16, 14, 5)) == float(ct_voxels(1, ball((5, 14, 17)))[5, 14, 16]):
            raise ZeroDivisionError("no reason")
        return healthy(phase, *rest, **named)

    monkeypatch.setattr(site_check, "ring_on_image", breaks)
    found = check(hospital(tmp_path))
    assert found.exit_code == 1
    assert "could not be checked (ZeroDivisionError: no reason)" in "".join(about(found, "P1"))
    assert "3 patients checked: 1 stopped, 0 to look at, 2 with nothing found" in found.output


def test_a_call_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north", 1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "site.yaml").write_text("nme: {\n")
    (tmp_path / "study.yaml").write_text("study: x\n")
    for arguments, words in (
        ((tmp_path / "nowhere",), "there is no such folder"),
        ((tmp_path / "broken",), "site.yaml, line 2"),
        ((folder, "--study", tmp_path / "study.yaml"), "outcome"),
        ((folder, "--study", tmp_path / "no.yaml"), "no.yaml"),
        ((folder, "--html", tmp_path / "no" / "page.html"), "make it first"),
    ):
        refused = check(*arguments)
        assert refused.exit_code == 2, refused.output
        assert words in refused.output
        assert "Traceback" not in refused.output


def test_without_the_packages_for_images_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "client.cohort.site_check", None)
    refused = check(hospital(tmp_path, 1))
    assert refused.exit_code == 2
    assert "cannot be imported: install with pip install 'hepafed[images]'" in refused.output


def test_on_a_terminal_a_patient_is_named_once_over_the_findings(tmp_path: Path) -> None:
    folder = hospital(tmp_path, P1={"age": "190", "mvi": ""})
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, width=140, no_color=True)
    print_check(terminal, site_check.check_site(open_site(folder)))
    assert seen.getvalue().count("P1") == 1
    assert seen.getvalue().count("look") == 2 + 1  # in two rows, and in the summary
    assert "What to do" in seen.getvalue()


def test_help_says_the_exit_codes_and_has_an_example() -> None:
    said = " ".join(hepafed("site", "check", "--help").output.split())
    assert "0 when nothing stops, 1 when something stops, 2 when the call cannot be used" in said
    assert "hepafed site check HOSPITAL" in said
