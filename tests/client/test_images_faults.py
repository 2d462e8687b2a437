"""Bad inputs: each is found, said in words that name the patient, what was found and the cure, and stops nobody else.

The list below is the list.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from client.cohort.findings import Finding, Severity
from client.cohort.image_checks import Limits, check_images
from client.cohort.image_collection_checks import check_folder
from client.cohort.images import survey_patient
from tests.client import spoilt_images as spoilt
from tests.client.images_on_disk import SHAPE, ball, ct_voxels, liver, write, write_patient

STOPS, LOOK = Severity.STOPS, Severity.LOOK
LIMITS = Limits(rings_mm=(5.0,), minimum_voxels=64)
SECONDS = 20.0


FAULTS: list[tuple[str, Callable[[Path], object], str, Severity, str]] = [
    # what is done to a healthy patient, the finding's kind, its severity, words of the message
    ("an empty file", spoilt.content("portal.nii.gz", b""), "unreadable file", STOPS, "0 bytes"),
    ("no image at all", spoilt.content("portal.nii.gz", b"hello" * 200), "unreadable file", STOPS, "damaged"),
    (
        "a broken DICOM file",
        spoilt.content("x.dcm", b"\0" * 128 + b"DICM" + b"\xff" * 9),
        "unreadable file",
        STOPS,
        "DICOM",
    ),
    ("a pipe", spoilt.pipe, "unreadable file", STOPS, "no file"),
    ("another program's file", spoilt.content("portal.mat", b"MATLAB"), "unknown file", LOOK, "neither NIfTI"),
    ("an unknown name", spoilt.phase("PVP", ct_voxels(1)), "unknown name", LOOK, "did you mean portal?"),
    ("no image", spoilt.without("portal.nii.gz"), "no image", STOPS, "arterial.nii.gz"),
    ("no tumour", spoilt.without("tumour.nii.gz"), "missing mask", STOPS, "no usable mask"),
    ("a mask without its image", spoilt.phase("delayed_tumour", ball()), "mask without image", LOOK, "delayed"),
    ("colour", spoilt.colour, "not scalar", STOPS, "3 values a voxel"),
    ("four dimensions", spoilt.four_d, "4-D", STOPS, "4 dimensions"),
    ("a sheared grid", spoilt.sheared, "sheared grid", STOPS, "right angles"),
    ("another size", spoilt.tumour(ball((4, 14, 16), shape=(8, 28, 32))), "geometry mismatch", STOPS, "32×28×8"),
    (
        "another origin",
        spoilt.tumour(ball(), origin_mm=(-10.0, -30.0, 40.0)),
        "geometry mismatch",
        STOPS,
        "10.00 mm apart",
    ),
    (
        "another spacing",
        spoilt.tumour(ball(), spacing_mm=(1.0, 1.0, 3.0)),
        "geometry mismatch",
        STOPS,
        "another spacing",
    ),
    (
        "another orientation",
        spoilt.tumour(ball(), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)),
        "geometry mismatch",
        STOPS,
        "another orientation",
    ),
    ("an empty mask", spoilt.tumour(np.zeros(SHAPE, np.uint8)), "empty mask", STOPS, "no voxel is marked"),
    ("a mask of all ones", spoilt.tumour(np.ones(SHAPE, np.uint8)), "mask of all ones", STOPS, "every one of"),
    ("a mask of 0.999", spoilt.tumour(ball() * np.float32(0.999)), "fractional mask", STOPS, "0.999"),
    (
        "NaN in a mask",
        spoilt.tumour(np.where(ball() > 0, 1, np.nan).astype(np.float32)),
        "NaN in a mask",
        STOPS,
        "no number",
    ),
    (
        "several labels",
        spoilt.tumour(ball() + ball((5, 8, 8), 2) * 2),
        "several labels",
        STOPS,
        "labels: {tumour: {1:",
    ),
    (
        "an image for a mask",
        spoilt.tumour(spoilt.COUNTED),
        "not a mask",
        STOPS,
        "swapped",
    ),
    ("NaN in the tumour", spoilt.portal(spoilt.with_nan((5, 14, 16))), "NaN", STOPS, "1 of them in the masks"),
    ("NaN elsewhere", spoilt.portal(spoilt.with_nan((0, 0, 0))), "NaN", LOOK, "0 of them in the masks"),
    (
        "a constant image",
        spoilt.portal(np.full(SHAPE, 7, np.int16)),
        "constant image",
        STOPS,
        "every voxel",
    ),
    (
        "a constant tumour",
        spoilt.portal(np.where(ball() > 0, 50, ct_voxels()).astype(np.int16)),
        "constant region",
        STOPS,
        "voxels are 50",
    ),
    (
        "0 to 1",
        spoilt.portal(((ct_voxels() + 1000) / 1200).clip(0, 1).astype(np.float32)),
        "scaled image",
        STOPS,
        "units are lost",
    ),
    (
        "grey values",
        spoilt.portal(ct_voxels().clip(-100, 155) + 100),
        "scaled image",
        STOPS,
        "grey values of a screen",
    ),
    ("HU + 1024", spoilt.portal(ct_voxels() + 1024), "HU offset", STOPS, "RescaleIntercept"),
    ("HU − 1024", spoilt.portal(ct_voxels() - 1024), "HU offset", STOPS, "−1024"),
    ("lipiodol", spoilt.portal(ct_voxels() + (ball() * 800).astype(np.int16)), "HU", LOOK, "lipiodol"),
    (
        "a spacing of 0",
        spoilt.portal(ct_voxels(), spacing_mm=(1e-3, 1e-3, 3)),
        "spacing",
        STOPS,
        "cannot be right",
    ),
    ("8 voxels", spoilt.tumour(ball(radius=1.2)), "tiny region", STOPS, "7 voxels are marked, 64 are needed"),
    ("a second part", spoilt.tumour(ball() | ball((5, 14, 6), 2)), "disconnected parts", LOOK, "2 parts"),
    (
        "one slice marked",
        spoilt.tumour(spoilt.DISC),
        "one slice marked",
        LOOK,
        "only slice 6 of 10",
    ),
    ("a tumour at the edge", spoilt.tumour(ball((1, 14, 16))), "cut off", LOOK, "first or last slices"),
    ("a tiny liver", spoilt.phase("liver", liver()), "volume", LOOK, "a liver of 15 cm³"),
    (
        "a tumour outside the liver",
        spoilt.phase("liver", ball((5, 4, 4), 3)),
        "tumour outside the liver",
        STOPS,
        "flip",
    ),
    ("the liver as tumour", spoilt.phase("liver", ball()), "same mask twice", STOPS, "the same mask"),
    (
        "one lesion twice",
        spoilt.phase("tumour_2", ball()),
        "same mask twice",
        STOPS,
        "tumour_2 lies wholly in tumour",
    ),
    ("overlapping lesions", spoilt.phase("tumour_2", ball((5, 14, 19))), "lesions overlap", LOOK, "share"),
    (
        "one image as two phases",
        spoilt.phase("arterial", ct_voxels()),
        "duplicate image",
        STOPS,
        "are the same image",
    ),
    ("phases in the wrong order", spoilt.times(60, 0), "wrong phase order", STOPS, "60 s after portal"),
    ("phases of two examinations", spoilt.times(0, 864000), "phases of two examinations", LOOK, "10 days after"),
    ("an arterial liver brighter than the portal", spoilt.swapped, "wrong phase order", LOOK, "HU in arterial"),
    ("no modality", spoilt.text("images.yaml", "names: {}\n"), "unknown modality", LOOK, "modality: CT"),
    (
        "a wrong images.yaml",
        spoilt.text("images.yaml", "modalty: CT\n"),
        "images.yaml",
        STOPS,
        "did you mean 'modality'",
    ),
    (
        "a missing slice",
        spoilt.as_series(lambda d: d[:4] + d[5:]),
        "missing slices",
        STOPS,
        "1 slices are missing",
    ),
    ("uneven slices", spoilt.as_series(spoilt.moved), "uneven slices", STOPS, "2 to 4 mm apart"),
    ("repeated slices", spoilt.as_series(spoilt.repeated), "repeated slices", STOPS, "lie where another one lies"),
    (
        "a tilted gantry",
        spoilt.as_series(spoilt.tilted),
        "sheared grid",
        STOPS,
        "shifted sideways by up to 7.2 mm",
    ),
    ("a slice without a place", spoilt.as_series(spoilt.unplaced), "no geometry", STOPS, "has no position"),
    ("pixels cut off", spoilt.as_series(spoilt.cut_pixels), "unreadable pixels", STOPS, "cut off"),
    (
        "two series in one folder",
        spoilt.as_series(spoilt.two_series),
        "mixed series",
        STOPS,
        "hepafed site import",
    ),
    ("burned-in text", spoilt.text_in_ultrasound, "burned-in text", STOPS, "no_text_confirmed_by"),
    (
        "an unknown segment",
        spoilt.seg_of({"Segment_1": ball()}),
        "unknown structure",
        STOPS,
        '"Segment_1": tumour',
    ),
    ("contours between slices", spoilt.contour_between, "geometry mismatch", STOPS, "drawn on another series"),
]


def _faults_of(folder: Path, limits: Limits) -> tuple[Finding, ...]:
    """One patient's, from reading the images and from looking at them."""
    patient = survey_patient(folder)
    return patient.findings + check_images(patient, limits)


