"""The page of `hepafed site check --html`: a picture a patient and phase, private, escaped."""

import html
import re
import stat
from pathlib import Path

from tests.client.images_on_disk import ball, ct_voxels, liver, write
from tests.deploy.checked_hospital import FEATURES, check, hospital, study_file


def test_the_page_shows_a_picture_a_patient_and_phase_and_is_private(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north", P1={"age": "190"})
    write(folder / "images" / "P0" / "arterial.nii.gz", ct_voxels(8, ball((5, 14, 16))))
    write(folder / "images" / "P0" / "liver.nii.gz", liver())
    (folder / "images" / "P2" / "tumour.nii.gz").unlink()
    page = tmp_path / "check.html"
    found = check(folder, "--html", page)
    assert found.exit_code == 1
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text(encoding="utf-8")
    assert "This page shows patients: it stays in the hospital" in text
    assert text.count('src="data:image/png;base64,') == text.count("<img ") == 4
    assert text.count('loading="lazy"') == 4
    assert not re.search(r"<script|https?://|@import|url\(", text)
    described = re.findall(r'alt="([^"]*)"', text)
    assert "CT, arterial: tumour in red, ring of 5 mm in yellow, liver in blue" in described
    assert "CT, portal: no tumour" in described
    assert not any(re.search(r"P\d", words) for words in described)
    assert text.count('<th scope="rowgroup"') == 3
    assert text.count('<th scope="col">') == 2 * 6
    assert "190 years lies outside what is plausible" in html.unescape(text)
    assert text.index("Stopped: 1 patient") < text.index("To look at: 2 patients")
    assert 300 * len(text) / 4 < 40e6  # a page of 300 pictures can be opened


def test_a_page_is_not_replaced_unasked_and_escapes_what_files_say(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north")
    (folder / "images" / "P1" / "<script>.nii.gz").write_bytes(b"")
    page = tmp_path / "check.html"
    page.write_text("mine")
    refused = check(folder, "--html", page)
    assert refused.exit_code == 2
    assert "add --overwrite to replace it" in refused.output
    assert page.read_text() == "mine"
    check(folder, "--html", page, "--overwrite")
    assert "<script" not in page.read_text(encoding="utf-8")


def test_the_widest_ring_of_the_study_is_drawn(tmp_path: Path) -> None:
    folder = hospital(tmp_path / "north", 1)
    page = tmp_path / "check.html"
    asked = study_file(tmp_path, features=FEATURES | {"ring_mm": [3, 8]})
    check(folder, "--html", page, "--study", asked)
    assert "ring of 8 mm in yellow" in page.read_text(encoding="utf-8")
