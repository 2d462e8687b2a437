"""`hepafed site import`, as a hospital types it: a plan first, images after it, and nobody's identity on the way."""

import csv
import gzip
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from client.cohort.pseudonyms import open_key
from deploy import cli_import
from tests.client.images_on_disk import ball, ct_voxels, save, seg, series, uid
from tests.command import Result, hepafed

REAL = Path(__file__).parents[3] / "shared" / "data" / "dicom"
BOLUS = {"ContrastBolusAgent": "IOHEXOL"}
CHEN = {"PatientName": "Chen^Other", "PatientID": "H0099999", "StudyInstanceUID": uid("chen")}
IDENTITY = ("liang", "h0012345", "chen", "h0099999", "a778899", "19600131", "hospital of the test")


def bring(export: Path, into: Path, *arguments: object, answer: str | None = None) -> Result:
    return hepafed("site", "import", export, "--into", into, *arguments, typed=answer)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Liang with an arterial and a portal phase and a SEG of it, Chen with one phase, and a file that is neither."""
    arterial = series(ct_voxels(1), "a", SeriesDescription="Abd ART Liang", AcquisitionTime="080530", **BOLUS)
    portal = series(ct_voxels(2), "p", SeriesDescription="portal", AcquisitionTime="080610", **BOLUS)
    chen = series(ct_voxels(3), "c", SeriesDescription="PV venous", **BOLUS, **CHEN)
    for name, datasets in (("Liang/a", arterial), ("Liang/p", portal), ("Chen", chen)):
        save(tmp_path / "export" / name, datasets)
    seg(portal, {"Tumor": ball(), "Cyst": ball((5, 8, 8), 2)}).save_as(tmp_path / "export" / "seg.dcm")
    (tmp_path / "export" / "report Chen.pdf").write_bytes(b"%PDF")
    return tmp_path / "export"


def edit(plan: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    with plan.open(newline="", encoding="utf-8-sig") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with plan.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)


def pseudonyms(into: Path) -> tuple[str, str]:
    key = open_key(into / ".hepafed" / "pseudonym.key")
    return key.of("H0012345"), key.of("H0099999")


def test_the_first_call_shows_a_plan_and_imports_nothing(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    first = bring(export, into)
    assert first.exit_code == 0, first.output
    assert not (into / "images").exists()
    assert stat.S_IMODE((into / "import_plan.csv").stat().st_mode) == 0o600
    liang, _ = pseudonyms(into)
    assert f"yes  {liang}  arterial  CT Abd ART …  32×28×10  1.5×1.5×3 mm" in first.output
    assert "To be imported: 3 images and 1 mask of 2 patients; lines that say no: 1" in first.output
    assert "Nothing is imported yet. Edit the plan" in first.output
    assert f"hepafed site import {export} --into {into} --plan {into / 'import_plan.csv'}" in first.output
    assert "Back it up inside the hospital" in first.output
    again = bring(export, into)
    assert again.exit_code == 2
    assert "import_plan.csv is there already: add --plan" in again.output


def test_the_second_call_imports_the_edited_plan_and_says_what_became_of_it(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    plan = tmp_path / "plan.csv"
    assert bring(export, into, "--plan", plan).exit_code == 0
    liang, chen = pseudonyms(into)
    edit(plan, lambda row: row | {"import": "yes", "name": "tumour_2"} if row["description"] == "Cyst" else row)
    edit(plan, lambda row: row | {"import": "no"} if row["patient"] == chen else row)
    second = bring(export, into, "--plan", plan)
    assert second.exit_code == 0, second.output
    assert f"{liang}: arterial, portal, portal_tumour, portal_tumour_2 (ACME Scan 7)" in second.output
    assert "1 patient imported, 4 files: images and masks" in second.output
    assert "left out by the plan: 1 × the plan says no" in second.output
    assert f"without any image in the plan: {chen}" in second.output
    assert f"hepafed site check {into}" in second.output
    assert sorted(path.name for path in (into / "images").iterdir()) == [liang]
    assert stat.S_IMODE((into / "images" / liang).stat().st_mode) == 0o700
    own = into / ".hepafed"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in own.iterdir()} == {
        "pseudonym.key": 0o600,
        "identities.csv": 0o600,
    }
    assert (own / "identities.csv").read_text("utf-8-sig").splitlines() == ["patient_id,id", f"H0012345,{liang}"]
    checked = hepafed("site", "check", into)
    assert "1 patient checked" in checked.output
    assert "unreadable" not in checked.output


def test_a_script_confirms_with_yes_and_nothing_tells_who_the_patients_are(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    done = bring(export, into, "--yes")
    assert done.exit_code == 0, done.output
    assert "2 patients imported, 4 files: images and masks" in done.output
    assert not (into / "import_plan.csv").exists()
    written = [path for path in (into / "images").rglob("*") if path.is_file()]
    assert len(written) == 4 + 3
    for path in written:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for word in IDENTITY:
            assert word.encode() not in content.lower()
            assert word not in str(path.relative_to(into)).casefold()
            assert word not in done.output.casefold().replace(str(tmp_path).casefold(), "")


def test_a_patient_who_is_there_is_not_touched_and_the_exit_code_says_so(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    bring(export, into, "--yes")
    liang, chen = pseudonyms(into)
    (into / "images" / chen / "tumour.nii.gz").write_bytes(b"drawn by hand")
    (into / "images" / liang).rename(tmp_path / "away")
    again = bring(export, into, "--yes")
    assert again.exit_code == 1
    assert f"{chen} is in images/ already and will not be touched" in again.output
    assert "is there already; move it away to import again" in again.output
    assert "1 patient imported" in again.output
    assert (into / "images" / chen / "tumour.nii.gz").read_bytes() == b"drawn by hand"
    assert pseudonyms(into) == (liang, chen)  # the same key, the same pseudonyms


@pytest.mark.parametrize(("answer", "imported"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_the_plan_can_be_confirmed_at_once(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, imported: bool
) -> None:
    monkeypatch.setattr(cli_import, "somebody_answers", lambda console: True)
    done = bring(export, tmp_path / "north", answer=answer)
    assert done.exit_code == 0, done.output
    assert "Import this as it stands?" in done.output
    assert (tmp_path / "north" / "images").exists() is imported
    assert ("Nothing is imported yet" in done.output) is not imported
    assert (tmp_path / "north" / "import_plan.csv").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row | {"name": "portl"}, "is no phase; did you mean portal?"),
        (lambda row: row | {"import": "perhaps"}, "import is 'perhaps'; write yes or no"),
        (lambda row: row | {"name": "portal"}, "has portal twice"),
        (lambda row: row | {"series": "XXXXXX"}, "the series 'XXXXXX' is not in the export; make the plan again"),
        (lambda row: row | {"import": "no"}, "no line says yes in the column import"),
        (lambda row: {"something": "else"}, "the plan lacks"),
    ],
)
def test_a_plan_that_was_edited_wrongly_is_refused_before_anything_is_written(
    export: Path, tmp_path: Path, change: Callable[[dict[str, str]], dict[str, str]], words: str
) -> None:
    into, plan = tmp_path / "north", tmp_path / "plan.csv"
    bring(export, into, "--plan", plan)
    edit(plan, change)
    refused = bring(export, into, "--plan", plan)
    assert refused.exit_code == 2, refused.output
    assert words in refused.output
    assert "Traceback" not in refused.output
    assert not (into / "images").exists()


def test_an_export_without_dicom_and_other_wrong_calls_are_said(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "letter.txt").write_text("dear colleague")
    save(into / "images" / "raw", series(ct_voxels()))
    for folder, words in (
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path / "papers", "no DICOM image with a PatientID among 1 files"),
        (into / "images" / "raw", "where imported images go: move the export elsewhere"),
    ):
        refused = bring(folder, into, "--yes")
        assert refused.exit_code == 2, refused.output
        assert words in refused.output
        assert "Traceback" not in refused.output
    (into / "site.yaml").write_text("own_folder: images/own\n")
    refused = bring(export, into, "--yes")
    assert refused.exit_code == 2
    assert "must lie apart from images; change own_folder in site.yaml" in refused.output
    assert not (into / "images" / "own").exists()


def test_a_key_that_others_can_read_is_refused(export: Path, tmp_path: Path) -> None:
    into = tmp_path / "north"
    bring(export, into)
    (into / ".hepafed" / "pseudonym.key").chmod(0o644)
    refused = bring(export, into, "--yes")
    assert refused.exit_code == 2
    assert "others can read the key of the pseudonyms (mode 644); run: chmod 600" in refused.output
    assert not (into / "images").exists()


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_imported(export: Path, tmp_path: Path) -> None:
    one = next((export / "Liang" / "p").iterdir())
    one.write_bytes(one.read_bytes()[:-300])
    (export / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 20)
    done = bring(export, tmp_path / "north", "--yes")
    assert done.exit_code == 1
    assert "Left out: broken.dcm: the file is no readable DICOM" in done.output
    assert "Not imported: patient " in done.output
    assert "2 patients imported, 2 files: images and masks" in done.output


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not here")
def test_a_real_series_with_a_seg_is_imported_and_checked(tmp_path: Path) -> None:
    into, plan = tmp_path / "north", tmp_path / "plan.csv"
    first = bring(REAL / "ct_liver_seg", into, "--plan", plan)
    assert "512×512×3  0.811×0.811×1 mm  only 3 slices" in first.output
    chosen = {"CT": "portal", "SEG": "liver"}
    edit(plan, lambda row: row | {"import": "yes", "name": chosen[row["modality"]]})
    assert "2 files: images and masks" in bring(REAL / "ct_liver_seg", into, "--plan", plan).output
    checked = hepafed("site", "check", into)
    assert "a liver of 70 cm³" in checked.output  # 107,098 voxels of 0.811 × 0.811 × 1 mm
    assert "there is no usable mask of the tumour" in checked.output


def test_help_has_an_example() -> None:
    said = " ".join(hepafed("site", "import", "--help").output.split())
    assert "hepafed site import /media/export --into HOSPITAL" in said
