"""Patients checked against each other, rings against what they hold, and the picture for the hospital's page."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from client.cohort.findings import Finding, Severity
from client.cohort.image_checks import Limits
from client.cohort.image_collection_checks import check_folder, identity_like
from client.cohort.images import read_patient
from client.cohort.patient_images import PatientImages
from client.cohort.region_checks import check_ring
from client.cohort.thumbnails import COLOURS, thumbnail
from tests.client.images_on_disk import as_image, ball, ct_voxels, liver, write, write_patient


def _all(images: Path, **choices: object) -> list[Finding]:
    return [finding for _, found in check_folder(images, **choices) for finding in found]


def test_one_person_under_two_ids_is_found_in_any_format(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1", 1)
    write(tmp_path / "P2" / "portal.nrrd", ct_voxels(1, ball((5, 14, 17))).astype(np.float32))
    write(tmp_path / "P2" / "tumour.nrrd", ball(radius=3))
    (tmp_path / "images.yaml").write_text("modality: CT\n")
    (finding,) = _all(tmp_path)
    assert (finding.patient, finding.kind, finding.severity) == ("P2", "duplicate patient", Severity.STOPS)
    assert "patient P1's portal" in finding.found


def test_a_mask_copied_to_another_patient_is_found(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1", 1)
    write_patient(tmp_path / "P2", 2)
    shutil.copy(tmp_path / "P1" / "tumour.nii.gz", tmp_path / "P2" / "tumour.nii.gz")
    (finding,) = _all(tmp_path)
    assert (finding.patient, finding.kind) == ("P2", "duplicate mask")


def test_patients_without_images_and_images_without_patients(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1", 1)
    write_patient(tmp_path / "P2", 2)
    found = {finding.patient: finding.kind for finding in _all(tmp_path, patients=["P1", "P3"])}
    assert found == {"P2": "not listed", "P3": "missing folder"}


def test_a_spacing_that_stands_out_is_named(tmp_path: Path) -> None:
    for seed in range(6):
        folder = write_patient(tmp_path / f"P{seed}", seed)
        if seed == 3:
            for name in ("portal", "tumour"):
                voxels = ct_voxels(seed) if name == "portal" else ball((5, 14, 19))
                write(folder / f"{name}.nii.gz", voxels, spacing_mm=(1.5, 1.5, 9.0))
    (finding,) = _all(tmp_path)
    assert str(finding).startswith("patient P3, portal: slices of 9 mm, while the hospital's median is 3 mm")


def test_the_phases_that_a_study_needs_and_that_are_missing(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1", 1)
    write(write_patient(tmp_path / "P2", 2) / "arterial.nii.gz", ct_voxels(8))
    (finding,) = _all(tmp_path, phases=["arterial", "portal"])
    assert (finding.patient, finding.kind) == ("P1", "missing phase")


@pytest.mark.parametrize(
    "name",
    [
        "ZHANG_SAN",
        "王小明",
        "19600131_a",
        "110101199003071234",
        "Liang^Wei",
        "case 2001-02-03",
        "Ng-Mei",
        "Ōno Ken",
    ],
)
def test_a_folder_called_like_a_person_is_said(tmp_path: Path, name: str) -> None:
    assert identity_like(name)
    write_patient(tmp_path / name)
    assert "identity in a name" in {finding.kind for finding in _all(tmp_path)}


@pytest.mark.parametrize(
    "name", ["P-4XKQ7A2BCD", "patient001", "SYN_0007", "TCGA-BC-A10Q", "TCGA-DD-AACA", "HCC-AB", "0042"]
)
def test_a_pseudonym_is_no_name(name: str) -> None:
    assert identity_like(name) is None


def test_a_ring_that_holds_air_bone_or_nothing(tmp_path: Path) -> None:
    phase = read_patient(write_patient(tmp_path / "P1")).phases["portal"]
    ring = ball(radius=6) - ball()
    assert check_ring("P1", phase, "tumour", as_image(ring), 5.0).all() == ()
    in_air = np.zeros_like(ring)
    in_air[:, :3, :] = 1
    (finding,) = check_ring("P1", phase, "tumour", as_image(in_air), 5.0).all()
    assert (finding.kind, finding.place) == ("air in the ring", "portal, tumour, ring 5 mm")
    assert check_ring("P1", phase, "tumour", as_image(ring * 0), 5.0).all()[0].kind == "empty ring"
    write(tmp_path / "P1" / "portal.nii.gz", np.where(ring > 0, 900, ct_voxels()).astype(np.int16))
    bony = read_patient(tmp_path / "P1").phases["portal"]
    assert check_ring("P1", bony, "tumour", as_image(ring), 5.0).all()[0].kind == "bone or metal in the ring"


def test_what_else_is_checked_while_the_images_are_in_memory(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1")

    def rings(patient: PatientImages) -> tuple[Finding, ...]:
        phase = patient.phases["portal"]
        return check_ring(patient.patient, phase, "tumour", as_image(ball() * 0), 5.0).all()

    assert [finding.kind for finding in _all(tmp_path, also=rings)] == ["empty ring"]


def test_one_patient_that_breaks_the_checks_does_not_stop_the_others(tmp_path: Path) -> None:
    write_patient(tmp_path / "P1", 1)
    write_patient(tmp_path / "P2", 2)

    def breaks(patient: PatientImages) -> tuple[Finding, ...]:
        if patient.patient == "P1":
            raise ZeroDivisionError("no reason")
        return ()

    (finding,) = _all(tmp_path, also=breaks, limits=Limits())
    assert str(finding).startswith("patient P1: the images could not be checked (ZeroDivisionError: no reason); ")


def test_the_picture_shows_the_outlines_on_the_largest_slice(tmp_path: Path) -> None:
    phase = read_patient(write_patient(tmp_path / "P1", liver=liver())).phases["portal"]
    picture = imread(io.BytesIO(thumbnail(phase, size_px=200)))[..., :3]
    colours = {tuple(pixel) for pixel in np.rint(picture * 255).astype(int).reshape(-1, 3)}
    assert COLOURS["tumour"] in colours
    assert COLOURS["liver"] in colours
    assert max(picture.shape[:2]) == 200
    red = (np.rint(picture * 255).astype(int) == COLOURS["tumour"]).all(axis=-1)
    height_mm = np.ptp(np.flatnonzero(red.any(axis=1))) / picture.shape[0] * 28 * 1.5
    assert height_mm == pytest.approx(7 * 1.5, abs=0.5)


def test_a_picture_of_a_flipped_nifti_is_turned_back(tmp_path: Path) -> None:
    seen = []
    for name, direction in (("A", None), ("B", (-1, 0, 0, 0, -1, 0, 0, 0, 1))):
        turned = slice(None, None, -1) if direction else slice(None)
        write(tmp_path / name / "portal.nii.gz", ct_voxels()[:, turned, turned], direction=direction)
        write(tmp_path / name / "tumour.nii.gz", ball((5, 12, 10))[:, turned, turned], direction=direction)
        (tmp_path / name / "images.yaml").write_text("modality: CT\n")
        seen.append(imread(io.BytesIO(thumbnail(read_patient(tmp_path / name).phases["portal"], size_px=168))))
    assert np.mean(np.abs(seen[0] - seen[1]) > 0.02) < 0.05


def test_a_picture_can_be_drawn_without_masks_and_of_a_2d_image(tmp_path: Path) -> None:
    write(
        tmp_path / "us.nii.gz",
        np.arange(2000, dtype=np.uint8).reshape(40, 50),
        spacing_mm=(0.2, 0.4),
        origin_mm=(0, 0),
    )
    write(tmp_path / "tumour.nii.gz", ball((20, 25), 7, (40, 50)), spacing_mm=(0.2, 0.4), origin_mm=(0, 0))
    phase = read_patient(tmp_path).phases["us"]
    assert imread(io.BytesIO(thumbnail(phase))).shape[:2] == (320, 200)
    assert thumbnail(phase, {}).startswith(b"\x89PNG")
