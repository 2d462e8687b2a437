"""A study's feature names without an image, and rows that have all of them."""

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cannot_extract import CannotExtract
from client.extraction import PhaseImages, extract, feature_names
from client.preprocessing import like
from client.regions import Masks
from common.errors import StudyError
from common.features import Features

EVERYTHING = {"filters": ["original", "log", "wavelet"], "log_sigma_mm": [1, 2.5]}
CT: dict[str, Any] = {"modality": "CT", "spacing_mm": "native", "bin_count": 16}


def settings(**given: Any) -> Features:
    rules = {"clip_to_liver": False, "lowest_hu": None}
    return Features.model_validate({"phases": {"ct": CT}, "ring_rules": rules, **given})


def phase(dimension: int = 3, seed: int = 0) -> PhaseImages:
    shape = (24,) * dimension
    noise = np.random.default_rng(seed).normal(100, 30, shape)
    away = np.linalg.norm(np.indices(shape).T - 11.5, axis=dimension)
    image = sitk.GetImageFromArray(np.rint(noise))
    return PhaseImages(image, Masks([like(away <= 5, image)]))


@pytest.mark.parametrize(("modality", "dimension"), [("CT", 3), ("US", 2)])
def test_the_names_are_those_of_extraction_in_its_order(modality: str, dimension: int) -> None:
    features = settings(
        phases={"one": {"modality": modality, "spacing_mm": "native", "bin_count": 16}},
        regions=["ring", "tumour"],
        ring_mm=[4],
        minimum_voxels=8,
        **EVERYTHING,
    )
    assert feature_names(features) == list(extract({"one": phase(dimension)}, features).rows[0].values)


@pytest.mark.parametrize("classes", [["glcm"], ["ngtdm", "shape"], ["shape"], ["firstorder", "gldm"]])
def test_the_names_of_some_classes(classes: list[str]) -> None:
    features = settings(classes=classes)
    assert feature_names(features) == list(extract({"ct": phase()}, features).rows[0].values)


def test_1316_features_a_region() -> None:
    assert len(feature_names(settings(filters=["original", "log", "wavelet"]))) == 1316


def both_comparisons(**given: Any) -> Features:
    return settings(
        phases={"arterial": CT, "portal": CT},
        regions=["tumour", "ring"],
        ring_mm=[4],
        classes=["firstorder"],
        comparisons=[
            {"kind": "ratio", "phases": ["portal", "arterial"], "features": ["original_firstorder_Mean"]},
            {"kind": "relative-change", "regions": ["ring4mm", "tumour"], "features": ["*_Mean"]},
        ],
        **given,
    )


def test_comparisons_are_named_once_each_and_not_compared_again() -> None:
    features = both_comparisons()
    names = feature_names(features)
    assert names == list(extract({"arterial": phase(), "portal": phase(seed=1)}, features).rows[0].values)
    assert [name for name in names if "-over-" in name or "-change-" in name] == [
        "portal-over-arterial_tumour_original_firstorder_Mean",
        "portal-over-arterial_ring4mm_original_firstorder_Mean",
        "arterial_ring4mm-change-tumour_original_firstorder_Mean",
        "portal_ring4mm-change-tumour_original_firstorder_Mean",
    ]


def test_a_misspelt_comparison_is_an_error_that_says_what_was_meant() -> None:
    comparison = {"kind": "ratio", "regions": ["ring4mm", "tumour"], "features": ["original_firstorder_Maen"]}
    features = settings(regions=["tumour", "ring"], ring_mm=[4], comparisons=[comparison])
    with pytest.raises(StudyError, match=r"comparison 1: .*did you mean original_firstorder_Mean"):
        feature_names(features)


@pytest.mark.parametrize(
    ("comparison", "said"),
    [
        ({"kind": "ratio", "phases": ["ct", "portel"]}, "portel is not computed here: one of ct, portal"),
        ({"kind": "ratio", "regions": ["tumour", "ring5mm"]}, "ring5mm is not computed here"),
        ({"kind": "relative_change", "phases": ["ct", "portal"]}, "relative-change"),
        ({"kind": "ratio", "phases": ["ct", "ct"]}, "compared with itself"),
        ({"kind": "ratio"}, "give one of the two"),
    ],
)
def test_a_comparison_of_what_is_not_there_is_an_error(comparison: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings(phases={"ct": CT, "portal": CT}, comparisons=[comparison])


def test_a_patient_who_lacks_a_phase_is_refused_unless_the_study_leaves_it_empty() -> None:
    with pytest.raises(CannotExtract, match="no image of portal"):
        extract({"arterial": phase()}, both_comparisons())
    features = both_comparisons(missing_phases="leave-empty")
    values = extract({"arterial": phase()}, features).rows[0].values
    assert list(values) == feature_names(features)
    empty = {name for name, value in values.items() if np.isnan(value)}
    assert empty == {name for name in values if "portal" in name}


def test_a_patient_who_lacks_the_first_phase_is_refused_in_any_case() -> None:
    with pytest.raises(CannotExtract, match="no image of arterial"):
        extract({"portal": phase()}, both_comparisons(missing_phases="leave-empty"))


def test_an_image_of_other_dimensions_than_its_phase_s_is_refused() -> None:
    with pytest.raises(CannotExtract, match="ct: the image has 2 dimensions, CT is computed in 3"):
        extract({"ct": phase(dimension=2)}, settings())


def test_two_phases_that_are_read_from_one_image_are_an_error() -> None:
    with pytest.raises(ValueError, match="read from the image dwi_b800"):
        settings(phases={"dwi-b800": CT, "DWI-b800": CT})
