"""Synthetic images: readable by the hospital's own readers, the same for the same seed, true to what was planted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
import yaml
from scipy.stats import spearmanr
from typer.testing import CliRunner

from client.cohort.findings import ImagesUnusable, stopping
from client.cohort.image_checks import Limits
from client.cohort.image_collection_checks import check_folder
from client.cohort.images import read_patient
from client.cohort.patient_images import PatientImages
from client.cohort.rtstruct import fill_polygon
from client.extraction import extract, feature_names, phase_images
from common.errors import HepafedError
from common.study import Study
from deploy.cli import app
from deploy.simulation.hospitals import study_text, write_hospitals
from deploy.simulation.images.contours import outlines
from deploy.simulation.images.hospital_images import FAULTY_PATIENT, write_ct, write_ultrasound
from deploy.simulation.images.patient_ct import draw_ct
from deploy.simulation.images.scanner import draw_acquisition
from deploy.simulation.radiomics import SHAPE_FEATURES
from deploy.simulation.simulate import find_hospitals
from deploy.simulation.synthesis import Hospital, Setting, draw_hospital, draw_setting

SETTING = draw_setting(seed=7, sites=5, patients=24, hospital_effect=True)
HOSPITALS = [draw_hospital(SETTING, place) for place in range(5)]
NIFTI, OTHER_NIFTI, SEG, RTSTRUCT, ULTRASOUND = range(5)
MULTIPLE = {place: int(np.argmax(HOSPITALS[place].clinic["tumour_number"] > 1)) for place in range(5)}


def write(folder: Path, place: int, patient: int) -> Path:
    """images/ID of one patient, as demo-data writes it."""
    writer = write_ultrasound if place == ULTRASOUND else write_ct
    writer(folder / str(place), SETTING, place, HOSPITALS[place], patient)
    return folder / str(place) / HOSPITALS[place].ids[patient]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients of every hospital, one of them with several tumours, and the broken one."""
    folder = tmp_path_factory.mktemp("images")
    for place, several in MULTIPLE.items():
        for patient in sorted({0, several}):
            write(folder, place, patient)
    write(folder, NIFTI, FAULTY_PATIENT)
    return folder


def patients(folder: Path, place: int) -> list[PatientImages]:
    return [read_patient(path) for path in sorted((folder / str(place)).iterdir()) if "0005" not in path.name]


@pytest.mark.parametrize("place", range(5))
def test_nothing_stops_a_patient_but_the_one_who_is_broken_by_design(images: Path, place: int) -> None:
    stopped = {
        (finding.patient, finding.kind)
        for _, found in check_folder(images / str(place), limits=Limits(rings_mm=(5.0,)))
        for finding in stopping(found)
    }
    assert stopped == ({("NOR-0005", "empty mask")} if place == NIFTI else set())


def test_the_broken_patient_cannot_be_read_and_the_reason_is_named(images: Path) -> None:
    with pytest.raises(ImagesUnusable, match=r"NOR-0005, tumour\.nii\.gz: the mask is empty"):
        read_patient(images / "0" / HOSPITALS[NIFTI].ids[FAULTY_PATIENT])


@pytest.mark.parametrize("place", [NIFTI, OTHER_NIFTI, SEG, RTSTRUCT])
def test_both_phases_have_every_lesion_and_the_liver_whatever_the_files(images: Path, place: int) -> None:
    lesions = set()
    for patient in patients(images, place):
        assert list(patient.phases) == ["arterial", "portal"]
        for phase in patient.phases.values():
            assert phase.modality == "CT"
            assert {"tumour", "liver"} <= set(phase.masks)
            assert ("vessels" in phase.masks) == (place != RTSTRUCT)
            lesions.add(len(phase.tumours))
        after = patient.phases["portal"].seconds_after_first
        assert after == (35.0 if place in (SEG, RTSTRUCT) else None)
    assert min(lesions) == 1 < max(lesions)


@pytest.mark.parametrize("place", [SEG, RTSTRUCT])
def test_what_is_read_back_from_dicom_is_what_was_drawn(images: Path, place: int) -> None:
    hospital = HOSPITALS[place]
    acquisition = draw_acquisition(SETTING, place, hospital.mix.mvi_prevalence, str(hospital.clinic["scanner"][0]))
    drawn = draw_ct(SETTING, place, hospital, 0, acquisition)
    read = read_patient(images / str(place) / hospital.ids[0])
    for name, phase in read.phases.items():
        np.testing.assert_array_equal(sitk.GetArrayFromImage(phase.image), drawn.phases[name])
        np.testing.assert_allclose(phase.spacing_mm, drawn.axes.spacing_mm)
        np.testing.assert_allclose(phase.image.GetOrigin(), drawn.axes.origin_mm, atol=1e-3)
        for mask, image in phase.masks.items():
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), drawn.masks[mask])


def test_outlines_of_any_plane_fill_to_the_plane_again() -> None:
    for seed in range(20):
        plane = (np.random.default_rng(seed).random((9, 11)) < 0.5).astype(np.uint8)
        filled = np.zeros_like(plane)
        for outline in outlines(plane):
            filled ^= fill_polygon(outline, *plane.shape)
        np.testing.assert_array_equal(filled, plane)


