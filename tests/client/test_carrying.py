"""Masks carried from one phase to another by registration."""

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.extraction import PhaseImages, extract
from client.preprocessing import Image, inside, like
from client.regions import Masks, carry_masks
from common.features import Features

SHAPE = (44, 52, 56)  # z, y, x
MIDDLE = (22, 26, 28)


def blobs(seed: int) -> Image:
    """Soft shapes, in voxels of 1 mm."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=SHAPE))
    return sitk.SmoothingRecursiveGaussian(noise, 4.0) * 2000 + 100


def scene() -> tuple[Image, Masks]:
    """Blobs and a tumour among them; a liver around it."""
    array = sitk.GetArrayFromImage(blobs(0))
    away = np.linalg.norm(np.indices(SHAPE).T - MIDDLE, axis=3).T
    array[away <= 9] += 150
    image = like(array, blobs(0))
    return image, Masks([like(away <= 9, image)], liver=like(away <= 18, image))


def breathed(image: Image, shift_mm: tuple[float, float, float], degrees: float = 0.0) -> Image:
    """What an image shows, moved and turned; a mask stays one."""
    move = sitk.Euler3DTransform()
    move.SetCenter(image.TransformContinuousIndexToPhysicalPoint(MIDDLE[::-1]))
    move.SetRotation(0, 0, -np.deg2rad(degrees))
    move.SetTranslation([-mm for mm in shift_mm])
    mask = image.GetPixelID() == sitk.sitkUInt8
    return sitk.Resample(image, image, move, sitk.sitkNearestNeighbor if mask else sitk.sitkLinear)


def overlap(found: Image, expected: Image) -> float:
    """Dice's coefficient."""
    a, b = inside(found), inside(expected)
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(
    ("kind", "shift_mm", "degrees"),
    [
        ("rigid", (4.0, 0.0, 0.0), 0.0),
        ("rigid", (5.0, -4.0, 3.0), 0.0),
        ("rigid", (2.0, 0.0, 0.0), 10.0),
        pytest.param("deformable", (4.0, 0.0, 0.0), 0.0, marks=pytest.mark.slow),
    ],
)
def test_a_known_shift_and_turn_is_recovered_for_tumour_and_liver(
    kind: Any, shift_mm: tuple[float, float, float], degrees: float
) -> None:
    image, masks = scene()
    target = breathed(image, shift_mm, degrees)
    carried = carry_masks(image, target, masks, kind, allowed_mm=3)
    assert masks.liver is not None
    assert overlap(carried.masks.tumours[0], breathed(masks.tumours[0], shift_mm, degrees)) > 0.95
    assert overlap(carried.masks.liver, breathed(masks.liver, shift_mm, degrees)) > 0.95
    assert carried.residual_mm < 1
    assert carried.moved_mm == pytest.approx(np.linalg.norm(shift_mm), abs=0.7)


@pytest.mark.parametrize("allowed_mm", [3.0, 10.0])
@pytest.mark.parametrize("seed", [5, 6, 7, 12, 15])
def test_a_phase_that_shows_something_else_is_refused_with_the_residual(seed: int, allowed_mm: float) -> None:
    image, masks = scene()
    with pytest.raises(CannotExtract, match=r"certain to \d+\.\d mm only, \d+ mm are allowed .* draw the tumour"):
        carry_masks(image, blobs(seed), masks, "rigid", allowed_mm)


def test_an_image_of_another_place_is_refused_in_words() -> None:
    image, masks = scene()
    elsewhere = sitk.Image(image)
    elsewhere.SetOrigin((500, 500, 500))
    with pytest.raises(CannotExtract, match="draw the tumour on this phase"):
        carry_masks(image, elsewhere, masks, "rigid", 5)


def test_the_same_images_give_the_same_place_within_a_fraction_of_a_millimetre() -> None:
    """ITK's mutual information is not the same to the last digit in two runs, and an optimiser makes more of that."""
    image, masks = scene()
    target = breathed(image, (3, 2, 0))
    first, second = (carry_masks(image, target, masks, "rigid", 3) for _ in range(2))
    assert abs(first.moved_mm - second.moved_mm) < 0.15
    assert overlap(first.masks.tumours[0], second.masks.tumours[0]) > 0.98


def settings(**given: Any) -> Features:
    phase = {"modality": "CT", "spacing_mm": "native", "bin_count": 32}
    return Features.model_validate(
        {
            "phases": {"arterial": phase, "portal": phase},
            "regions": ["tumour", "ring"],
            "ring_mm": [3, 5],
            "ring_rules": {"lowest_hu": None},
            "classes": ["shape", "firstorder"],
            **given,
        }
    )


def two_phases() -> dict[str, PhaseImages]:
    """Masks on the portal phase only; the arterial one has breathed."""
    image, masks = scene()
    arterial = PhaseImages(breathed(image, (4, 0, 0)), Masks([]))
    return {"arterial": arterial, "portal": PhaseImages(image, masks)}


def test_a_phase_without_masks_of_its_own_gets_those_of_the_phase_that_has_them() -> None:
    found = extract(two_phases(), settings(masks="carried-rigid"))
    mean = "tumour_original_firstorder_Mean"
    values = found.rows[0].values
    assert values[f"arterial_{mean}"] == pytest.approx(values[f"portal_{mean}"], rel=0.01)
    carried = {record.phase: record for record in found.regions}
    assert carried["portal"].residual_mm is None
    assert carried["arterial"].residual_mm == pytest.approx(0.1, abs=0.5)
    assert "masks carried from portal (rigid)" in carried["arterial"].notes[-1]


def test_masks_may_come_from_a_phase_that_is_not_computed() -> None:
    images = two_phases()
    features = settings(masks="carried-rigid", phases={"arterial": settings().phases["arterial"].model_dump()})
    assert {record.phase for record in extract(images, features).regions} == {"arterial"}


def test_without_carrying_the_phase_is_named_that_has_no_mask() -> None:
    with pytest.raises(CannotExtract, match="arterial: the study asks for the liver"):
        extract(two_phases(), settings())


def test_the_narrowest_ring_decides_what_is_allowed_and_five_millimetres_where_there_is_none() -> None:
    assert settings().narrowest_mm == 3
    assert settings(regions=["tumour", "band"], ring_mm=[], band_mm=[2]).narrowest_mm == 2
    assert settings(regions=["tumour"], ring_mm=[]).narrowest_mm == 5


@pytest.mark.parametrize("changed", [{"masks": "carried-rigid"}, {"missing_phases": "leave-empty"}])
def test_the_fingerprint_tells_how_masks_and_phases_are_come_by(changed: dict[str, str]) -> None:
    assert settings(**changed).fingerprint() != settings().fingerprint()