def _find(found: tuple[Finding, ...], kind: str) -> list[Finding]:
    return [finding for finding in found if finding.kind == kind]


@pytest.mark.parametrize(
    ("what", "spoil", "kind", "severity", "words"), FAULTS, ids=[fault[0] for fault in FAULTS]
)
def test_a_bad_input_is_found_and_said(
    tmp_path: Path, what: str, spoil: Callable[[Path], object], kind: str, severity: Severity, words: str
) -> None:
    for seed, name in enumerate(("Bad", "Before", "Later")):
        write_patient(tmp_path / name, seed)
    spoil(tmp_path / "Bad")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    started = time.monotonic()
    found = dict(check_folder(tmp_path, limits=LIMITS))
    assert time.monotonic() - started < SECONDS
    assert found["Before"] == found["Later"] == ()
    matching = [finding for finding in _find(found["Bad"], kind) if words in str(finding)]
    assert matching, [str(finding) for finding in found["Bad"]]
    assert matching[0].severity is severity
    assert str(matching[0]).startswith("patient Bad")
    assert len(matching[0].cure) > 5
    assert "Error" not in str(matching[0])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}  # nothing is changed


def test_the_list_is_long_enough() -> None:
    assert len(FAULTS) >= 50


def test_a_healthy_patient_has_no_findings(tmp_path: Path) -> None:
    assert _faults_of(write_patient(tmp_path / "P1"), LIMITS) == ()


def test_slices_thicker_than_the_ring_are_said(tmp_path: Path) -> None:
    found = _faults_of(write_patient(tmp_path / "P1"), Limits(rings_mm=(2.0, 5.0)))
    (finding,) = _find(found, "slices thicker than the ring")
    assert "slices 3 mm apart, rings 2 mm wide" in finding.found


def test_bins_are_counted_where_the_study_fixes_their_width(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "P1")
    wide = ct_voxels().astype(np.int32)
    wide[ball() > 0] = np.random.default_rng(0).integers(0, 65000, int(ball().sum()))
    write(folder / "portal.nii.gz", wide)
    (folder / "images.yaml").write_text("modality: MR\n")
    (finding,) = _find(_faults_of(folder, Limits(bin_widths={"portal": 25.0})), "too many bins")
    assert "at most 1,024" in finding.found
    assert _find(_faults_of(folder, Limits(bin_widths={"portal": 50000.0})), "too few bins")
    assert _faults_of(folder, Limits()) == ()
