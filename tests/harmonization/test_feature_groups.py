"""Which features are harmonised together, by their names."""

import pytest

from harmonization.groups import FeatureName, harmonisation_groups, parse


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("arterial_tumour_original_glcm_Contrast", ("arterial", "tumour", "original", "glcm", "Contrast")),
        ("original_shape_MeshVolume", ("", "", "original", "shape", "MeshVolume")),
        ("wavelet-LLH_firstorder_Mean", ("", "", "wavelet-LLH", "firstorder", "Mean")),
        ("log-sigma-2-0-mm-3D_glszm_ZoneEntropy", ("", "", "log-sigma-2-0-mm-3D", "glszm", "ZoneEntropy")),
        ("tumour_squareroot_gldm_DependenceEntropy", ("", "tumour", "squareroot", "gldm", "DependenceEntropy")),
        (
            "MR_t2_ring-5mm_lbp-3D-m1_ngtdm_Busyness",
            ("MR_t2", "ring-5mm", "lbp-3D-m1", "ngtdm", "Busyness"),
        ),
        ("original_shape2D_Elongation", ("", "", "original", "shape2D", "Elongation")),
    ],
)
def test_a_name_falls_into_its_parts(name: str, parts: tuple[str, ...]) -> None:
    assert parse(name) == FeatureName(*parts)


@pytest.mark.parametrize("name", ["age", "diagnostics_Versions_PyRadiomics", "tumour_volume_ml", "original_glcm"])
def test_other_columns_are_no_radiomic_features(name: str) -> None:
    assert parse(name) is None


def test_every_name_pyradiomics_gives_is_understood() -> None:
    radiomics = pytest.importorskip("radiomics")
    from radiomics import featureextractor

    extractor = featureextractor.RadiomicsFeatureExtractor()
    extractor.enableAllImageTypes()
    extractor.enableAllFeatures()
    classes = set(extractor.enabledFeatures)
    assert classes == set(radiomics.getFeatureClasses()) - {"shape2D"} or classes == set(
        radiomics.getFeatureClasses()
    )
    for kind in classes:
        for feature in radiomics.getFeatureClasses()[kind].getFeatureNames():
            assert parse(f"portal_liver_wavelet-HHL_{kind}_{feature}") is not None


def test_phase_and_region_make_a_group_and_shape_and_volume_are_left_alone() -> None:
    names = [
        "arterial_tumour_original_glcm_Contrast",
        "arterial_tumour_wavelet-LLH_firstorder_Mean",
        "portal_tumour_original_glcm_Contrast",
        "arterial_ring_original_glcm_Contrast",
        "arterial_tumour_original_shape_Sphericity",
        "deep_feature_17",
    ]
    groups = harmonisation_groups(names)
    assert groups.group.tolist() == [0, 0, 1, 2, -1, 3]
    assert groups.labels == ("arterial_tumour", "portal_tumour", "arterial_ring", "all")
    assert groups.left_alone == ("arterial_tumour_original_shape_Sphericity",)
    assert harmonisation_groups(names, shape_too=True).group.tolist() == [0, 0, 1, 2, 0, 3]
    assert harmonisation_groups(["original_glcm_Contrast", "original_firstorder_Mean"]).labels == ("all",)
