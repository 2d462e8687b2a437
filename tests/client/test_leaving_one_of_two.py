"""Leaving one of two studies deletes what that study wrote, and names what stays and why."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from client.approval import approve, approved_now
from client.gate_rules.memory import Memory
from client.leaving import copies_of, leave
from client.own_copies import NOTES, noted_as_copies_of
from client.own_files import write_csv, write_text
from client.site import Site, open_site
from client.store import Store
from common.study import Study
from tests.command import hepafed
from tests.hospitals_on_disk import study

ROSTER = {"alder": "0" * 64}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital that has approved and answered two studies."""
    (tmp_path / "patients.csv").write_text("id,mvi\nA,yes\n", encoding="utf-8")
    site = open_site(tmp_path)
    with closing(Store(site.own)) as store:
        for chosen in (FIRST, SECOND):
            approve(store, approved_now(chosen, ROSTER, "the officer", 100))
            Memory(store).keep_cohort(chosen.hash, chosen.study, "columns", {"A": "0"})
    return site


FIRST, SECOND = study(study="first"), study(study="second")


def written_by(chosen: Study, site: Site, *names: str) -> None:
    with noted_as_copies_of(site.own_folder, chosen):
        for name in names:
            (site.own_folder / name).parent.mkdir(exist_ok=True)
            write_csv(site.own_folder / name, ["id"], [["A"], [chosen.study]])


def there(site: Site) -> set[str]:
    known = ("*.csv", "*.json", "*.md", "attention/*")
    found = {path.relative_to(site.own_folder).as_posix() for name in known for path in site.own_folder.glob(name)}
    return found - {NOTES}


def test_each_study_takes_its_own_copies_with_it_and_the_last_writer_counts(site: Site) -> None:
    written_by(FIRST, site, "predictions.csv", "recalibration.json", "attention/A.png", "attention/B.png")
    written_by(SECOND, site, "predictions.csv", "survival.csv", "attention/B.png")
    left = leave(site, "first")
    assert there(site) == {"predictions.csv", "survival.csv", "attention/B.png"}
    assert {path.name: why for path, why in left.copies.stay} == dict.fromkeys(
        ("predictions.csv", "B.png", "survival.csv"), f"the study second ({SECOND.hash[:12]}…) wrote it"
    )
    leave(site, SECOND.hash)
    assert there(site) == set()
    assert not (site.own_folder / "attention").exists()
    assert not (site.own_folder / NOTES).exists()


def test_what_nobody_noted_or_somebody_changed_stays_and_is_named(site: Site) -> None:
    written_by(FIRST, site, "predictions.csv", "recalibration.json")
    with (site.own_folder / "predictions.csv").open("a", encoding="utf-8") as file:
        file.write("by hand\n")
    write_text(site.own_folder / "worth_joining.md", "of an earlier version, which noted nothing")
    left = leave(site, "first")
    assert there(site) == {"predictions.csv", "worth_joining.md"}
    for _, why in left.copies.stay:
        assert "first or second; look into it, and delete it by hand if it is of first" in why


def test_what_nobody_noted_goes_where_no_other_study_was_ever_answered(tmp_path: Path) -> None:
    site = open_site(tmp_path)
    with closing(Store(site.own)) as store:
        approve(store, approved_now(FIRST, ROSTER, "the officer", 100))
        approve(store, approved_now(SECOND, ROSTER, "the officer", 100))
        Memory(store).keep_cohort(FIRST.hash, FIRST.study, "columns", {"A": "0"})
    write_text(site.own_folder / "predictions.csv", "of an earlier version")
    assert copies_of(site, "second").go == ()
    leave(site, "first")
    assert there(site) == set()


def test_what_was_written_before_an_error_is_noted_too(site: Site) -> None:
    def broken() -> None:
        with noted_as_copies_of(site.own_folder, FIRST):
            write_csv(site.own_folder / "predictions.csv", ["id"], [["A"]])
            raise OSError("no space is left")

    with pytest.raises(OSError, match="no space"):
        broken()
    assert [path.name for path in copies_of(site, "first").go] == ["predictions.csv"]


def test_a_spoilt_note_deletes_nothing(site: Site) -> None:
    written_by(FIRST, site, "predictions.csv")
    for spoilt in ("{", "[]", '{"predictions.csv": {"study": "first"}}', '{"predictions.csv": 1}'):
        (site.own_folder / NOTES).write_text(spoilt)
        assert copies_of(site, "first").go == ()


def test_a_study_that_was_never_here_is_not_asked_about(site: Site) -> None:
    said = hepafed("site", "leave", "frist", site.folder)
    assert said.exit_code == 1
    assert "was ever approved here" in " ".join(said.output.split())
    assert "for good?" not in said.output


def test_the_command_says_beforehand_what_goes_and_what_stays(site: Site) -> None:
    written_by(FIRST, site, "predictions.csv", "attention/A.png", "attention/B.png")
    written_by(SECOND, site, "survival.csv")
    said = hepafed("site", "leave", "first", site.folder, "--yes")
    assert said.exit_code == 0, said.output
    before, _, after = said.output.partition("Left: ")
    assert "copies of results: predictions.csv, attention/ (2 pictures)" in before
    assert f"survival.csv: the study second ({SECOND.hash[:12]}…) wrote it" in before
    assert "Deleted in " in after
    assert there(site) == {"survival.csv"}
    assert os.stat(site.own_folder / NOTES).st_mode & 0o077 == 0
