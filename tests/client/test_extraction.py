import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydantic import ValidationError
from radiomics import cShape
from radiomics.featureextractor import RadiomicsFeatureExtractor

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.extraction import PhaseImages, extract
from client.extraction.shape import area_and_volume, diameters
from client.preprocessing import Image, like, prepare
from client.regions import Masks, build_regions, lesions_of
from common.errors import StudyError
from common.features import Features
from common.strict_yaml import describe_faults, read_yaml

SARCOMAS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "sts_ct"
CT: dict[str, Any] = {"modality": "CT", "spacing_mm": "native"}
FREE_RINGS = {"clip_to_liver": False}


def settings(**given: Any) -> Features:
    return Features.model_validate({"phases": {"ct": CT}, "ring_rules": FREE_RINGS, **given})


def patient(size: int = 48, radius_mm: float = 9.0, spacing_mm: float = 1.0, seed: int = 0) -> PhaseImages:
    """Smooth noise around 80 HU with a brighter ball in it."""
    noise = np.random.default_rng(seed).normal(0, 60, (size,) * 3)
    image = sitk.GetImageFromArray(noise)
    image.SetSpacing((spacing_mm,) * 3)
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, spacing_mm))
    middle = (np.indices(smooth.shape) - (size - 1) / 2) * spacing_mm
    ball = (middle**2).sum(axis=0) <= radius_mm**2
    image = like(np.rint(80 + smooth * 2 + 30 * ball), image)
    return PhaseImages(image, Masks([like(ball, image)]))


def plain_pyradiomics(image: Image, mask: Image, features: Features) -> dict[str, float]:
    """PyRadiomics' own extractor on the whole image, as its documentation says."""
    extractor = RadiomicsFeatureExtractor(binWidth=25, additionalInfo=False)
    extractor.disableAllImageTypes()
    for name, theirs in {"original": "Original", "wavelet": "Wavelet"}.items():
        if name in features.filters:
            extractor.enableImageTypeByName(theirs)
    if "log" in features.filters:
        extractor.enableImageTypeByName("LoG", customArgs={"sigma": [float(s) for s in features.log_sigma_mm]})
    with np.errstate(all="ignore"):
        return {name: float(value) for name, value in extractor.execute(image, mask).items()}


def assert_equal_to_plain_pyradiomics(given: PhaseImages, features: Features) -> None:
    """Region by region on the same prepared image: 1e-6, LoG 1e-4."""
    values = extract({"ct": given}, features).rows[0].values
    phase = features.phases["ct"]
    whole = prepare(given.image, phase, Grid.of(given.image).with_spacing(phase.spacing))
    lesion = lesions_of(given.masks, features.lesions)[0]
    compared = 0
    for region in build_regions(lesion, given.masks, whole, features, phase, 1.0):
        for name, expected in plain_pyradiomics(whole, region.mask, features).items():
            found = values[f"ct_{region.name}_{name}"]
            tolerance = 1e-4 if name.startswith("log") else 1e-6
            assert found == pytest.approx(expected, rel=tolerance, abs=1e-9, nan_ok=True), (region.name, name)
            compared += 1
    assert compared == len(values)


@pytest.mark.slow
def test_every_filter_and_region_equals_plain_pyradiomics_on_the_whole_image() -> None:
    features = settings(
        regions=["tumour", "ring"], ring_mm=[3, 6], filters=["original", "log", "wavelet"], log_sigma_mm=[1, 2, 3]
    )
    assert_equal_to_plain_pyradiomics(patient(size=87, radius_mm=9), features)  # larger than any filter's crop


@pytest.mark.slow
@pytest.mark.skipif(not SARCOMAS.exists(), reason="the sarcomas are not at hand")
def test_a_real_ct_equals_plain_pyradiomics_region_by_region() -> None:
    image = sitk.Cast(sitk.ReadImage(str(SARCOMAS / "STS_002_CT_image.nii.gz")), sitk.sitkFloat64)
    mask = sitk.Cast(sitk.ReadImage(str(SARCOMAS / "STS_002_CT_mask.nii.gz")) > 0, sitk.sitkUInt8)
    features = settings(
        phases={"ct": {"modality": "CT"}},
        regions=["tumour", "ring"],
        ring_mm=[5],
        filters=["original", "log", "wavelet"],
    )
    assert_equal_to_plain_pyradiomics(PhaseImages(image, Masks([mask])), features)


def test_1316_features_a_region_with_phase_region_filter_class_and_feature_in_the_name() -> None:
    given = patient()
    values = extract({"ct": given}, settings(filters=["original", "log", "wavelet"])).rows[0].values
    assert len(values) == 1316
    assert {"ct_tumour_original_shape_Sphericity", "ct_tumour_wavelet-LLH_glcm_Imc1"} < set(values)
    assert "ct_tumour_log-sigma-2-0-mm-3D_firstorder_Mean" in values


@pytest.mark.parametrize("seed", range(8))
def test_mesh_and_diameters_have_the_digits_of_pyradiomics_own_search(seed: int) -> None:
    random = np.random.default_rng(seed)
    spacing_mm = random.uniform(0.3, 4, 3)
    noise = sitk.GetImageFromArray(random.normal(size=random.integers(4, 20, 3)))
    array = np.pad(sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0)) > 0.1, 1)
    area, volume, expected = cShape.calculate_coefficients(array, spacing_mm)
    assert area_and_volume(array, spacing_mm) == pytest.approx((area, volume), rel=1e-10)
    assert diameters(array, spacing_mm) == pytest.approx(expected, rel=1e-12)


