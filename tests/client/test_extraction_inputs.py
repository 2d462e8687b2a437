"""From a patient's folder to the images and masks that features are computed from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.cannot_extract import CannotExtract
from client.cohort.findings import ImagesUnusable
from client.extraction import PhaseImages, extract, feature_names, phase_images, read_phases, second_reader
from client.preprocessing import inside
from common.features import Features
from tests.client.images_on_disk import ball, ct_voxels, liver, write, write_patient

CT: dict[str, Any] = {"modality": "CT", "bin_count": 16}
"""On the native grid of the tests, voxels are few."""


def settings(*phases: str, **given: Any) -> Features:
    named = dict.fromkeys(phases or ("portal",), CT)
    return Features.model_validate({"phases": named, "classes": ["shape", "firstorder"], **given})


def inputs(folder: Path, features: Features) -> dict[str, PhaseImages]:
    return phase_images(read_phases(folder, None, features), features)


def voxels(given: PhaseImages) -> list[int]:
    return [int(inside(mask).sum()) for mask in given.masks.tumours]


def test_the_first_reader_s_lesions_liver_and_vessels_of_the_study_s_phases(tmp_path: Path) -> None:
    second, other = ball((5, 8, 8), 2), ball(radius=4)
    folder = write_patient(tmp_path / "P1", tumour_2=second, liver=liver(), vessels=second, tumour_reader2=other)
    write(folder / "arterial.nii.gz", ct_voxels(1))
    found = inputs(folder, settings())
    assert list(found) == ["portal"]
    assert voxels(found["portal"]) == [ball().sum(), second.sum()]
    assert found["portal"].masks.liver is not None
    assert found["portal"].masks.vessels is not None


def test_a_second_reader_s_tumours_in_place_of_the_first_s(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1", liver=liver(), tumour_reader2=ball(radius=4))
    patient = read_phases(folder, None, settings())
    found = second_reader(patient, settings())
    assert found is not None
    assert voxels(found["portal"]) == [ball(radius=4).sum()]
    assert found["portal"].masks.liver is not None


def test_without_a_second_reader_there_is_nothing(tmp_path: Path) -> None:
    patient = read_phases(write_patient(tmp_path / "P1"), None, settings())
    assert second_reader(patient, settings()) is None


def test_a_mask_for_all_phases_lies_on_each_of_them(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    write(folder / "arterial.nii.gz", ct_voxels(1))
    found = inputs(folder, settings("arterial", "portal"))
    assert {name: voxels(given) for name, given in found.items()} == {
        "arterial": [ball().sum()],
        "portal": [ball().sum()],
    }


def test_a_phase_that_masks_were_drawn_on_comes_along_where_they_are_carried(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    (folder / "tumour.nii.gz").rename(folder / "portal_tumour.nii.gz")
    write(folder / "arterial.nii.gz", ct_voxels(1))
    assert list(inputs(folder, settings("arterial", masks="carried-rigid"))) == ["arterial", "portal"]
    assert list(inputs(folder, settings("arterial"))) == ["arterial"]


def test_a_phase_may_be_missing_only_where_the_study_leaves_it_empty(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    with pytest.raises(ImagesUnusable, match="the phase arterial is missing"):
        read_phases(folder, None, settings("portal", "arterial"))
    features = settings("portal", "arterial", missing_phases="leave-empty")
    values = extract(inputs(folder, features), features).rows[0].values
    assert list(values) == feature_names(features)
    assert all(np.isnan(value) == name.startswith("arterial") for name, value in values.items())
    with pytest.raises(ImagesUnusable, match="the phase arterial is missing"):
        read_phases(folder, None, settings("arterial", "portal", missing_phases="leave-empty"))


def test_a_phase_with_a_suffix_is_found_under_the_image_s_own_name(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    (folder / "portal.nii.gz").rename(folder / "ct_thin.nii.gz")
    assert list(inputs(folder, settings("ct-thin"))) == ["ct-thin"]


def test_an_image_of_another_modality_is_refused(tmp_path: Path) -> None:
    features = Features.model_validate({"phases": {"portal": {"modality": "MRI"}}})
    patient = read_phases(write_patient(tmp_path / "P1"), None, features)
    with pytest.raises(CannotExtract, match="portal: the image is CT, the study's phase is MRI"):
        phase_images(patient, features)
