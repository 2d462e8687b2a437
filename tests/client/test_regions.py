from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.preprocessing import Image, inside, like, prepare, resample_mask
from client.regions import Masks, build_regions, lesions_of, same_lesions
from common.features import Features

FREE = {"clip_to_liver": False, "lowest_hu": None}


def settings(**given: Any) -> Features:
    return Features.model_validate(
        {"phases": {"ct": {"modality": "CT", "spacing_mm": 1}}, "ring_rules": FREE, "minimum_voxels": 8, **given}
    )


def ball(
    radius_mm: float, spacing_mm: tuple[float, ...], reach_mm: float = 14, hu: float = 100, off_mm: float = 0
) -> tuple[Image, Image]:
    """A flat image and the mask of a ball (a disc) off its middle."""
    size = [int(np.ceil(2 * (radius_mm + reach_mm) / edge)) for edge in spacing_mm]
    image = sitk.Image(size, sitk.sitkFloat64) + hu
    image.SetSpacing(spacing_mm)
    steps = np.indices(size).astype(float)
    away2 = sum(
        ((step - (n - 1) / 2) * edge - off_mm) ** 2 for step, n, edge in zip(steps, size, spacing_mm, strict=True)
    )
    return image, like(np.transpose(away2 <= radius_mm**2), image)


def regions(image: Image, masks: Masks, features: Features) -> dict[str, Any]:
    phase = next(iter(features.phases.values()))
    prepared = prepare(image, phase, Grid.of(image).with_spacing(phase.spacing))
    lesion = lesions_of(masks, features.lesions)[0]
    slice_mm = max(image.GetSpacing())
    return {r.name: r for r in build_regions(lesion, masks, prepared, features, phase, slice_mm)}


def worst_ring_error(radius_mm: float, pixel_mm: float, slice_mm: float, off_mm: float) -> float:
    """The largest relative error of the volumes of rings of 3, 5 and 10 mm around a sphere."""
    image, mask = ball(radius_mm, (pixel_mm, pixel_mm, slice_mm), off_mm=off_mm)
    found = regions(image, Masks([mask]), settings(regions=["ring"], ring_mm=[3, 5, 10]))
    volumes_mm3 = {w: 4 / 3 * np.pi * ((radius_mm + w) ** 3 - radius_mm**3) for w in (3, 5, 10)}
    return max(abs(found[f"ring{w}mm"].volume_mm3 / volume - 1) for w, volume in volumes_mm3.items())


@pytest.mark.parametrize("slice_mm", [1.0, 3.0, 5.0])
@pytest.mark.parametrize(("radius_mm", "off_mm"), [(15.0, 0.0), (15.0, 1.3), (25.0, 0.4)])
@pytest.mark.parametrize("pixel_mm", [0.7, 0.8, 1.0])
def test_rings_around_spheres_are_within_6_percent_on_slices_of_1_3_and_5_mm(
    slice_mm: float, radius_mm: float, off_mm: float, pixel_mm: float
) -> None:
    assert worst_ring_error(radius_mm, pixel_mm, slice_mm, off_mm) <= 0.06


def test_on_5_mm_slices_kept_as_they_are_rings_are_within_6_percent_of_what_they_are_on_finer_voxels() -> None:
    image, mask = ball(20, (0.8, 0.8, 5.0))
    native = settings(phases={"ct": {"modality": "CT", "spacing_mm": "native"}}, regions=["ring"], ring_mm=[5, 10])
    coarse = regions(image, Masks([mask]), native)
    fine = regions(image, Masks([mask]), settings(regions=["ring"], ring_mm=[5, 10]))
    for name in ("ring5mm", "ring10mm"):
        assert coarse[name].volume_mm3 == pytest.approx(fine[name].volume_mm3, rel=0.06)


