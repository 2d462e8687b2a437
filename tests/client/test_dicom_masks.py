"""SEG and RTSTRUCT, read: every voxel where it was drawn."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.findings import ImagesUnusable
from client.cohort.grids import Grid
from client.cohort.images import read_patient
from client.cohort.patient_images import PatientImages
from client.cohort.structures import plain_meaning
from tests.client.images_on_disk import SHAPE, ball, ct_voxels, liver, rtstruct, save, seg, series

PLANES = [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0), (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)]


def _mask(patient: PatientImages, name: str, phase: str = "portal") -> np.ndarray:
    return sitk.GetArrayFromImage(patient.phases[phase].masks[name])


@pytest.mark.parametrize("plane", PLANES)
def test_overlapping_segments_of_a_seg_come_back_voxel_by_voxel(tmp_path: Path, plane: tuple[float, ...]) -> None:
    datasets = series(ct_voxels(), rows_and_columns=plane)
    save(tmp_path / "portal", datasets)
    seg(datasets, {"Tumor 2": ball((5, 8, 8), 2), "Tumor": ball(), "Liver": liver()}).save_as(tmp_path / "a.dcm")
    patient = read_patient(tmp_path)
    assert np.array_equal(_mask(patient, "tumour"), ball())
    assert np.array_equal(_mask(patient, "tumour_2"), ball((5, 8, 8), 2))
    assert np.array_equal(_mask(patient, "liver"), liver())
    assert patient.phases["portal"].drawn_here == {"tumour", "tumour_2", "liver"}


def test_a_seg_with_its_slices_backwards_and_empty_ones_left_out(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    save(tmp_path / "portal", datasets)
    seg(datasets[::-1], {"Lesion": ball()[::-1]}, omit_empty_frames=True).save_as(tmp_path / "a.dcm")
    assert np.array_equal(_mask(read_patient(tmp_path), "tumour"), ball())


def test_a_label_map_segmentation(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    save(tmp_path / "portal", datasets)
    apart = {"Tumor": ball(), "Liver": (liver() & ~ball() & 1).astype(np.uint8)}
    seg(datasets, apart, segmentation_type=hd.seg.SegmentationTypeValues.LABELMAP).save_as(tmp_path / "a.dcm")
    patient = read_patient(tmp_path)
    assert np.array_equal(_mask(patient, "tumour"), apart["Tumor"])
    assert np.array_equal(_mask(patient, "liver"), apart["Liver"])


def test_a_mask_finds_the_series_it_was_drawn_on(tmp_path: Path) -> None:
    arterial, portal = series(ct_voxels(0), "arterial"), series(ct_voxels(1), "portal")
    save(tmp_path / "arterial", arterial)
    save(tmp_path / "portal", portal)
    seg(arterial, {"Tumor": ball()}).save_as(tmp_path / "a.dcm")
    rtstruct({"Tumor": _contours(ball(radius=2.5), arterial)}, portal[0]).save_as(
        tmp_path / "b.dcm", enforce_file_format=True
    )
    patient = read_patient(tmp_path)
    assert np.array_equal(_mask(patient, "tumour", "arterial"), ball())
    assert np.array_equal(_mask(patient, "tumour", "portal"), ball(radius=2.5))


def _contours(mask: np.ndarray, datasets: list) -> list[np.ndarray]:
    """The edges of a mask's pixels as closed contours in patient coordinates, one a pixel run."""
    first = datasets[0]
    row, column = np.array(first.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, first.PixelSpacing)
    contours = []
    for number, plane in enumerate(mask):
        origin = np.array(datasets[number].ImagePositionPatient, float)
        for at in np.flatnonzero(plane.any(axis=1)):
            marked = np.flatnonzero(plane[at])
            assert len(marked) == marked[-1] - marked[0] + 1
            corners = [
                (marked[0] - 0.5, at - 0.5),
                (marked[-1] + 0.5, at - 0.5),
                (marked[-1] + 0.5, at + 0.5),
                (marked[0] - 0.5, at + 0.5),
            ]
            contours.append(
                np.array([origin + x * between_columns * row + y * between_rows * column for x, y in corners])
            )
    return contours


@pytest.mark.parametrize("plane", PLANES)
def test_contours_along_voxel_edges_give_the_mask_back(tmp_path: Path, plane: tuple[float, ...]) -> None:
    datasets = series(ct_voxels(), rows_and_columns=plane)
    save(tmp_path / "portal", datasets)
    drawn = {
        "GTV-1": _contours(ball(), datasets),
        "Liver": _contours(liver(), datasets),
        "Body": _contours(liver(), datasets),
    }
    rtstruct(drawn, datasets[0]).save_as(tmp_path / "rt.dcm", enforce_file_format=True)
    with pytest.raises(
        ImagesUnusable, match=r'it is not known what "Body" means; .*structures: \{"Body": tumour\}'
    ):
        read_patient(tmp_path)
    (tmp_path / "images.yaml").write_text("structures: {Body: }\n")
    patient = read_patient(tmp_path)
    assert np.array_equal(_mask(patient, "tumour"), ball())
    assert np.array_equal(_mask(patient, "liver"), liver())