def test_ultrasound_is_a_flat_picture_with_its_pixel_size(images: Path) -> None:
    for patient in patients(images, ULTRASOUND):
        (phase,) = patient.phases.values()
        assert (phase.name, phase.modality, phase.image.GetDimension()) == ("us", "US", 2)
        assert phase.spacing_mm == pytest.approx((0.6, 0.6))
        assert set(phase.masks) == {"tumour", "liver"}


@pytest.mark.parametrize("place", range(5))
def test_the_same_seed_writes_the_same_bytes(images: Path, tmp_path: Path, place: int) -> None:
    again = write(tmp_path, place, 0)
    first = images / str(place) / again.name
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [str(name) for name in names if (first / name).read_bytes() != (again / name).read_bytes()] == []


def test_every_file_says_that_it_is_synthetic_and_none_holds_an_identity(images: Path) -> None:
    seen = set()
    for path in sorted(images.rglob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        seen.add(header.Modality)
        assert "SYNTHETIC" in header.SeriesDescription
        assert "SYNTHETIC" in header.StudyDescription
        assert str(header.PatientName).startswith("SYNTHETIC")
        assert header.PatientID in path.parts
        assert header.PatientBirthDate == ""
        assert header.StudyDate.startswith("2000")
        assert header.SOPInstanceUID.startswith("2.25.")
        assert header.SOPInstanceUID.is_valid
    assert seen == {"CT", "SEG", "RTSTRUCT", "US"}
    for path in images.rglob("*.nii.gz"):
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        assert reader.GetMetaData("descrip").startswith("SYNTHETIC")


def test_the_liver_and_the_tumour_enhance_as_in_hepatocellular_carcinoma(images: Path) -> None:
    for patient in (p for place in range(4) for p in patients(images, place)):
        hu = {}
        for name, phase in patient.phases.items():
            voxels = sitk.GetArrayFromImage(phase.image)
            assert voxels.min() < -900  # air around the body, where a ring must not go
            tumour, liver = (sitk.GetArrayFromImage(phase.masks[mask]) > 0 for mask in ("tumour", "liver"))
            hu[name] = float(voxels[tumour].mean() - np.median(voxels[liver & ~tumour]))
        assert hu["arterial"] > 15
        assert hu["portal"] < -3


MEASURED = 16
"""Patients: enough for a rank correlation of 0.5, few enough for a fast test."""
PLANTED = {
    "arterial_ring5mm_original_firstorder_Mean": "ring5mm_attenuation",
    "arterial_ring5mm_original_firstorder_Entropy": "ring5mm_heterogeneity",
    "arterial_tumour_original_firstorder_Mean": "tumour_attenuation",
    "arterial_tumour_original_firstorder_Entropy": "tumour_heterogeneity",
    "arterial_tumour_original_shape_Maximum3DDiameter": "size",
}


def test_extracted_features_follow_the_latent_factors_within_a_hospital(tmp_path: Path) -> None:
    hospital = HOSPITALS[OTHER_NIFTI]
    study = study_of("demo_images_study.yaml")
    assert study.features is not None
    arterial = {"arterial": study.features.phases["arterial"]}
    features = study.features.model_copy(
        update={"phases": arterial, "classes": ["shape", "firstorder"], "comparisons": []}
    )
    rows = [
        extract(phase_images(read_patient(write(tmp_path, OTHER_NIFTI, patient)), features), features)
        .rows[0]
        .values
        for patient in range(MEASURED)
    ]
    for name, factor in PLANTED.items():
        found = spearmanr([row[name] for row in rows], hospital.factors_by_name[factor][:MEASURED]).statistic
        assert found > 0.5, f"{name} and {factor}: {found:.2f}"
    sphericity = hospital.clean[:, SHAPE_FEATURES.index("tumour_original_shape_Sphericity")][:MEASURED]
    measured = [row["arterial_tumour_original_shape_Sphericity"] for row in rows]
    assert spearmanr(measured, sphericity).statistic > 0.7


def study_of(template: str) -> Study:
    return Study.from_content(yaml.safe_load(study_text(template)), template)


def test_the_study_names_few_features_and_all_of_them_are_extracted() -> None:
    study = study_of("demo_images_study.yaml")
    assert study.features is not None
    named = study.predictors.named()
    assert 6 <= len(named) <= 8
    assert set(named) <= set(feature_names(study.features))
    smallest_training_set = 2 * sum(SETTING.sizes) // 5  # leaving the largest hospital out, and one fold of three
    assert len(named) + len(study.predictors.clinical) + 1 <= smallest_training_set / 3


def test_the_ultrasound_study_computes_what_it_names(images: Path) -> None:
    study = study_of("demo_ultrasound_study.yaml")
    assert study.features is not None
    for patient in patients(images, ULTRASOUND):
        (row,) = extract(phase_images(patient, study.features), study.features).rows
        assert len(study.predictors.matching(list(row.values))) > 20
        assert np.isfinite(list(row.values.values())).all()


def test_a_hospital_with_other_scanners_measures_the_same_patient_otherwise() -> None:
    hospital = HOSPITALS[NIFTI]
    seen = [draw_acquisition(SETTING, place, 0.35, "GE Revolution CT") for place in range(4)]
    assert [a.slice_mm for a in seen] == [1.5, 3.0, 4.0, 5.0]
    assert len({a.bias_hu for a in seen}) == 4
    soft, sharp = (draw_acquisition(SETTING, 0, mvi, "GE Revolution CT") for mvi in (0.46, 0.29))
    assert soft.blur_mm > sharp.blur_mm + 0.5
    deviations = [draw_ct(SETTING, NIFTI, hospital, 0, a).phases["portal"][:, :6, :6].std() for a in (soft, sharp)]
    assert deviations[1] > 1.3 * deviations[0]


def test_without_hospital_effect_all_hospitals_have_one_scanner() -> None:
    alike = draw_setting(seed=7, sites=4, patients=24, hospital_effect=False)
    assert len({draw_acquisition(alike, place, 0.3 + 0.03 * place, "GE Revolution CT") for place in range(4)}) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders without images in them: what is written around the images does not need them."""

    def no_images(folder: Path, setting: Setting, place: int, hospital: Hospital, patient: int) -> None:
        (folder / hospital.ids[patient]).mkdir(parents=True)

    monkeypatch.setattr("deploy.simulation.images.hospital_images.write_ct", no_images)
    monkeypatch.setattr("deploy.simulation.images.hospital_images.write_ultrasound", no_images)


@pytest.mark.usefixtures("quick")
def test_a_folder_holds_hospitals_with_images_and_one_with_ultrasound_apart(tmp_path: Path) -> None:
    said: list[str] = []
    write_hospitals(tmp_path, patients=10, images=True, say=said.append)
    assert list(find_hospitals(tmp_path)) == ["harbour", "lakeside", "north", "valley"]
    assert list(find_hospitals(tmp_path / "ultrasound")) == ["riverton"]
    for site in find_hospitals(tmp_path).values():
        assert sorted(path.name for path in site.iterdir()) == ["images", "patients.csv", "site.yaml"]
        listed = pd.read_csv(site / "patients.csv").id.tolist()
        assert sorted(path.name for path in (site / "images").iterdir()) == listed
    assert Study.from_file(tmp_path / "study.yaml").features is not None
    assert Study.from_file(tmp_path / "ultrasound" / "study.yaml").features is not None
    assert said[0] == "north: images of patient 1 of 10"
    truth = json.loads((tmp_path / "truth" / "images.json").read_text("utf-8"))
    assert truth["faulty"] == "NOR-0005"
    assert {name: hospital["files"] for name, hospital in truth["hospitals"].items()} == {
        "north": "nifti",
        "harbour": "nifti",
        "lakeside": "dicom-seg",
        "valley": "dicom-rtstruct",
    }


@pytest.mark.usefixtures("quick")
def test_nothing_of_an_earlier_demonstration_stays(tmp_path: Path) -> None:
    write_hospitals(tmp_path, patients=10)
    write_hospitals(tmp_path, patients=12, images=True)
    assert not list(tmp_path.glob("*/features.csv"))
    write_hospitals(tmp_path, patients=10, images=True)
    for site in find_hospitals(tmp_path).values():
        assert len(list((site / "images").iterdir())) == len(pd.read_csv(site / "patients.csv"))


def test_images_beside_no_synthetic_site_file_are_never_removed(tmp_path: Path) -> None:
    real = tmp_path / "north" / "images" / "P-1" / "portal.nii.gz"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"a scan")
    with pytest.raises(HepafedError, match="may be a real hospital"):
        write_hospitals(tmp_path, patients=10, images=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [real]


@pytest.mark.slow
def test_the_whole_demonstration_runs_from_images_to_a_report(tmp_path: Path) -> None:
    """Written twice with the same bytes; the broken patient is named; everyone else has features."""
    runner = CliRunner()
    for folder in ("demo", "again"):
        asked = ["demo-data", str(tmp_path / folder), "--images", "--patients", "14"]
        assert runner.invoke(app, asked).exit_code == 0
    first, again = (
        {
            path.relative_to(tmp_path / folder): path.read_bytes()
            for path in (tmp_path / folder).rglob("*")
            if path.is_file()
        }
        for folder in ("demo", "again")
    )
    assert first == again
    demo = tmp_path / "demo"
    checked = runner.invoke(app, ["site", "check", str(demo / "north")])
    assert checked.exit_code == 1
    assert "NOR-0005" in checked.output
    assert "the mask is empty" in checked.output
    asked = ["simulate", str(demo / "study.yaml"), "--sites", str(demo), "--out", str(tmp_path / "report")]
    simulated = runner.invoke(app, asked)
    assert simulated.exit_code == 0, simulated.output
    assert "failed: patient NOR-0005" in simulated.output
    assert "4 of 4 hospitals took part" in simulated.output
