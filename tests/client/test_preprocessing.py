from typing import Literal

import numpy as np
import pytest
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.preprocessing import (
    Image,
    check_same_grid,
    inside,
    landmarks,
    like,
    prepare,
    resample_image,
    resample_mask,
    resegment,
)
from common.features import Phase


def image_of(array: np.ndarray, spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_mm)
    return image


def noise(shape: tuple[int, ...] = (12, 20, 24), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 30, shape)


def centre_mm(grid: Grid) -> np.ndarray:
    axes = np.array(grid.direction).reshape(len(grid.size), -1)
    return np.array(grid.origin_mm) + axes @ ((np.array(grid.size) - 1) / 2 * np.array(grid.spacing_mm))


def test_the_new_grid_shares_its_centre_and_its_extent_with_the_image() -> None:
    image = image_of(noise(), (0.977, 0.977, 3.0))
    image.SetOrigin((-174.4, -79.6, -100.4))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    grid = Grid.of(image).with_spacing(2)
    assert grid.size == (12, 10, 18)  # ceil(n × old / new), as IBSI says
    assert centre_mm(grid) == pytest.approx(centre_mm(Grid.of(image)))


def test_a_spacing_that_divides_evenly_adds_no_voxel() -> None:
    assert Grid.of(image_of(noise((30, 30, 30)), (0.1, 0.1, 0.1))).with_spacing(0.3).size == (10, 10, 10)


def test_a_cropped_grid_gives_the_voxels_of_the_whole() -> None:
    image = image_of(noise(), (0.8, 0.8, 2.5))
    whole = Grid.of(image).with_spacing(1.0)
    mask = like((np.abs(np.indices((12, 20, 24)).T - (6, 8, 9)) <= 2).all(axis=3).T, image)
    for interpolation in ("linear", "bspline"):
        full = resample_image(image, whole, interpolation)
        part_grid = whole.around(mask, 2.0)
        part = resample_image(image, part_grid, interpolation)
        assert np.prod(part_grid.size) < np.prod(whole.size)
        expected = sitk.GetArrayFromImage(resample_image(full, part_grid))
        assert sitk.GetArrayFromImage(part) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("modality", ["ADC", "PET", "US"])
def test_adc_pet_and_ultrasound_keep_every_value_unless_the_study_says_otherwise(
    modality: Literal["ADC", "PET", "US"],
) -> None:
    image = image_of(noise(), (0.7, 0.7, 5.0))
    phase = Phase(modality=modality, spacing_mm="native")
    assert (sitk.GetArrayFromImage(prepare(image, phase, Grid.of(image))) == sitk.GetArrayFromImage(image)).all()


def test_ultrasound_is_normalised_where_the_study_says_so() -> None:
    image = image_of(noise((40, 40)), (0.2, 0.2))
    everywhere = like(np.ones((40, 40), dtype=bool), image)
    phase = Phase(modality="US", normalisation="z-score", normalise_over="liver", z_scale=1)
    array = sitk.GetArrayFromImage(prepare(image, phase, Grid.of(image), everywhere))
    assert (array.mean(), array.std()) == pytest.approx((0, 1), abs=1e-9)


def test_mri_is_corrected_and_normalised_and_the_rest_is_not_by_default() -> None:
    asked = {name: Phase(modality=name) for name in ("CT", "MRI", "ADC", "US", "PET")}
    assert {name: (phase.n4, phase.norm) for name, phase in asked.items()} == {
        "CT": (False, "none"),
        "MRI": (True, "z-score"),
        "ADC": (False, "none"),
        "US": (False, "none"),
        "PET": (False, "none"),
    }


def test_a_mask_begins_at_one_half() -> None:
    array = np.zeros((1, 1, 4), dtype=bool)
    array[..., :2] = True
    image = image_of(np.zeros((1, 1, 4)))
    moved = Grid((3, 1, 1), (1.0, 1.0, 1.0), (0.5, 0.0, 0.0), Grid.of(image).direction)
    assert inside(resample_mask(like(array, image), moved)).ravel().tolist() == [True, True, False]


def test_ct_is_rounded_and_clipped_to_its_window() -> None:
    image = image_of(noise())
    phase = Phase(modality="CT", spacing_mm=0.7, window_hu=(80, 130))
    array = sitk.GetArrayFromImage(prepare(image, phase, Grid.of(image).with_spacing(0.7)))
    assert (array == np.rint(array)).all()
    assert (array.min(), array.max()) == (80, 130)


def test_z_scores_over_the_liver() -> None:
    image = image_of(noise())
    liver = like(np.indices((12, 20, 24))[2] < 10, image)
    phase = Phase(modality="MRI", spacing_mm="native", bias_correction=False, normalise_over="liver")
    array = sitk.GetArrayFromImage(prepare(image, phase, Grid.of(image), liver))
    assert array[inside(liver)].mean() == pytest.approx(0, abs=1e-9)
    assert array[inside(liver)].std() == pytest.approx(100)


def test_nyul_brings_two_scanners_to_one_scale() -> None:
    everywhere = np.ones((12, 20, 24), dtype=bool)
    standard = landmarks(noise(), everywhere).tolist()
    phase = Phase(
        modality="MRI",
        spacing_mm="native",
        bias_correction=False,
        normalisation="nyul",
        normalise_over="liver",
        nyul_landmarks=standard,
    )
    other = image_of(noise() * 7.0 + 400)
    found = sitk.GetArrayFromImage(prepare(other, phase, Grid.of(other), like(everywhere, other)))
    assert found == pytest.approx(noise(), rel=1e-9)


def test_n4_flattens_a_bias_field() -> None:
    _, y, x = np.indices((32, 48, 48))
    body = (y - 24) ** 2 + (x - 24) ** 2 < 20**2
    field = 1 + 0.5 * x / 48
    image = image_of((body * (100 + np.random.default_rng(0).normal(0, 2, body.shape)) * field).astype(np.float32))
    phase = Phase(modality="MRI", spacing_mm="native", normalisation="none")
    flat = sitk.GetArrayFromImage(prepare(image, phase, Grid.of(image)))
    before, after = (a[body].std() / a[body].mean() for a in (sitk.GetArrayFromImage(image), flat))
    assert after < before / 3


def test_resegmentation_takes_sigmas_of_what_the_range_left() -> None:
    values = np.array([-500.0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 90]).reshape(1, 1, -1)
    image = image_of(values)
    phase = Phase(modality="CT", keep_range=(-100, 100), keep_sigmas=2)
    kept = inside(resegment(image, like(values == values, image), phase))
    assert values[kept].tolist() == list(range(10))


def test_masks_must_be_zeros_and_ones_on_the_image_s_grid() -> None:
    image = image_of(noise())
    mask = like(noise() > 100, image)
    check_same_grid(image, mask, "tumour")
    shifted = sitk.Image(mask)
    shifted.SetOrigin((0.5, 0, 0))
    for wrong, said in (
        (mask * 2, "holds 0, 2"),
        (shifted, "another origin, corners up to 0.50 mm apart"),
        (mask[:, :, 1:], "24×20×12 voxels .* against 24×20×11 voxels"),
    ):
        with pytest.raises(CannotExtract, match=said):
            check_same_grid(image, wrong, "tumour")


def test_a_flat_image_cannot_be_normalised() -> None:
    image = image_of(np.full((8, 8, 8), 5.0))
    liver = like(np.ones((8, 8, 8), dtype=bool), image)
    phase = Phase(modality="MRI", spacing_mm="native", bias_correction=False, normalise_over="liver")
    with pytest.raises(CannotExtract, match="of one value"):
        prepare(image, phase, Grid.of(image), liver)
