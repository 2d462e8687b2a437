"""A PACS export, sorted, confirmed and imported; nobody's identity gets through."""

import csv
import gzip
import stat
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.images import read_patient
from client.cohort.import_plan import PlanRow, make_plan
from client.cohort.pacs_import import Imported, import_patients
from client.cohort.pacs_scan import Scan, scan_export
from client.cohort.plan_file import read_plan, write_plan
from client.cohort.pseudonyms import Pseudonyms, open_key, write_identities
from common.errors import HospitalError
from tests.client.images_on_disk import MR_CLASS, SHAPE, ball, ct_voxels, rtstruct, save, seg, series, uid
from tests.client.pictures_on_disk import ultrasound

KEY = Pseudonyms(bytes(range(32)))
LIANG, CHEN = KEY.of("H0012345"), KEY.of("H0099999")
IDENTITY = (
    "liang",
    "h0012345",
    "a778899",
    "19600131",
    "sn4711",
    "hospital of the test",
    "chen",
    "h0099999",
    "20240102",
)
_CHEN = {
    "PatientName": "Chen^Other",
    "PatientID": "H0099999",
    "AccessionNumber": "A5",
    "PatientBirthDate": "19700101",
}


def _export(folder: Path) -> Path:
    """Two patients under file names that tell who they are."""
    bolus = {"ContrastBolusAgent": "IOHEXOL"}
    arterial = series(ct_voxels(1), "a", SeriesDescription="Abd ART 1.5 Liang", AcquisitionTime="080530", **bolus)
    portal = series(ct_voxels(2), "p", SeriesDescription="门脉期", AcquisitionTime="080610", **bolus)
    sharp = series(
        ct_voxels(3), "s", SeriesDescription="门脉期 bone", AcquisitionTime="080610", ConvolutionKernel="B70s"
    )
    scout = series(
        ct_voxels(4)[:2], "l", SeriesDescription="Topogram", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    for name, datasets in (("art", arterial), ("pv", portal), ("sharp", sharp), ("scout", scout)):
        save(folder / "Liang_Example" / name, datasets)
    seg(portal, {"Tumor": ball(), "Cyst": ball((5, 8, 8), 2)}).save_as(folder / "Liang_Example" / "seg.dcm")
    square = np.array([(0.0, 0.0, 55.0), (9.0, 0.0, 55.0), (9.0, 9.0, 55.0), (0.0, 9.0, 55.0)])
    rtstruct({"GTV": [square]}, arterial[0]).save_as(folder / "Liang_Example" / "rt.dcm", enforce_file_format=True)
    for name, text, b_value in (
        ("t2", "T2 HASTE", None),
        ("dwi", "ep2d_diff b800", 800.0),
        ("hbp", "VIBE HBP 20min", None),
    ):
        tags = {**_CHEN, "SeriesDescription": text, "DiffusionBValue": b_value, "StudyInstanceUID": uid("chen")}
        save(folder / "Chen" / name, series(ct_voxels(5), name, sop_class=MR_CLASS, intercept=0, **tags))
    (folder / "Chen" / "report Chen.pdf").write_bytes(b"%PDF")
    return folder


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return _export(tmp_path / "export")


def _taken(plan: list[PlanRow]) -> list[tuple[str, str, str]]:
    return sorted((row.patient, row.name, row.modality) for row in plan if row.taken)


def _edit(path: Path, **changes: dict[str, str]) -> None:
    """Change cells of the plan: column → {description: text}."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for column, by_description in changes.items():
        for row in rows:
            if row["description"] in by_description:
                row["import" if column == "take" else column] = by_description[row["description"]]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def _import(scan: Scan, plan: list[PlanRow], images: Path) -> dict[str, Imported]:
    return {done.patient: done for done in import_patients(scan, plan, images)}


def test_the_plan_proposes_phases_masks_and_leaves_out_the_rest(export: Path) -> None:
    plan = make_plan(scan_export(export, KEY))
    assert _taken(plan) == sorted(
        [
            (LIANG, "arterial", "CT"),
            (LIANG, "portal", "CT"),
            (LIANG, "tumour", "RTSTRUCT"),
            (LIANG, "tumour", "SEG"),
            (CHEN, "t2", "MR"),
            (CHEN, "dwi_b800", "MR"),
            (CHEN, "hepatobiliary", "MR"),
        ]
    )
    reasons = {row.description: row.reason for row in plan if not row.taken}
    assert reasons["门脉期 bone"] == "another reconstruction of portal"
    assert reasons["Topogram"] == "a localiser, reformat or report"
    assert reasons["Cyst"].startswith("say which mask this is")
    assert "Abd ART 1.5 …" in {row.description for row in plan}


def test_a_confirmed_plan_becomes_images_that_read_back_exactly(export: Path, tmp_path: Path) -> None:
    scan = scan_export(export, KEY)
    write_plan(tmp_path / "plan.csv", make_plan(scan))
    assert stat.S_IMODE((tmp_path / "plan.csv").stat().st_mode) == 0o600
    _edit(tmp_path / "plan.csv", take={"Cyst": "yes"}, name={"Cyst": "tumour_2"})
    plan = read_plan(tmp_path / "plan.csv", make_plan(scan))
    done = _import(scan, plan, tmp_path / "images")
    assert [finding for result in done.values() for finding in result.findings] == []
    assert done[LIANG].scanner == "ACME Scan 7"
    patient = read_patient(tmp_path / "images" / LIANG)
    assert set(patient.phases) == {"arterial", "portal"}
    assert np.array_equal(sitk.GetArrayFromImage(patient.phases["portal"].image), ct_voxels(2))
    assert np.array_equal(sitk.GetArrayFromImage(patient.phases["portal"].masks["tumour"]), ball())
    assert np.array_equal(sitk.GetArrayFromImage(patient.phases["portal"].masks["tumour_2"]), ball((5, 8, 8), 2))
    assert "tumour" in patient.phases["arterial"].drawn_here
    assert patient.phases["portal"].modality == "CT"
    assert patient.phases["portal"].seconds_after_first == 40
    assert sorted(path.name for path in (tmp_path / "images" / CHEN).glob("*.nii.gz")) == [
        "dwi_b800.nii.gz",
        "hepatobiliary.nii.gz",
        "t2.nii.gz",
    ]


def test_no_byte_of_what_is_written_tells_who_the_patients_are(export: Path, tmp_path: Path) -> None:
    scan = scan_export(export, KEY)
    (tmp_path / "out").mkdir()
    write_plan(tmp_path / "out" / "plan.csv", make_plan(scan))
    _import(scan, make_plan(scan), tmp_path / "out" / "images")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for word in IDENTITY:
            assert word.encode() not in content.lower(), (path, word)
            assert word not in str(path.relative_to(tmp_path)).casefold()


def test_a_patient_that_cannot_be_imported_does_not_stop_the_others(export: Path, tmp_path: Path) -> None:
    one = next((export / "Liang_Example" / "pv").iterdir())
    content = one.read_bytes()
    one.write_bytes(content[: len(content) - 300])
    scan = scan_export(export, KEY)
    done = _import(scan, make_plan(scan), tmp_path / "images")
    (finding,) = done[LIANG].findings
    assert finding.kind == "unreadable pixels"
    assert set(done[LIANG].files) >= {"arterial.nii.gz"}
    assert "portal.nii.gz" not in done[LIANG].files
    assert len(done[CHEN].files) == 3


def test_what_is_there_already_is_not_touched(export: Path, tmp_path: Path) -> None:
    scan = scan_export(export, KEY)
    _import(scan, make_plan(scan), tmp_path / "images")
    (tmp_path / "images" / CHEN / "tumour.nii.gz").write_bytes(b"drawn by hand")
    done = _import(scan, make_plan(scan), tmp_path / "images")
    assert done[CHEN].files == ()
    assert done[CHEN].findings[0].kind == "imported already"
    assert (tmp_path / "images" / CHEN / "tumour.nii.gz").read_bytes() == b"drawn by hand"
    assert not list((tmp_path / "images").glob(".*"))


FAULTS = [
    ({"name": {"门脉期": "portl"}}, r"line \d+: 'portl' is no phase; did you mean portal\?"),
    ({"name": {"门脉期": "zhang_san"}}, "'zhang_san' is no phase"),
    ({"name": {"门脉期": "arterial"}}, r"has arterial twice \("),
    ({"name": {"Tumor": "portal_tumour"}}, "'portal_tumour' is no mask"),
    ({"take": {"门脉期": "maybe"}}, "import is 'maybe'; write yes or no"),
    ({"take": {"门脉期": "no"}}, "which is not imported; write yes there or no here"),
    ({"series": {"门脉期": "XXXXXX"}}, "the series 'XXXXXX' is not in the export"),
]


@pytest.mark.parametrize(("changes", "said"), FAULTS)
def test_a_plan_that_cannot_be_done_is_refused_before_anything_is_written(
    export: Path, tmp_path: Path, changes: dict, said: str
) -> None:
    proposed = make_plan(scan_export(export, KEY))
    write_plan(tmp_path / "plan.csv", proposed)
    _edit(tmp_path / "plan.csv", **changes)
    with pytest.raises(HospitalError, match=said):
        read_plan(tmp_path / "plan.csv", proposed)


def test_a_plan_that_is_no_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.csv").write_text("a,b\n1,2\n")
    with pytest.raises(HospitalError, match="make the plan again"):
        read_plan(tmp_path / "plan.csv", [])


def test_ct_without_names_is_ordered_by_contrast_and_time(tmp_path: Path) -> None:
    for number, (time, agent) in enumerate(
        (("080000", None), ("080100", "IOHEXOL"), ("080140", "IOHEXOL"), ("080400", "IOHEXOL"))
    ):
        tags = {"SeriesDescription": "Abdomen", "AcquisitionTime": time, "ContrastBolusAgent": agent}
        save(tmp_path / str(number), series(ct_voxels(number), f"s{number}", **tags))
    plan = make_plan(scan_export(tmp_path, KEY))
    assert [(row.name, row.taken) for row in plan] == [
        (name, True) for name in ("native", "arterial", "portal", "delayed")
    ]
    assert "please look" in plan[1].reason


def test_the_time_since_the_contrast_agent_tells_the_phase(tmp_path: Path) -> None:
    for number, time in enumerate(("080030", "080110", "080300")):
        tags = {"SeriesDescription": "x", "AcquisitionTime": time, "ContrastBolusStartTime": "080000"}
        save(tmp_path / str(number), series(ct_voxels(number), f"s{number}", **tags))
    plan = make_plan(scan_export(tmp_path, KEY))
    assert [row.name for row in plan] == ["arterial", "portal", "delayed"]
    assert plan[0].reason == "30 s after the contrast agent"


def test_of_two_examinations_one_is_proposed(export: Path) -> None:
    later = {"StudyInstanceUID": uid("later"), "StudyDate": "20250102", "SeriesDescription": "portal"}
    save(export / "again", series(ct_voxels(7), "later", **later))
    plan = make_plan(scan_export(export, KEY))
    assert {row.study for row in plan if row.patient == LIANG and row.taken} == {1}
    (other,) = (row for row in plan if row.study == 2)
    assert other.reason == "examination 1 has more phases"


def test_ultrasound_is_imported_only_after_a_person_looked(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 40, 50)).astype(np.uint8)
    save(tmp_path / "export", [ultrasound(pixels, burned_in="YES", SeriesDescription="CEUS liver")])
    scan = scan_export(tmp_path / "export", KEY)
    proposed = make_plan(scan)
    assert (proposed[0].name, proposed[0].crop_px) == ("ceus", "2 4 46 36")
    (refused,) = import_patients(scan, proposed, tmp_path / "images")
    assert refused.files == ()
    assert refused.findings[0].kind == "burned-in text"
    write_plan(tmp_path / "plan.csv", proposed)
    decisions = {"frames": "arterial=2 portal=5", "no_text_confirmed_by": "LW"}
    _edit(tmp_path / "plan.csv", **{column: {"CEUS liver": text} for column, text in decisions.items()})
    plan = read_plan(tmp_path / "plan.csv", proposed)
    (done,) = import_patients(scan, plan, tmp_path / "images")
    assert done.files == ("ceus_arterial.nii.gz", "ceus_portal.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "images" / LIANG / "ceus_portal.nii.gz"))
    assert image.GetDimension() == 2
    assert np.array_equal(sitk.GetArrayFromImage(image), pixels[4, 4:40, 2:48])
    np.testing.assert_allclose(image.GetSpacing(), (0.2, 0.3), rtol=1e-6)
    _edit(tmp_path / "plan.csv", crop_px={"CEUS liver": "a b"})
    with pytest.raises(HospitalError, match="frames or crop_px cannot be read"):
        read_plan(tmp_path / "plan.csv", proposed)


def test_files_that_tell_no_patient_and_files_twice_are_named(tmp_path: Path) -> None:
    datasets = series(ct_voxels(), PatientID=None)
    save(tmp_path / "a", datasets[:1])
    save(tmp_path / "b", series(ct_voxels(1), "p"))
    save(tmp_path / "c", series(ct_voxels(1), "p")[:1])
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 20)
    scan = scan_export(tmp_path, KEY)
    said = "\n".join(scan.left_out)
    assert "it has no PatientID" in said
    assert "twice" in said
    assert "broken.dcm: the file is no readable DICOM" in said
    assert [volume.slices for study in scan.studies for volume in study.volumes] == [SHAPE[0]]


def test_a_pseudonym_needs_the_key_and_stays_the_same(tmp_path: Path) -> None:
    first = open_key(tmp_path / "own" / "pseudonym.key")
    again = open_key(tmp_path / "own" / "pseudonym.key")
    assert stat.S_IMODE((tmp_path / "own" / "pseudonym.key").stat().st_mode) == 0o600
    assert first.of("12345") == again.of(" 12345 ")
    assert first.of("12345") != Pseudonyms(b"x" * 32).of("12345")
    assert len({first.of(str(number)) for number in range(5000)}) == 5000
    (tmp_path / "own" / "pseudonym.key").chmod(0o640)
    with pytest.raises(HospitalError, match=r"others can read the key.*chmod 600"):
        open_key(tmp_path / "own" / "pseudonym.key")
    (tmp_path / "own" / "pseudonym.key").chmod(0o600)
    (tmp_path / "own" / "pseudonym.key").write_text("short")
    with pytest.raises(HospitalError, match="restore it from the backup"):
        open_key(tmp_path / "own" / "pseudonym.key")


def test_the_list_of_who_is_who_grows_and_is_private(tmp_path: Path) -> None:
    write_identities(tmp_path / "who.csv", {"H2": KEY.of("H2")})
    write_identities(tmp_path / "who.csv", {"H1": KEY.of("H1")})
    assert stat.S_IMODE((tmp_path / "who.csv").stat().st_mode) == 0o600
    with (tmp_path / "who.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file)) == [["patient_id", "id"], ["H1", KEY.of("H1")], ["H2", KEY.of("H2")]]
