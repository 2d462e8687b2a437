"""DICOM series, read: exactly, in HU, complete; PET in SUV."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import RLELossless

from client.cohort.dicom_headers import DicomFile, read_header, split_series
from client.cohort.dicom_series import read_series
from client.cohort.findings import ImageFault
from client.cohort.images import survey_patient
from client.cohort.pacs_scan import scan_export
from client.cohort.provenance import allowed_tags
from client.cohort.pseudonyms import Pseudonyms
from tests.client.images_on_disk import (
    MR_CLASS,
    ORIGIN_MM,
    SHAPE,
    SPACING_MM,
    ball,
    ct_voxels,
    save,
    seg,
    series,
    uid,
    write,
)
from tests.client.pictures_on_disk import pet_tags

OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)


def _files(folder: Path) -> list[DicomFile]:
    return [file for path in sorted(folder.iterdir()) if (file := read_header(path)) is not None]


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE])
def test_a_series_is_read_as_it_was_written_whatever_its_plane(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    save(tmp_path, series(ct_voxels(), rows_and_columns=orientation))
    image = read_series(_files(tmp_path)).image
    assert np.array_equal(sitk.GetArrayFromImage(image), ct_voxels())
    np.testing.assert_allclose(image.GetSpacing(), SPACING_MM, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), ORIGIN_MM, atol=1e-6)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    by_itk = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(by_itk), ct_voxels())
    np.testing.assert_allclose(by_itk.GetDirection(), image.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(by_itk.GetOrigin(), image.GetOrigin(), atol=1e-6)


def test_slope_and_intercept_of_every_slice_are_its_own(tmp_path: Path) -> None:
    voxels = np.abs(ct_voxels().astype(float))
    low = series(voxels, intercept=0, slope=0.5, sop_class=MR_CLASS)
    high = series(voxels, intercept=0, slope=2, sop_class=MR_CLASS)
    save(tmp_path, [*low[:5], *high[5:]])
    found = sitk.GetArrayFromImage(read_series(_files(tmp_path)).image)
    np.testing.assert_allclose(found[:5], voxels[:5], atol=0.25)
    np.testing.assert_allclose(found[5:], voxels[5:], atol=1.0)


def test_uptake_is_the_activity_times_weight_over_the_decayed_dose(tmp_path: Path) -> None:
    activity = np.full(SHAPE, 5000.0)
    save(tmp_path, series(activity, intercept=0, slope=5, **pet_tags()))  # 08:05 − 06:15 is one half-life
    voxels = sitk.GetArrayFromImage(read_series(_files(tmp_path)).image)
    np.testing.assert_allclose(voxels, 5000 * 74000 / (370e6 / 2), rtol=1e-6)


def test_uptake_corrected_to_the_injection_and_over_midnight(tmp_path: Path) -> None:
    save(tmp_path / "a", series(np.full(SHAPE, 5000.0), intercept=0, slope=5, **pet_tags(DecayCorrection="ADMIN")))
    at_injection = sitk.GetArrayFromImage(read_series(_files(tmp_path / "a")).image)
    np.testing.assert_allclose(at_injection, 1.0, rtol=1e-6)
    late = pet_tags({"RadiopharmaceuticalStartTime": "231500"}, SeriesTime="010500", AcquisitionTime="010600")
    save(tmp_path / "b", series(np.full(SHAPE, 5000.0), intercept=0, slope=5, **late))
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_series(_files(tmp_path / "b")).image), 2.0, rtol=1e-6)


PET_FAULTS = [
    ({"PatientWeight": None}, {}, "PatientWeight is missing"),
    ({"PatientWeight": 0}, {}, "body weight of 0 kg"),
    ({"Units": "CNTS"}, {}, "in CNTS, not in Bq/mL"),
    ({"DecayCorrection": "NONE"}, {}, "decay correction of 'NONE'"),
    ({"RadiopharmaceuticalInformationSequence": None}, {}, "what was injected"),
    ({"SeriesTime": "120000"}, {}, "after its own slices"),
    ({}, {"RadionuclideTotalDose": 370.0}, "activity of 370 Bq"),
    ({}, {"RadiopharmaceuticalStartTime": ""}, "when the tracer was injected"),
]


@pytest.mark.parametrize(("tags", "dose", "said"), PET_FAULTS, ids=[said for _, _, said in PET_FAULTS])
def test_pet_without_what_suv_needs_is_refused(tmp_path: Path, tags: dict, dose: dict, said: str) -> None:
    save(tmp_path, series(np.full(SHAPE, 5000.0), intercept=0, slope=5, **pet_tags(dose, **tags)))
    with pytest.raises(ImageFault, match=said):
        read_series(_files(tmp_path))


def test_b_values_of_one_series_become_volumes(tmp_path: Path) -> None:
    low = series(ct_voxels(0), sop_class=MR_CLASS, DiffusionBValue=50.0)
    high = series(ct_voxels(1), sop_class=MR_CLASS, DiffusionBValue=800.0)
    for number, dataset in enumerate(high):
        dataset.SOPInstanceUID += f".{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    save(tmp_path, [*low, *high])
    volumes = split_series(_files(tmp_path))
    values = {volume[0].header.DiffusionBValue: read_series(volume).image for volume in volumes}
    assert np.array_equal(sitk.GetArrayFromImage(values[50]), ct_voxels(0))
    assert np.array_equal(sitk.GetArrayFromImage(values[800]), ct_voxels(1))


def test_of_all_tags_only_the_allowed_ones_stay(tmp_path: Path) -> None:
    tags = {"ConvolutionKernel": "B30f", "Manufacturer": "ACME for Liang", "ContrastBolusAgent": "Liang"}
    save(tmp_path / "portal", series(ct_voxels(), **tags))
    (phase,) = survey_patient(tmp_path).phases.values()
    assert phase.provenance == {
        "Modality": "CT",
        "ManufacturerModelName": "Scan 7",
        "ConvolutionKernel": "B30f",
        "SliceThickness": 3.0,
        "PixelSpacing": [1.5, 1.5],
        "SecondsAfterFirstPhase": 0.0,
    }
    assert "Liang" not in str(allowed_tags(_files(tmp_path / "portal")[0].header))


def test_the_phases_of_one_examination_know_their_order_in_time(tmp_path: Path) -> None:
    save(tmp_path / "arterial", series(ct_voxels(0), "arterial", AcquisitionTime="080510"))
    save(tmp_path / "portal", series(ct_voxels(1), "portal", AcquisitionTime="080550.5"))
    phases = survey_patient(tmp_path).phases
    assert {name: phase.seconds_after_first for name, phase in phases.items()} == {"arterial": 0.0, "portal": 40.5}


def test_a_multi_frame_series_is_read_as_its_single_slices(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    together = hd.legacy.LegacyConvertedEnhancedCTImage(
        legacy_datasets=datasets[::-1],
        series_instance_uid=uid("enhanced"),
        series_number=4,
        sop_instance_uid=uid("enhanced object"),
        instance_number=1,
    )
    together.save_as(tmp_path / "all.dcm")
    image = read_series(_files(tmp_path)).image
    assert np.array_equal(sitk.GetArrayFromImage(image), ct_voxels())
    np.testing.assert_allclose(image.GetOrigin(), ORIGIN_MM, atol=1e-6)
    np.testing.assert_allclose(image.GetSpacing(), SPACING_MM, atol=1e-6)


def test_a_compressed_series_is_read_to_the_same_voxels(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    for dataset in datasets:
        dataset.compress(RLELossless)
    save(tmp_path, datasets)
    assert np.array_equal(sitk.GetArrayFromImage(read_series(_files(tmp_path)).image), ct_voxels())


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_become_findings_and_never_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    datasets = series(ct_voxels()[:3])
    save(folder / "portal", datasets)
    seg(datasets, {"Tumor": ball()[:3] | ball((1, 9, 9), 2)[:3]}).save_as(folder / "mask.dcm")
    write(folder / "arterial.nii", ct_voxels()[:3])
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, min(len(content) - 1, 4000)))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(200, len(content)))]))
    patient = survey_patient(folder)
    for phase in patient.phases.values():
        assert phase.image.GetNumberOfComponentsPerPixel() == 1
    scan_export(folder, Pseudonyms(b"k" * 32))
