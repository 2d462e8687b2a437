"""A patient's folder of NIfTI and NRRD files, read."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.findings import ImagesUnusable, Severity
from client.cohort.image_names import MaskName, is_phase, mask_name, suggestion
from client.cohort.images import read_patient, survey_patient
from client.cohort.images_file import read_images_file
from client.cohort.patient_folder import files_digest
from common.errors import HospitalError
from tests.client.images_on_disk import ball, ct_voxels, liver, write, write_patient


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
def test_voxels_and_grid_come_back_exactly_from_every_format(tmp_path: Path, ending: str) -> None:
    tilted = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    write(tmp_path / f"portal{ending}", ct_voxels(), direction=tilted)
    write(tmp_path / f"tumour{ending}", ball(), direction=tilted)
    phase = read_patient(tmp_path).phases["portal"]
    assert np.array_equal(sitk.GetArrayFromImage(phase.image), ct_voxels())
    assert np.array_equal(sitk.GetArrayFromImage(phase.masks["tumour"]), ball())
    np.testing.assert_allclose(phase.image.GetDirection(), tilted, atol=1e-6)
    mask = phase.masks["tumour"]
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert (mask.GetOrigin(), mask.GetSpacing(), mask.GetDirection()) == (
        phase.image.GetOrigin(),
        phase.image.GetSpacing(),
        phase.image.GetDirection(),
    )


def test_several_lesions_liver_vessels_and_a_second_reader(tmp_path: Path) -> None:
    folder = write_patient(
        tmp_path / "P1",
        tumour_2=ball((5, 8, 8), 2),
        tumour_10=ball((5, 20, 8), 2),
        vessels=ball((5, 14, 22), 2),
        liver=liver(),
    )
    write(folder / "tumour_reader2.nii.gz", ball(radius=4))
    phase = read_patient(folder).phases["portal"]
    assert phase.tumours == ["tumour", "tumour_2", "tumour_10"]
    assert set(phase.masks) == {"tumour", "tumour_2", "tumour_10", "liver", "vessels", "tumour_reader2"}
    assert phase.modality == "CT"


def test_a_mask_of_a_phase_goes_before_the_one_for_all(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1", arterial_tumor=ball(radius=2.5))
    write(folder / "arterial.nii.gz", ct_voxels(1))
    patient = read_patient(folder)
    arterial, portal = patient.phases["arterial"], patient.phases["portal"]
    assert sitk.GetArrayFromImage(arterial.masks["tumour"]).sum() == ball(radius=2.5).sum()
    assert sitk.GetArrayFromImage(portal.masks["tumour"]).sum() == ball().sum()
    assert arterial.drawn_here == {"tumour"}
    assert not portal.drawn_here


def test_a_mask_for_all_stays_with_the_phases_whose_grid_it_has(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    write(folder / "arterial.nii.gz", ct_voxels(1), origin_mm=(-20.0, -30.0, 46.0))
    patient = read_patient(folder)
    assert "tumour" in patient.phases["portal"].masks
    assert patient.phases["arterial"].masks == {}


def test_rounding_of_a_header_is_no_other_grid(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    write(folder / "tumour.nii.gz", ball(), origin_mm=(-20.004, -30.0, 40.003))
    assert "tumour" in read_patient(folder).phases["portal"].masks


def test_labels_are_taken_apart_by_images_yaml(tmp_path: Path) -> None:
    labels = liver() + ball() + 2 * ball((5, 8, 8), 2) * (liver() > 0)
    write(tmp_path / "portal.nii.gz", ct_voxels())
    write(tmp_path / "Organs.nii.gz", labels.astype(np.uint8))
    (tmp_path / "images.yaml").write_text("labels: {Organs: {2: tumour, 3: tumour_2}}\nmodality: CT\n")
    masks = read_patient(tmp_path).phases["portal"].masks
    assert np.array_equal(sitk.GetArrayFromImage(masks["tumour"]), (labels == 2).astype(np.uint8))
    assert np.array_equal(sitk.GetArrayFromImage(masks["tumour_2"]), (labels == 3).astype(np.uint8))


def test_a_hospitals_own_names_are_read_by_images_yaml(tmp_path: Path) -> None:
    write(tmp_path / "PVP.nii.gz", ct_voxels())
    write(tmp_path / "ROI.nii.gz", ball())
    found = survey_patient(tmp_path).findings
    assert any("did you mean portal?" in str(finding) for finding in found)
    assert any("did you mean tumour?" in str(finding) for finding in found)
    (tmp_path / "images.yaml").write_text("names: {PVP: portal, ROI: tumour}\n")
    assert set(read_patient(tmp_path).phases["portal"].masks) == {"tumour"}


def test_only_the_phases_asked_for_are_read(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    (folder / "delayed.nii.gz").write_bytes(b"broken")
    assert set(read_patient(folder, phases=["portal"]).phases) == {"portal"}
    with pytest.raises(ImagesUnusable, match=r"patient P1, delayed\.nii\.gz: .*copy or export it again"):
        read_patient(folder)
    with pytest.raises(ImagesUnusable, match=r"patient P1, arterial: the phase arterial is missing"):
        read_patient(folder, phases=["arterial", "portal"])


def test_the_digest_of_the_files_changes_with_any_byte_and_with_images_yaml(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    digests = [files_digest(folder), files_digest(folder)]
    (folder / "images.yaml").write_text("modality: MR\n")
    digests.append(files_digest(folder))
    write(folder / "tumour.nii.gz", ball(radius=3))
    digests.append(files_digest(folder))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_digest_of_the_content_does_not_depend_on_the_format(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    first = read_patient(folder).digest
    image = sitk.ReadImage(str(folder / "portal.nii.gz"))
    (folder / "portal.nii.gz").unlink()
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(folder / "portal.nrrd"))
    assert read_patient(folder).digest == first
    write(folder / "liver.nii.gz", ball(radius=8))
    assert read_patient(folder).digest != first


def test_a_sidecar_tells_how_an_image_was_made_and_never_who_the_patient_is(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    tags = {
        "Modality": "CT",
        "KVP": 120,
        "PatientName": "Liang",
        "SeriesDescription": "Liang portal",
        "EchoTime": None,
    }
    (folder / "portal.json").write_text(json.dumps(tags))
    patient = read_patient(folder)
    assert patient.phases["portal"].provenance == {"Modality": "CT", "KVP": 120.0}
    (finding,) = patient.findings
    assert finding.severity is Severity.LOOK
    assert "PatientName" in finding.found
    assert "Liang" not in str(finding)


def test_an_ultrasound_file_of_one_slice_becomes_a_true_2d_image(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (1, 40, 50)).astype(np.uint8)
    write(tmp_path / "us.nii.gz", frame, spacing_mm=(0.2, 0.2, 1.0))
    write(tmp_path / "tumour.nii.gz", ball((0, 20, 25), 9, (1, 40, 50)), spacing_mm=(0.2, 0.2, 1.0))
    phase = read_patient(tmp_path).phases["us"]
    assert phase.image.GetDimension() == phase.masks["tumour"].GetDimension() == 2
    assert np.array_equal(sitk.GetArrayFromImage(phase.image), frame[0])


def test_images_yaml_says_line_and_cure(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text("modality: CT\nnames:\n  a: portal\nlabel: {}\n")
    with pytest.raises(HospitalError, match=r"line 4: label: unknown field; did you mean 'labels'"):
        read_images_file(tmp_path)
    (tmp_path / "images.yaml").write_text("labels: {seg: {1: spleen}}\n")
    with pytest.raises(HospitalError, match="'spleen' is no mask; write tumour"):
        read_images_file(tmp_path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
def test_a_file_that_is_cut_off_is_never_read_as_zeros(tmp_path: Path, ending: str) -> None:
    folder = write_patient(tmp_path / "P1")
    whole = write(tmp_path / f"whole{ending}", ct_voxels()).read_bytes()
    (folder / "portal.nii.gz").unlink()
    for length in (len(whole) - 40, len(whole) // 2, 400):
        (folder / f"portal{ending}").write_bytes(whole[:length])
        with pytest.raises(ImagesUnusable, match=r"patient P1, portal.*; copy or export it again"):
            read_patient(folder)


def test_a_compressed_file_with_one_wrong_byte_is_refused(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    content = bytearray((folder / "portal.nii.gz").read_bytes())
    content[-6] ^= 0xFF  # within the checksum
    (folder / "portal.nii.gz").write_bytes(bytes(content))
    with pytest.raises(ImagesUnusable, match="damaged"):
        read_patient(folder)


def test_names_are_understood() -> None:
    assert mask_name("arterial_tumor_2_reader2") == MaskName("tumour_2_reader2", "arterial")
    assert mask_name("tumour_1") == MaskName("tumour")
    assert mask_name("liver_2") is None
    assert mask_name("portal") is None
    assert is_phase("dwi_b800")
    assert not is_phase("tumour")
    assert not is_phase("zhang_san")
    assert [suggestion(name) for name in ("PVP", "hbp", "portel", "HCC_mask")] == [
        "portal",
        "hepatobiliary",
        "portal",
        "tumour",
    ]
