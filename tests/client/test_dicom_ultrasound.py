"""Ultrasound, read: true 2-D, grey, spaced, and never with text that nobody looked at."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.findings import ImagesUnusable
from client.cohort.images import read_patient, survey_patient
from client.cohort.ultrasound import grey_values
from tests.client.images_on_disk import ball, save, write
from tests.client.pictures_on_disk import ultrasound

FRAME = np.random.default_rng(3).integers(1, 250, (40, 50)).astype(np.uint8)
MASK = ball((20, 25), 7, (40, 50))


def _patient(folder: Path, pixels: np.ndarray, phase: str = "us", **tags: object) -> Path:
    save(folder / phase, [ultrasound(pixels, **tags)])
    return folder


def _with_mask(folder: Path, mask: np.ndarray = MASK, name: str = "tumour") -> None:
    write(folder / f"{name}.nii.gz", mask, spacing_mm=(0.2, 0.3), origin_mm=(0, 0))


def test_a_picture_has_the_spacing_of_its_region(tmp_path: Path) -> None:
    _with_mask(_patient(tmp_path, FRAME))
    phase = read_patient(tmp_path).phases["us"]
    assert phase.image.GetDimension() == 2
    np.testing.assert_allclose(phase.spacing_mm, (0.2, 0.3))
    assert np.array_equal(sitk.GetArrayFromImage(phase.image), FRAME)
    assert np.array_equal(sitk.GetArrayFromImage(phase.masks["tumour"]), MASK)
    assert phase.modality == "US"


def test_a_grey_picture_stored_as_rgb_keeps_its_values() -> None:
    grey, coloured = grey_values(np.repeat(FRAME[..., None], 3, axis=2))
    assert np.array_equal(grey, FRAME)
    assert coloured == 0


def test_a_colour_picture_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    rgb = np.repeat(FRAME[..., None], 3, axis=2)
    rgb[:10, :10] = (255, 0, 0)
    _with_mask(_patient(tmp_path, rgb))
    patient = read_patient(tmp_path)
    assert sitk.GetArrayFromImage(patient.phases["us"].image)[0, 0] == 76  # 0.299 of 255
    assert [finding.kind for finding in patient.findings] == ["colour in ultrasound"]


@pytest.mark.parametrize("burned_in", [None, "YES", ""])
def test_a_picture_that_may_show_a_name_is_refused_until_a_person_looked(
    tmp_path: Path, burned_in: str | None
) -> None:
    folder = _patient(tmp_path / "P1", FRAME, burned_in=burned_in)
    with pytest.raises(ImagesUnusable, match=r"patient P1, us/: .*burned into.*crop_px: \[2, 4, 46, 36\]"):
        read_patient(folder)
    (folder / "images.yaml").write_text("ultrasound: {us: {crop_px: [2, 4, 46, 36]}}\n")
    with pytest.raises(ImagesUnusable, match="burned into"):
        read_patient(folder)
    (folder / "images.yaml").write_text("ultrasound: {us: {crop_px: [2, 4, 46, 36], no_text_confirmed_by: LW}}\n")
    _with_mask(folder, MASK[4:40, 2:48])
    phase = read_patient(folder).phases["us"]
    assert np.array_equal(sitk.GetArrayFromImage(phase.image), FRAME[4:40, 2:48])
    assert phase.provenance["CropConfirmed"] == "yes"


def test_chosen_frames_of_a_cine_become_phases(tmp_path: Path) -> None:
    cine = np.random.default_rng(4).integers(0, 255, (6, 40, 50)).astype(np.uint8)
    _patient(tmp_path, cine, "ceus")
    assert "cine of 6 frames and none is chosen" in str(survey_patient(tmp_path).findings[0])
    (tmp_path / "images.yaml").write_text("ultrasound: {ceus: {frames: {ceus_arterial: 2, ceus_late: 6}}}\n")
    _with_mask(tmp_path)
    _with_mask(tmp_path, ball((20, 25), 5, (40, 50)), "ceus_late_tumour")
    phases = read_patient(tmp_path, phases=["ceus_late", "ceus_arterial"]).phases
    assert np.array_equal(sitk.GetArrayFromImage(phases["ceus_arterial"].image), cine[1])
    assert np.array_equal(sitk.GetArrayFromImage(phases["ceus_late"].image), cine[5])
    assert phases["ceus_late"].provenance["FrameNumber"] == 6
    assert sitk.GetArrayFromImage(phases["ceus_late"].masks["tumour"]).sum() == ball((20, 25), 5, (40, 50)).sum()
    (tmp_path / "images.yaml").write_text("ultrasound: {ceus: {frames: {ceus_late: 7}}}\n")
    assert "frame 7 was chosen, but the file has 6" in str(survey_patient(tmp_path).findings[0])


def test_a_picture_without_a_scale_needs_one(tmp_path: Path) -> None:
    _patient(tmp_path, FRAME, delta_cm=None)
    assert "does not tell how large a pixel is" in str(survey_patient(tmp_path).findings[0])
    (tmp_path / "images.yaml").write_text("ultrasound: {us: {spacing_mm: [0.2, 0.3]}}\n")
    _with_mask(tmp_path)
    assert read_patient(tmp_path).phases["us"].spacing_mm == (0.2, 0.3)