def test_rings_of_any_widths_lie_within_each_other_and_outside_the_tumour() -> None:
    image, mask = ball(10, (0.8, 0.8, 3.0))
    found = regions(image, Masks([mask]), settings(regions=["tumour", "ring"], ring_mm=[2, 4.5, 7, 12]))
    assert list(found) == ["tumour", "ring2mm", "ring4-5mm", "ring7mm", "ring12mm"]
    tumour, *rings = (inside(region.mask) for region in found.values())
    for narrow, wide in pairwise(rings):
        assert not (narrow & ~wide).any()
        assert narrow.sum() < wide.sum()
    assert not (tumour & rings[-1]).any()


def test_a_small_part_of_a_lesion_on_thick_slices_keeps_its_ring() -> None:
    image, mask = ball(20, (0.8, 0.8, 5.0))
    array = np.zeros(inside(mask).shape, dtype=bool)
    middle = array.shape[0] // 2
    array[middle - 2 : middle + 3, 20:40, 20:40] = True
    array[middle, 28:30, 40:60] = True  # a strand of 1.6 mm on one slice
    ring = regions(image, Masks([like(array, image)]), settings(regions=["ring"], ring_mm=[3]))["ring3mm"]
    x_mm = np.argwhere(inside(ring.mask))[:, 2]
    assert x_mm.max() == pytest.approx(59 * 0.8 + 3, abs=1.5)


@pytest.mark.parametrize("pixel_mm", [0.15, 0.3, 0.5])
@pytest.mark.parametrize("off_mm", [0.0, 0.13])
def test_ring_areas_around_a_disc_are_within_2_percent(pixel_mm: float, off_mm: float) -> None:
    image, mask = ball(15, (pixel_mm, pixel_mm), off_mm=off_mm)
    features = settings(phases={"us": {"modality": "US"}}, regions=["ring"], ring_mm=[3, 5, 10])
    found = regions(image, Masks([mask]), features)
    for width_mm in (3, 5, 10):
        area_mm2 = np.pi * ((15 + width_mm) ** 2 - 15**2)
        assert found[f"ring{width_mm}mm"].volume_mm3 == pytest.approx(area_mm2, rel=0.02)


@pytest.mark.parametrize("pixel_mm", [0.8, 1.0])
def test_a_ring_does_not_depend_on_how_far_the_image_is_cropped(pixel_mm: float) -> None:
    image, mask = ball(12, (pixel_mm, pixel_mm, 1.0), reach_mm=60)
    features = settings(
        phases={"ct": {"modality": "CT", "spacing_mm": "native"}},
        regions=["ring", "band"],
        ring_mm=[5],
        band_mm=[2],
    )
    whole = regions(image, Masks([mask]), features)
    near = Grid.of(image).around(mask, 0.0, 1, rings_mm=5)
    assert np.prod(near.size) < np.prod(image.GetSize()) / 10
    cropped = prepare(image, features.phases["ct"], near)
    lesion = lesions_of(Masks([mask]), "largest")[0]
    for region in build_regions(lesion, Masks([mask]), cropped, features, features.phases["ct"], 1.0):
        assert (inside(resample_mask(whole[region.name].mask, near)) == inside(region.mask)).all()
        assert region.voxels == whole[region.name].voxels


def test_a_thick_slice_is_noted() -> None:
    image, mask = ball(15, (0.8, 0.8, 5.0))
    found = regions(image, Masks([mask]), settings(regions=["ring"], ring_mm=[3, 10]))
    assert found["ring3mm"].notes == ("slices of 5 mm are thicker than ring3mm is wide",)
    assert found["ring10mm"].notes == ()


def test_regions_fit_together() -> None:
    image, mask = ball(12, (1.0, 1.0, 1.0))
    liver = like(np.ones(inside(mask).shape, dtype=bool), image)
    kinds = ["tumour", "ring", "tumour-and-ring", "band", "liver", "liver-background"]
    found = regions(image, Masks([mask], liver=liver), settings(regions=kinds, ring_mm=[5], band_mm=[2]))
    arrays = {name: inside(region.mask) for name, region in found.items()}
    assert not (arrays["tumour"] & arrays["ring5mm"]).any()
    assert (arrays["tumour-and-ring5mm"] == (arrays["tumour"] | arrays["ring5mm"])).all()
    assert (arrays["liver-background"] == ~arrays["tumour"]).all()
    assert (arrays["band2mm"] & arrays["tumour"]).any()
    assert (arrays["band2mm"] & arrays["ring5mm"]).any()
    assert found["band2mm"].voxels < found["tumour-and-ring5mm"].voxels


