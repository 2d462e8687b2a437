"""The ring that the check looks at: as large as geometry says, without other lesions, cut at the liver."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.images import read_patient
from client.cohort.patient_images import Phase
from client.cohort.ring_on_image import ring_on_image
from tests.client.images_on_disk import ball, ct_voxels, write, write_patient


def sphere(centre_mm: tuple[float, float, float], radius_mm: float, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """A sphere on a grid of 80 mm, z, y, x."""
    size = [round(80 / step) for step in reversed(spacing_mm)]
    steps = np.array(spacing_mm[::-1]).reshape(3, 1, 1, 1)
    away = np.indices(size) * steps - np.array(centre_mm).reshape(3, 1, 1, 1)
    return (np.sqrt((away**2).sum(axis=0)) <= radius_mm).astype(np.uint8)


def phase_of(folder: Path, spacing_mm: tuple[float, ...], **masks: np.ndarray) -> Phase:
    first = next(iter(masks.values()))
    write(folder / "ct.nii.gz", np.full(first.shape, 60, np.int16), spacing_mm=spacing_mm)
    for name, mask in masks.items():
        write(folder / f"{name}.nii.gz", mask, spacing_mm=spacing_mm)
    return read_patient(folder).phases["ct"]


@pytest.mark.parametrize("slice_mm", [1.0, 2.5, 5.0])
def test_a_ring_is_as_large_as_around_a_true_sphere(tmp_path: Path, slice_mm: float) -> None:
    spacing_mm = (1.0, 1.0, slice_mm)
    phase = phase_of(tmp_path, spacing_mm, tumour=sphere((40, 40, 40), 15, spacing_mm))
    ring = sitk.GetArrayFromImage(ring_on_image(phase, "tumour", 5.0))
    volume_mm3 = ring.sum() * np.prod(spacing_mm)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * (20**3 - 15**3), rel=0.1)
    assert not (ring & sitk.GetArrayFromImage(phase.masks["tumour"])).any()


def test_other_lesions_and_what_is_outside_the_liver_are_left_out(tmp_path: Path) -> None:
    spacing_mm = (1.0, 1.0, 2.0)
    half = np.ones_like(sphere((40, 40, 40), 1, spacing_mm))
    half[:, :, 45:] = 0
    tumours = {"tumour": sphere((40, 40, 35), 8, spacing_mm), "tumour_2": sphere((40, 40, 22), 4, spacing_mm)}
    phase = phase_of(tmp_path, spacing_mm, **tumours, liver=half)
    clipped = sitk.GetArrayFromImage(ring_on_image(phase, "tumour", 5.0)) > 0
    whole = sitk.GetArrayFromImage(ring_on_image(phase, "tumour", 5.0, clip_to_liver=False)) > 0
    assert np.array_equal(clipped, whole & (half > 0))
    assert clipped.sum() < whole.sum()
    assert not (whole & (tumours["tumour_2"] > 0)).any()


def test_a_ring_at_the_images_edge_and_in_two_dimensions(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    write(folder / "tumour.nii.gz", ball((1, 3, 3), 3.2))
    assert ring_on_image(read_patient(folder).phases["portal"], "tumour", 5.0).GetSize() == (32, 28, 10)
    flat = tmp_path / "flat"
    write(flat / "us.nii.gz", ct_voxels()[5], spacing_mm=(0.5, 0.5), origin_mm=(0, 0))
    write(flat / "tumour.nii.gz", ball()[5], spacing_mm=(0.5, 0.5), origin_mm=(0, 0))
    ring = ring_on_image(read_patient(flat).phases["us"], "tumour", 2.0)
    assert ring.GetDimension() == 2
    assert sitk.GetArrayFromImage(ring).sum() * 0.25 == pytest.approx(
        np.pi * ((1.75 + 2) ** 2 - 1.75**2), rel=0.15
    )
