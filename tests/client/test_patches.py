"""Patches: what a network sees of an image, made once, wherever and however the image was taken."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.extraction.phase_images import PhaseImages
from client.extraction_run.done import Asked, Done
from client.patches.cohort_patches import read_patches
from client.patches.making import make_patch
from client.patches.patch import RING, TUMOUR
from client.patches.run import patch_hospital
from client.regions import Masks
from client.site import Site
from common.errors import HospitalError, StudyError
from common.patches import Patches
from common.study import Study
from tests.imaged_hospitals import imaged_study, write_hospital, write_patient

PHASES = {"portal": {"modality": "CT"}}
PATCHES: dict[str, Any] = {
    "phases": PHASES,
    "spacing_mm": 2.0,
    "size": [16, 16, 16],
    "ring_mm": 4.0,
    "ring_rules": {"clip_to_liver": False, "lowest_hu": None},
}
NETWORK: dict[str, Any] = {"model": {"kind": "network"}, "network": {"architecture": "cnn3d"}}
CENTRE_MM = np.array([30.0, -12.0, 55.0])


def scan(direction: tuple[float, ...], spacing_mm: tuple[float, ...], radius_mm: float = 8.0) -> PhaseImages:
    """A ball of 100 HU in tissue that brightens from left to right and from below upwards."""
    size = tuple(int(120 / step) for step in spacing_mm)
    grid = Grid(size, spacing_mm, (0.0, 0.0, 0.0), direction)
    origin = CENTRE_MM - grid.position_mm((np.array(size) - 1) / 2)
    grid = Grid(size, spacing_mm, tuple(origin), direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1)
    away = grid.position_mm(index) - CENTRE_MM
    ball = np.linalg.norm(away, axis=-1) <= radius_mm
    hu = np.where(ball, 100.0, 2.0 * away[..., 0] + away[..., 2])
    image = grid.image(hu.transpose(2, 1, 0))
    return PhaseImages(image, Masks([grid.image(ball.transpose(2, 1, 0).astype(np.uint8))]))


STRAIGHT = tuple(np.eye(3).ravel())
FLIPPED = tuple(np.diag([-1.0, -1.0, 1.0]).ravel())
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_a_patch_has_windowed_intensities_and_both_masks() -> None:
    patches = Patches.model_validate(PATCHES)
    patch = make_patch({"portal": scan(STRAIGHT, (1.0, 1.0, 1.0))}, patches)
    assert patch.intensities.shape == (1, 16, 16, 16)
    middle = patch.intensities[0][patch.masks[TUMOUR]]
    np.testing.assert_allclose(np.median(middle), (100 + 100) / 350 * 2 - 1, atol=1e-3)
    voxel = patches.spacing_mm**3
    assert patch.masks[TUMOUR].sum() * voxel == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.1)
    assert patch.masks[RING].sum() * voxel == pytest.approx(4 / 3 * np.pi * (12**3 - 8**3), rel=0.1)
    assert not (patch.masks[TUMOUR] & patch.masks[RING]).any()
    assert patch.notes == ()


@pytest.mark.parametrize("direction", [FLIPPED, SAGITTAL])
def test_however_the_scanner_laid_its_axes_the_patch_is_the_same(direction: tuple[float, ...]) -> None:
    patches = Patches.model_validate(PATCHES)
    straight = make_patch({"portal": scan(STRAIGHT, (1.0, 1.0, 1.0))}, patches)
    turned = make_patch({"portal": scan(direction, (1.0, 1.0, 1.0))}, patches)
    np.testing.assert_allclose(turned.intensities, straight.intensities, atol=2e-3)
    np.testing.assert_array_equal(turned.masks, straight.masks)


def test_what_is_not_shown_is_zero_and_the_ring_can_be_hidden() -> None:
    images = {"portal": scan(STRAIGHT, (1.0, 1.0, 2.5))}
    shown = {
        key: Patches.model_validate(PATCHES | {"shown": key})
        for key in ("everything", "tumour-and-ring", "tumour")
    }
    patch = make_patch(images, shown["everything"])
    assert shown["everything"].channels() == ("portal", "tumour", "ring")
    assert shown["tumour"].channels() == ("portal", "tumour")
    alone = patch.stacked(shown["tumour"])
    assert alone.shape == (2, 16, 16, 16)
    assert not alone[0][~patch.masks[TUMOUR]].any()
    both = patch.stacked(shown["tumour-and-ring"])
    assert both[0][patch.masks[RING]].any()
    assert not both[0][~patch.masks.any(axis=0)].any()
    assert shown["tumour"].fingerprint() == shown["everything"].fingerprint()


def test_beyond_the_image_nothing_is_invented() -> None:
    given = scan(STRAIGHT, (1.0, 1.0, 1.0))
    cut = [
        sitk.RegionOfInterest(image, [120, 120, 60], [0, 0, 60]) for image in (given.image, *given.masks.tumours)
    ]
    patch = make_patch({"portal": PhaseImages(cut[0], Masks([cut[1]]))}, Patches.model_validate(PATCHES))
    below = slice(0, 5)  # the middle of the half ball lies 4 mm above the cut: six voxels below are unknown
    assert not patch.intensities[0, below].any()
    assert not patch.masks[:, below].any()


def test_a_tumour_larger_than_the_patch_is_said() -> None:
    patch = make_patch(
        {"portal": scan(STRAIGHT, (1.0, 1.0, 1.0), radius_mm=30.0)}, Patches.model_validate(PATCHES)
    )
    assert "of the tumour lies within the patch" in patch.notes[0]


def test_a_missing_phase_is_refused_or_left_empty() -> None:
    two = PATCHES | {"phases": {"portal": {"modality": "CT"}, "arterial": {"modality": "CT"}}}
    images = {"arterial": scan(STRAIGHT, (1.0, 1.0, 1.0))}
    with pytest.raises(CannotExtract, match="no image of portal"):
        make_patch(images, Patches.model_validate(two))
    patch = make_patch(images, Patches.model_validate(two | {"missing_phases": "leave-empty"}))
    assert patch.intensities[0].any()
    assert not patch.intensities[1].any()


def patched(site: Site, asked: Study, **how: Any) -> Done:
    return patch_hospital(site, asked, Asked(processes=1, **how), lambda *_: None)


def test_patches_are_made_once_and_again_for_a_changed_patient(tmp_path: Path) -> None:
    site, asked = write_hospital(tmp_path), imaged_study(**NETWORK, patches=PATCHES)
    with pytest.raises(HospitalError, match="hepafed site patches STUDY"):
        read_patches(site, asked, ["P0"])
    assert sorted(patched(site, asked).computed) == ["P0", "P1", "P2"]
    assert sorted(patched(site, asked).kept) == ["P0", "P1", "P2"]
    before = read_patches(site, asked, ["P0", "P1", "P2"])
    assert before.there.all()
    write_patient(site.images / "P1", seed=77)
    with pytest.raises(HospitalError, match=r"1 patient \(P1\): the images have no patch .* or were changed"):
        read_patches(site, asked, ["P0", "P1"])
    (site.images / "P2" / "tumour.nii.gz").unlink()
    done = patched(site, asked)
    assert list(done.computed) == ["P1"]
    assert "P2" in done.failed
    after = read_patches(site, asked, ["P0", "P1", "P2"])
    assert list(after.there) == [True, True, False]
    assert after.digest != before.digest
    assert "no patch" in after.notes[0]
    np.testing.assert_array_equal(after.patches[0].intensities, before.patches[0].intensities)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": [16, 16, 256]}, "size"),
        ({"ring_mm": 40}, "fills the patch"),
        ({"phases": {"us": {"modality": "US"}}}, "modality"),
        ({"phases": {"ct": {"modality": "CT", "window": [200, 0]}}}, "put the lower first"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(change: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        imaged_study(**NETWORK, patches=PATCHES | change)