def test_a_ring_loses_what_lies_outside_the_liver_other_lesions_vessels_and_fat() -> None:
    image, mask = ball(12, (1.0, 1.0, 1.0))
    x = np.indices(inside(mask).shape)[2]
    half = like(x < 26, image)
    hu = sitk.GetArrayFromImage(image)
    hu[:20] = -100
    fat = like(hu, image)
    plain = regions(image, Masks([mask]), settings(regions=["ring"], ring_mm=[5]))["ring5mm"]
    clipped = settings(regions=["ring"], ring_mm=[5], ring_rules={"clip_to_liver": True, "lowest_hu": -50})
    ring = regions(fat, Masks([mask], liver=half, vessels=like(x < 16, image)), clipped)["ring5mm"]
    assert plain.kept == 1
    assert not (inside(ring.mask) & ((x >= 26) | (x < 16) | (hu < -50))).any()
    assert set(ring.excluded) == {"outside_liver", "vessels", "below_hu"}
    assert ring.kept + sum(ring.excluded.values()) == pytest.approx(1)
    assert ring.voxels == round(ring.kept * plain.voxels)


def two_lesions() -> tuple[Image, Image]:
    image = sitk.Image([50, 40, 40], sitk.sitkFloat64) + 100
    array = np.zeros((40, 40, 50), dtype=bool)
    array[10:30, 10:30, 4:22] = array[15:25, 15:25, 25:35] = True
    array[2, 2, 2] = True  # a slip of the pen
    return image, like(array, image)


def test_lesions_are_connected_parts_the_largest_first() -> None:
    _, mask = two_lesions()
    sizes = {
        choice: [int(inside(x.mask).sum()) for x in lesions_of(Masks([mask]), choice)]
        for choice in ("largest", "merged", "each")
    }
    assert sizes == {"largest": [7200], "merged": [8200], "each": [7200, 1000]}


def test_another_lesion_is_taken_out_of_the_ring() -> None:
    image, mask = two_lesions()
    found = regions(image, Masks([mask]), settings(regions=["ring"], ring_mm=[6]))["ring6mm"]
    assert 0 < found.excluded["other_lesions"] < 0.2
    assert not inside(found.mask)[20, 20, 26]


def test_lesions_of_two_phases_are_matched_by_place_not_by_size() -> None:
    _, mask = two_lesions()
    first = lesions_of(Masks([mask]), "each")
    shrunk = inside(mask).copy()
    shrunk[10:30, 10:30, 10:22] = False  # the first is now the smaller
    shrunk[13:27, 13:27, 24:36] = True
    second = same_lesions(first, lesions_of(Masks([like(shrunk, mask)]), "each"))
    assert [lesion.number for lesion in second] == [1, 2]
    assert inside(second[0].mask)[20, 20, 6]


def test_lesions_that_cannot_be_told_to_be_the_same_are_refused() -> None:
    _, mask = two_lesions()
    first = lesions_of(Masks([mask]), "each")
    with pytest.raises(CannotExtract, match="lesions: merged"):
        same_lesions(first, first[:1])


@pytest.mark.parametrize(
    ("masks", "features", "said"),
    [
        (lambda mask: Masks([]), {}, "no mask of a tumour"),
        (lambda mask: Masks([mask * 0]), {}, "is empty"),
        (lambda mask: Masks([mask]), {"regions": ["liver"]}, "give liver.nii.gz"),
        (lambda mask: Masks([mask]), {"minimum_voxels": 10**6}, "minimum_voxels"),
    ],
)
def test_a_fault_says_what_was_found_and_what_to_do(masks: Any, features: dict[str, Any], said: str) -> None:
    image, mask = ball(8, (1.0, 1.0, 1.0))
    with pytest.raises(CannotExtract, match=said):
        regions(image, masks(mask), settings(**features))
