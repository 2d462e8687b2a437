"""A patient measured again: what perturbations do to masks and images, and what reaches the store and the sums."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.cohort import read_cohort
from client.cohort.extracted_features import read_extracted
from client.extraction.perturbations import moved_contour, noise_deviation, perturbed
from client.extraction.phase_images import PhaseImages
from client.extraction.stability import perturbed_rows, second_readers_rows
from client.extraction_run.perturbed_patients import sample
from client.preprocessing import inside
from client.regions import Masks
from client.site import Site
from client.stability import repeated
from client.store import Store
from common.errors import StudyError
from common.features import Features
from common.stability import Stability
from common.study import Study
from tests.client.images_on_disk import as_image, ball
from tests.client.test_extraction_run import STUDY, extracted, write_hospital

CT: dict[str, Any] = {"modality": "CT", "spacing_mm": "native"}
RADIUS_MM = 9.0


def settings(**given: Any) -> Features:
    shown = {"phases": {"ct": CT}, "classes": ["shape", "firstorder"], "stability": {}}
    return Features.model_validate(shown | given)


def stability(**given: Any) -> Stability:
    return Stability.model_validate(given)


def sphere(
    spacing_mm: tuple[float, float, float], radius_mm: float = RADIUS_MM, noise: float = 0.0
) -> PhaseImages:
    """A ball of 100 HU in 60 HU, in a box of 48 mm around the origin."""
    shape = tuple(int(48 / s) for s in spacing_mm[::-1])
    voxels = np.random.default_rng(0).normal(60, noise, shape) if noise else np.full(shape, 60.0)
    image = as_image(voxels, spacing_mm, [-s * (n - 1) / 2 for s, n in zip(spacing_mm, shape[::-1], strict=True)])
    at_mm = [(np.arange(n) - (n - 1) / 2) * s for s, n in zip(spacing_mm[::-1], shape, strict=True)]
    shown = np.sum([a**2 for a in np.meshgrid(*at_mm, indexing="ij")], axis=0) <= radius_mm**2
    image = as_image(voxels + 40 * shown, spacing_mm, image.GetOrigin())
    mask = sitk.Cast(as_image(shown.astype(np.uint8), spacing_mm, image.GetOrigin()), sitk.sitkUInt8)
    return PhaseImages(image, Masks([mask]))


def radius_mm(mask: Any) -> float:
    """Of the ball with the same volume."""
    return float((inside(mask).sum() * np.prod(mask.GetSpacing()) * 3 / 4 / np.pi) ** (1 / 3))


@pytest.mark.parametrize("contour_mm", [1.0, -1.0, 2.0])
def test_a_contour_is_moved_by_millimetres_not_voxels(contour_mm: float) -> None:
    for spacing_mm in ((1.0, 1.0, 1.0), (0.7, 0.7, 2.0)):
        mask = sphere(spacing_mm).masks.tumours[0]
        moved = moved_contour(mask, np.zeros(3), contour_mm)
        assert radius_mm(moved) - radius_mm(mask) == pytest.approx(contour_mm, abs=0.25)


def test_a_mask_is_moved_by_its_vector() -> None:
    mask = sphere((0.8, 0.8, 0.8)).masks.tumours[0]
    shift_mm = np.array([2.0, -1.3, 0.7])
    for contour_mm in (0.0, 1.0, -1.0):
        moved = moved_contour(mask, shift_mm, contour_mm)
        centres = [np.argwhere(inside(m)).mean(axis=0)[::-1] * 0.8 for m in (mask, moved)]
        np.testing.assert_allclose(centres[1] - centres[0], shift_mm, atol=0.1)


@pytest.mark.parametrize("contour_mm", [5.0, -5.0])
def test_no_perturbed_mask_is_empty_and_half_of_a_lesion_stays(contour_mm: float) -> None:
    voxel = np.zeros((9, 9, 9), dtype=np.uint8)
    voxel[4, 4, 4] = 1
    thin = sphere((1.0, 1.0, 5.0), radius_mm=3.0).masks.tumours[0]
    for mask in (thin, as_image(voxel, (1, 1, 1), (0, 0, 0))):
        for shift_mm in ((0.5, 0.0, 0.0), (0.3, 0.3, 0.3), (0.29, -0.29, 0.29)):
            moved = moved_contour(mask, np.array(shift_mm), contour_mm)
            as_moved = inside(moved_contour(mask, np.array(shift_mm), 0.0)).sum()
            assert inside(moved).sum() >= max(1, as_moved * (0.5 if contour_mm < 0 else 1))


def test_a_tilted_ultrasound_picture_is_perturbed_in_its_plane() -> None:
    turned = (0.8, -0.6, 0.6, 0.8)
    image = as_image(np.random.default_rng(0).normal(90, 7, (60, 70)), (0.4, 0.4), (5, -3), turned)
    mask = as_image(ball(centre=(30, 35), radius=15, shape=(60, 70)), (0.4, 0.4), (5, -3), turned)
    moved = moved_contour(mask, np.array([1.2, 0.0]), 1.0)
    area_mm2 = inside(moved).sum() * 0.16
    assert np.sqrt(area_mm2 / np.pi) == pytest.approx(7.0, abs=0.15)
    first, second = (np.argwhere(inside(m)).mean(axis=0)[::-1] for m in (mask, moved))
    np.testing.assert_allclose((second - first) * 0.4, np.reshape(turned, (2, 2)).T @ [1.2, 0.0], atol=0.1)
    again = perturbed({"us": PhaseImages(image, Masks([mask]))}, stability(), "patient", 2)["us"]
    added = sitk.GetArrayFromImage(again.image) - sitk.GetArrayFromImage(image)
    assert added.std() == pytest.approx(7, rel=0.1)


def test_a_mask_at_the_image_border_stays_in_the_image() -> None:
    shown = np.zeros((12, 12, 12), dtype=np.uint8)
    shown[:4, :4, :4] = 1
    moved = moved_contour(as_image(shown, (1, 1, 1), (0, 0, 0)), np.array([-1.0, -1.0, -1.0]), 1.0)
    assert moved.GetSize() == (12, 12, 12)
    assert inside(moved)[0, 0, 0]


def test_noise_is_estimated_in_the_images_unit_and_added_as_strong() -> None:
    given = sphere((0.8, 0.8, 2.5), noise=12.0)
    assert noise_deviation(given.image, given.masks) == pytest.approx(12, rel=0.05)
    added = perturbed({"ct": given}, stability(), "patient", 1)["ct"].image
    difference = sitk.GetArrayFromImage(added) - sitk.GetArrayFromImage(given.image)
    assert difference.std() == pytest.approx(12, rel=0.05)
    assert abs(difference.mean()) < 0.2


def test_the_noise_of_a_study_may_be_a_number() -> None:
    given = sphere((1.0, 1.0, 1.0), noise=12.0)
    for noise in (0.0, 3.0):
        added = perturbed({"ct": given}, stability(noise=noise), "patient", 1)["ct"].image
        assert (sitk.GetArrayFromImage(added) - sitk.GetArrayFromImage(given.image)).std() == pytest.approx(
            noise, rel=0.02
        )


def test_the_same_patient_and_number_give_the_same_bits_and_others_do_not() -> None:
    given = {"ct": sphere((1.0, 1.0, 1.0), noise=12.0)}

    def voxels(content: str, number: int) -> tuple[bytes, bytes]:
        made = perturbed(given, stability(), content, number)["ct"]
        return sitk.GetArrayFromImage(made.image).tobytes(), sitk.GetArrayFromImage(
            made.masks.tumours[0]
        ).tobytes()

    first = voxels("patient", 1)
    assert voxels("patient", 1) == first
    assert voxels("patient", 3)[0] != first[0]
    assert voxels("patient", 3)[1] != first[1]
    assert voxels("another", 1)[0] != first[0]


def test_every_measurement_has_rows_of_the_same_features_and_odd_ones_are_larger() -> None:
    given, asked = {"ct": sphere((1.0, 1.0, 1.0), noise=12.0)}, settings()
    assert asked.stability is not None
    rows, notes = perturbed_rows(given, asked, asked.stability, "patient")
    assert notes == []
    assert [row.measurement for row in rows] == ["perturbed-1", "perturbed-2", "perturbed-3", "perturbed-4"]
    volumes = [row.values["ct_tumour_original_shape_VoxelVolume"] for row in rows]
    assert min(volumes[0], volumes[2]) > 1.5 * max(volumes[1], volumes[3])
    assert len({tuple(row.values) for row in rows}) == 1


def test_a_measurement_that_cannot_be_made_leaves_none_and_says_why() -> None:
    given = {"ct": sphere((1.0, 1.0, 1.0), radius_mm=3.0, noise=12.0)}
    asked = settings(minimum_voxels=110)  # the tumour has 123 voxels
    assert asked.stability is not None
    rows, notes = perturbed_rows(given, asked, asked.stability, "patient")
    assert rows == []
    assert len(notes) == 1
    assert "perturbed-2: not measured" in notes[0]
    assert "voxels" in notes[0]


def test_a_second_readers_other_tumour_is_no_second_measurement() -> None:
    given = {"ct": sphere((1.0, 1.0, 1.0), noise=12.0)}
    mask = given["ct"].masks.tumours[0]
    far = {"ct": PhaseImages(given["ct"].image, Masks([moved_contour(mask, np.array([14.0, 14.0, 0.0]), -3.0)]))}
    near = {"ct": PhaseImages(given["ct"].image, Masks([moved_contour(mask, np.array([2.0, 0.0, 0.0]), -1.0)]))}
    assert second_readers_rows(given, far, settings())[0] == []
    assert "another" in second_readers_rows(given, far, settings())[1][0]
    rows, notes = second_readers_rows(given, near, settings())
    assert [row.measurement for row in rows] == ["reader2"]
    assert notes == []


def study(**changes: Any) -> Study:
    features = STUDY["features"] | {"stability": {"patients": 10} | changes}
    return Study.from_content(STUDY | {"features": features}, "study")


def write_second_reader(site: Site, patients: int) -> None:
    for number in range(patients):
        mask = as_image(ball(centre=(5, 14.5, 16)))
        sitk.WriteImage(mask, str(site.images / f"P{number}" / "tumour_reader2.nii.gz"))


def test_extraction_keeps_repetitions_of_the_sample_and_of_who_has_two_readers(tmp_path: Path) -> None:
    site, asked = write_hospital(tmp_path, patients=12), study()
    write_second_reader(site, patients=2)
    extracted(site, asked)
    patients = [f"P{n}" for n in range(12)]
    assert read_extracted(site, asked, patients).matrix.shape[0] == 12
    assert asked.features is not None
    chosen = sample(patients, asked.features)
    assert len(chosen) == 10
    measured = [read_extracted(site, asked, patients, f"perturbed-{n}") for n in range(1, 5)]
    assert all(set(found.ids) == chosen for found in measured)
    assert set(read_extracted(site, asked, patients, "reader2").ids) == {"P0", "P1"}
    found = repeated(site, asked, read_cohort(site, asked))
    assert found is not None
    known = {kind: np.isfinite(values).all(axis=(1, 2)).sum() for kind, values in found.measured.items()}
    assert known == {"perturbations": 10, "readers": 2}
    spread = found.measured["perturbations"][:, :, 0].std(axis=1)
    assert np.nanmin(spread) > 0


def test_the_measurement_of_the_study_is_the_same_with_and_without_repetitions(tmp_path: Path) -> None:
    site = write_hospital(tmp_path, patients=2)
    plain = Study.from_content(STUDY, "study")
    extracted(site, plain)
    extracted(site, study())
    with_repetitions = read_extracted(site, study(), ["P0", "P1"]).matrix
    np.testing.assert_array_equal(with_repetitions, read_extracted(site, plain, ["P0", "P1"]).matrix)


def test_a_note_of_what_was_not_measured_is_kept_with_the_patients_regions(tmp_path: Path) -> None:
    site = write_hospital(tmp_path, patients=1)
    features = STUDY["features"] | {"stability": {"contour_mm": 5.0}, "minimum_voxels": int(ball().sum())}
    asked = Study.from_content(STUDY | {"features": features}, "study")
    extracted(site, asked)
    assert read_extracted(site, asked, ["P0"]).matrix.shape[0] == 1
    store = Store(site.extracted_in)
    record = str(store.first("SELECT records FROM extractions WHERE patient = 'P0'"))
    store.close()
    assert "perturbed-2: not measured" in record


def test_another_least_icc_computes_nothing_anew_but_another_perturbation_does() -> None:
    one, other, third = (study(**given).features for given in ({}, {"minimum_icc": 0.75}, {"contour_mm": 2.0}))
    assert one is not None
    assert other is not None
    assert third is not None
    assert one.settings_hash() == other.settings_hash() != third.settings_hash()


def test_the_sample_does_not_hang_on_the_order_of_patients() -> None:
    patients = [f"P{n}" for n in range(100)]
    asked = settings(stability={"patients": 20})
    assert sample(patients, asked) == sample(patients[::-1], asked)
    assert len(sample(patients, asked)) == 20
    assert sample(patients, settings(stability={"perturbations": 0})) == frozenset()
    assert sample(patients, settings(stability=None)) == frozenset()


def test_a_section_that_measures_nothing_is_refused() -> None:
    with pytest.raises(StudyError, match="one measurement cannot agree with itself"):
        study(perturbations=1)
    with pytest.raises(StudyError, match="nobody is measured again"):
        study(perturbations=0, readers=False)
