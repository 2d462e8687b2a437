"""Real series, SEG, RTSTRUCT and CTs with masks; only where they are there."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon

from client.cohort import mask_objects, rtstruct
from client.cohort.dicom_headers import DicomFile, read_header
from client.cohort.dicom_series import read_series
from client.cohort.findings import stopping
from client.cohort.grids import Grid
from client.cohort.image_checks import check_images
from client.cohort.images import read_patient
from client.cohort.import_plan import make_plan
from client.cohort.pacs_scan import scan_export
from client.cohort.pseudonyms import Pseudonyms

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not (DATA / "dicom").is_dir(), reason="the real data is not here")


def _headers(folder: Path) -> list[DicomFile]:
    found = [read_header(path) for path in sorted(folder.glob("*.dcm"))]
    return [file for file in found if file is not None]


@pytest.mark.parametrize("series", ["liver_ct/image", "mr_rtstruct/image"])
def test_a_real_series_is_read_as_itk_reads_it(series: str) -> None:
    folder = DATA / "dicom" / series
    image = read_series(_headers(folder)).image
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    by_itk = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(by_itk))
    np.testing.assert_allclose(image.GetSpacing(), by_itk.GetSpacing(), rtol=1e-7)
    np.testing.assert_allclose(image.GetOrigin(), by_itk.GetOrigin(), rtol=1e-7)
    np.testing.assert_allclose(image.GetDirection(), by_itk.GetDirection(), atol=1e-7)


def test_a_real_seg_is_read_as_highdicom_reads_it() -> None:
    folder = DATA / "dicom" / "ct_liver_seg"
    files = _headers(folder)
    grid = Grid.of(read_series([file for file in files if file.is_image]).image)
    (found,) = (file for file in files if file.is_segmentation)
    mask = sitk.GetArrayFromImage(mask_objects.read_object(found, {1: "liver"}, grid)["liver"])
    volume = hd.seg.segread(found.path).get_volume(combine_segments=True)
    assert mask.sum() == 107_098
    assert np.array_equal(mask[::-1], volume.array)  # highdicom counts the slices from the other side


@pytest.mark.slow
def test_real_contours_are_filled_as_matplotlib_fills_them() -> None:
    folder = DATA / "dicom" / "mr_rtstruct"
    image = read_series(_headers(folder / "image")).image
    grid = Grid.of(image)
    (file,) = _headers(folder / "mask")
    names = rtstruct.structure_names(file.header)
    assert names == {1: "GTV_Mass", 2: "GTV_Edema"}
    mask = sitk.GetArrayFromImage(rtstruct.read_structures(file, {1: "tumour"}, grid)["tumour"])
    expected = np.zeros(mask.shape, dtype=bool)
    columns, rows, _ = grid.size
    centres = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    area = 0.0
    for contour in file.header.ROIContourSequence[0].ContourSequence:
        points = grid.index(np.array(contour.ContourData, float).reshape(-1, 3))
        x, y = points[:, 0], points[:, 1]
        area += abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        closed = Polygon(np.vstack([points[:, :2], points[:1, :2]]))
        expected[round(points[0, 2])] ^= closed.contains_points(centres).reshape(rows, columns)
    assert np.array_equal(mask, expected.astype(np.uint8))
    assert abs(mask.sum() / area - 1) < 0.001


@pytest.mark.parametrize("case", ["001", "002", "003", "005", "006"])
def test_real_cts_with_tumours_pass_the_checks(tmp_path: Path, case: str) -> None:
    (tmp_path / "ct.nii.gz").symlink_to(DATA / "sts_ct" / f"STS_{case}_CT_image.nii.gz")
    (tmp_path / "tumour.nii.gz").symlink_to(DATA / "sts_ct" / f"STS_{case}_CT_mask.nii.gz")
    patient = read_patient(tmp_path)
    assert stopping(check_images(patient)) == []


def test_a_real_export_is_sorted(tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    for name in ("liver_ct", "ct_liver_seg", "mr_rtstruct"):
        for path in (DATA / "dicom" / name).rglob("*.dcm"):
            (export / f"{name}-{path.parent.name}-{path.name}").symlink_to(path)
    plan = make_plan(scan_export(export, Pseudonyms(b"k" * 32)))
    by_modality = {row.modality: row for row in plan if row.taken}
    assert by_modality["CT"].name == "portal"
    assert by_modality["MR"].name == "t1"
    structures = [row for row in plan if row.modality == "RTSTRUCT"]
    assert [(row.description, row.name, row.taken) for row in structures] == [
        ("GTV_Mass", "", False),
        ("GTV_Edema", "", False),
    ]
    assert not any("CRLM" in str(row) or "STS_001" in str(row) for row in plan)