def test_a_seg_and_contours_of_the_same_mask_agree(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    for name, drawn in (
        ("A", seg(datasets, {"Tumor": ball()})),
        ("B", rtstruct({"Tumor": _contours(ball(), datasets)}, datasets[0])),
    ):
        save(tmp_path / name / "portal", datasets)
        drawn.save_as(tmp_path / name / "x.dcm", enforce_file_format=True)
    assert read_patient(tmp_path / "A").digest == read_patient(tmp_path / "B").digest


def test_a_seg_drawn_on_another_grid_is_refused(tmp_path: Path) -> None:
    here, elsewhere = series(ct_voxels()), series(ct_voxels(), origin_mm=(-19.4, -30.0, 40.0))
    save(tmp_path / "P1" / "portal", here)
    seg(elsewhere, {"Tumor": ball()}).save_as(tmp_path / "P1" / "a.dcm")
    with pytest.raises(
        ImagesUnusable, match=r"patient P1, a\.dcm: the segments' pixels lie up to 0\.40 voxels beside"
    ):
        read_patient(tmp_path / "P1")


def test_a_seg_beyond_the_images_slices_is_refused(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    save(tmp_path / "P1" / "portal", datasets[:6])
    seg(datasets, {"Tumor": ball()}).save_as(tmp_path / "P1" / "a.dcm")
    with pytest.raises(ImagesUnusable, match="reach beyond the image's slices"):
        read_patient(tmp_path / "P1")


def test_a_fractional_seg_is_refused(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    save(tmp_path / "P1" / "portal", datasets)
    soft = seg(
        datasets,
        {"Tumor": ball() * 0.6},
        segmentation_type=hd.seg.SegmentationTypeValues.FRACTIONAL,
        max_fractional_value=100,
    )
    soft.save_as(tmp_path / "P1" / "a.dcm")
    with pytest.raises(ImagesUnusable, match=r"the SEG holds fractions \(179 voxels"):
        read_patient(tmp_path / "P1")


def test_two_structures_of_one_name_have_to_be_numbered(tmp_path: Path) -> None:
    datasets = series(ct_voxels())
    save(tmp_path / "P1" / "portal", datasets)
    seg(datasets, {"Tumor": ball(), "HCC": ball((5, 8, 8), 2)}).save_as(tmp_path / "P1" / "a.dcm")
    with pytest.raises(ImagesUnusable, match=r'"Tumor" and "HCC" would both be tumour; .*"HCC": tumour_2'):
        read_patient(tmp_path / "P1")


def test_names_that_cannot_be_mistaken() -> None:
    expected = {
        "Tumor": "tumour",
        "GTV-2": "tumour_2",
        "lesion 01": "tumour",
        "LIVER": "liver",
        "Liver_minus_GTV": None,
        "GTV_Edema": None,
    }
    assert {name: plain_meaning(name) for name in expected} == expected


def test_a_grid_turns_indices_into_patient_coordinates_as_simpleitk_does() -> None:
    image = sitk.Image(SHAPE[::-1], sitk.sitkUInt8)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((3.0, -8.0, 11.0))
    image.SetDirection((0.8, -0.48, 0.36, 0.6, 0.64, -0.48, 0.0, 0.6, 0.8))
    grid = Grid.of(image)
    for index in ((0.0, 0.0, 0.0), (3.5, 8.25, 1.0), (31.0, 27.0, 9.0)):
        at_mm = image.TransformContinuousIndexToPhysicalPoint(index)
        np.testing.assert_allclose(grid.position_mm(np.array(index)), at_mm, atol=1e-9)
        np.testing.assert_allclose(grid.index(np.array(at_mm)), index, atol=1e-9)


def test_a_phase_that_a_mask_was_drawn_on_is_read_where_the_phase_asked_for_has_none(tmp_path: Path) -> None:
    arterial, portal = series(ct_voxels(0), "arterial"), series(ct_voxels(1), "portal")
    save(tmp_path / "arterial", arterial)
    save(tmp_path / "portal", portal)
    seg(arterial, {"Tumor": ball()}).save_as(tmp_path / "a.dcm")
    patient = read_patient(tmp_path, phases=["portal"])
    assert set(patient.phases) == {"arterial", "portal"}
    assert [name for name, phase in patient.phases.items() if "tumour" in phase.masks] == ["arterial"]
    seg(portal, {"Tumor": ball(radius=3)}).save_as(tmp_path / "b.dcm")
    assert set(read_patient(tmp_path, phases=["portal"]).phases) == {"portal"}