def test_diameters_of_a_flat_region() -> None:
    array = np.zeros((3, 12, 12), dtype=bool)
    array[1, 1:-1, 1:-1] = True
    assert diameters(array, np.ones(3)) == pytest.approx(cShape.calculate_coefficients(array, np.ones(3))[2])


def test_a_true_two_dimensional_image_has_log_and_wavelet_features() -> None:
    given = patient()
    image, mask = given.image[:, :, 24], given.masks.tumours[0][:, :, 24]
    features = settings(
        phases={"us": {"modality": "US"}},
        regions=["tumour", "ring"],
        ring_mm=[3],
        filters=["original", "log", "wavelet"],
        log_sigma_mm=[1, 2],
    )
    values = extract({"us": PhaseImages(image, Masks([mask]))}, features).rows[0].values
    assert {"us_tumour_original_shape2D_Sphericity", "us_ring3mm_wavelet-LH_firstorder_Mean"} < set(values)
    assert np.isfinite(values["us_tumour_log-sigma-1-0-mm-3D_glcm_Contrast"])


def test_differences_and_ratios_between_phases_and_regions() -> None:
    given = {"arterial": patient(seed=1), "portal": patient(seed=2)}
    features = settings(
        phases={"arterial": CT, "portal": CT},
        regions=["tumour", "ring"],
        ring_mm=[5],
        comparisons=[
            {"kind": "difference", "phases": ["portal", "arterial"], "features": ["*_firstorder_Mean"]},
            {"kind": "relative-change", "phases": ["portal", "arterial"], "features": ["*_firstorder_Mean"]},
            {"kind": "ratio", "regions": ["ring5mm", "tumour"], "features": ["*_firstorder_Mean"]},
        ],
    )
    values = extract(given, features).rows[0].values
    mean = {key: values[f"{key}_original_firstorder_Mean"] for key in ("portal_tumour", "arterial_tumour")}
    ring = values["portal_ring5mm_original_firstorder_Mean"]
    change = mean["portal_tumour"] - mean["arterial_tumour"]
    assert values["portal-minus-arterial_tumour_original_firstorder_Mean"] == pytest.approx(change)
    relative = values["portal-change-arterial_tumour_original_firstorder_Mean"]
    assert relative == pytest.approx(change / mean["arterial_tumour"])
    ratio = values["portal_ring5mm-over-tumour_original_firstorder_Mean"]
    assert ratio == pytest.approx(ring / mean["portal_tumour"])
    assert sum("-minus-" in name for name in values) == 2


def test_a_row_each_lesion_and_the_same_columns_in_all() -> None:
    given = patient()
    array = np.zeros((48, 48, 48), dtype=bool)
    array[10:20, 10:20, 10:20] = array[28:40, 28:40, 28:40] = True
    twins = PhaseImages(given.image, Masks([like(array, given.image)]))
    found = extract({"ct": twins}, settings(lesions="each", classes=["shape", "firstorder"]))
    assert [row.lesion for row in found.rows] == [1, 2]
    volume = "ct_tumour_original_shape_VoxelVolume"
    assert [row.values[volume] for row in found.rows] == [12**3, 10**3]
    assert found.rows[0].values.keys() == found.rows[1].values.keys()


def test_the_same_features_whatever_pyradiomics_log_says(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        extract({"ct": patient()}, settings(filters=["wavelet"]))
    assert not caplog.records


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda array: array * np.nan, "no numbers"),
        (lambda array: array * 0 + 7, "holds 7 everywhere"),
        (lambda array: array * 1000, "more than 512 grey levels"),
        (lambda array: (array - array.min()) / 1000, "one grey level"),
    ],
)
def test_intensities_that_pyradiomics_takes_in_silence_or_hangs_on_are_refused(change: Any, said: str) -> None:
    given = patient()
    spoilt = like(change(sitk.GetArrayFromImage(given.image)), given.image)
    features = settings(phases={"ct": {**CT, "round_hu": False}})
    with pytest.raises(CannotExtract, match=said):
        extract({"ct": PhaseImages(spoilt, given.masks)}, features)


def test_a_missing_phase_is_named() -> None:
    with pytest.raises(CannotExtract, match="no image of portal"):
        extract({"ct": patient()}, settings(phases={"ct": CT, "portal": CT}))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{modality: CT, binwidth: 25}", "did you mean 'bin_width'"),
        ("{modality: CT, bin_width: 25, bin_count: 32}", "keep one of the two"),
        ("{modality: ADC, normalisation: z-score}", "write none"),
        ("{modality: MRI, nyul_landmarks: [1, 2]}", "landmarks belong to normalisation: nyul"),
        ("{modality: PET, window_hu: [0, 1]}", "Hounsfield units belong to CT"),
    ],
)
def test_a_wrong_setting_is_an_error_with_its_line_and_cure(tmp_path: Path, written: str, said: str) -> None:
    path = tmp_path / "features.yaml"
    path.write_text(f"phases:\n  ct: {written}\n")
    content, lines = read_yaml(path)
    with pytest.raises(ValidationError) as caught:
        Features.model_validate(content)
    told = StudyError(describe_faults(caught.value, str(path), lines, Features))
    assert said in str(told)
    assert "line 2" in str(told)


def test_the_fingerprint_changes_with_any_setting_and_with_nothing_else() -> None:
    plain, same = settings(), settings(regions=["tumour"])
    assert plain.fingerprint() == same.fingerprint()
    assert (
        plain.fingerprint()["settings"] != settings(ring_rules={"clip_to_liver": True}).fingerprint()["settings"]
    )
    assert plain.fingerprint()["pyradiomics"] == "3.0.1"
