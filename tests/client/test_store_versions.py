"""A store outlives updates: an older one is brought up to date, a newer one is left alone, a lost key is told of."""

import threading
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import store_versions
from client.backup import back_up, restore
from client.doctor import examine
from client.identity import Identity
from client.ledger import Ledger, head
from client.sealing import OwnFolder, connect
from client.site import open_site
from client.store import Store
from client.store_versions import newest, version_of
from common.errors import HospitalError
from deploy.cli import app
from tests.client.kept_ledger import leaving

STEP = ("ALTER TABLE studies ADD COLUMN read_at TEXT NOT NULL DEFAULT 'never'",)
PASSPHRASE = "correct horse battery staple"
BEFORE = newest()
"""Without the step that a test adds."""


def version(own: OwnFolder) -> int:
    with closing(connect(own, read_only=True)) as database:
        return version_of(database)


def as_before_versions(own: OwnFolder) -> None:
    """A store as it was written when versions were not counted."""
    with closing(Store(own)) as store:
        store.keep_study("hash", "content")
        store.run("PRAGMA user_version = 0")


def test_a_new_store_has_the_newest_version(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "own")
    Store(own).close()
    assert version(own) == newest() == BEFORE


def test_a_store_from_before_versions_were_counted_keeps_everything(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "own")
    as_before_versions(own)
    with closing(Store(own)) as store:
        assert store.study("hash") == "content"
    assert version(own) == newest()


def test_a_table_is_changed_once_however_often_and_by_how_many_the_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnFolder(tmp_path / "own")
    as_before_versions(own)
    monkeypatch.setattr(store_versions, "STEPS", (*store_versions.STEPS, STEP))
    failed: list[Exception] = []

    def open_it() -> None:
        try:
            Store(own).close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with closing(Store(own)) as store:
        assert store.all("SELECT * FROM studies") == [("hash", "content", "never")]
    assert version(own) == newest() == BEFORE + 1


def test_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnFolder(tmp_path / "own")
    as_before_versions(own)
    with monkeypatch.context() as broken:
        broken.setattr(store_versions, "STEPS", (*store_versions.STEPS, (*STEP, "UPDATE nowhere SET a = 1")))
        with pytest.raises(Exception, match="nowhere"):
            Store(own)
        assert version(own) == BEFORE
    monkeypatch.setattr(store_versions, "STEPS", (*store_versions.STEPS, STEP))
    with closing(Store(own)) as store:
        assert store.all("SELECT read_at FROM studies") == [("never",)]


def test_a_newer_store_is_refused_in_words_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    folder.mkdir()
    (folder / "patients.csv").write_text("id\nA\n", encoding="utf-8")
    site = open_site(folder)
    with closing(Store(site.own)) as store:
        store.run(f"PRAGMA user_version = {newest() + 1}")
    with pytest.raises(HospitalError, match="newer Hepafed") as refused:
        Store(site.own)
    assert "install that Hepafed again" in str(refused.value)
    assert version(site.own) == newest() + 1
    said = CliRunner().invoke(app, ["site", "ledger", str(folder)])
    assert said.exit_code == 2
    assert "newer Hepafed" in " ".join(said.output.split())


def test_a_backup_of_an_older_version_is_brought_up_to_date_when_it_is_put_back(tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    folder.mkdir()
    site = open_site(folder)
    as_before_versions(site.own)
    back_up(site, tmp_path / "backup", PASSPHRASE)
    site.own_folder.rename(tmp_path / "aside")
    restore(site, tmp_path / "backup", PASSPHRASE)
    assert version(site.own) == newest()
    with closing(Store(site.own)) as store:
        assert store.study("hash") == "content"


@pytest.mark.parametrize("lost", ["store.key", "identity.key"])
def test_a_lost_key_is_told_of_with_its_cure_and_comes_back_from_the_backup(lost: str, tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    folder.mkdir()
    (folder / "patients.csv").write_text("id,mvi\nA,yes\n", encoding="utf-8")
    site = open_site(folder)
    fingerprint = Identity.open(site.own).fingerprint
    with closing(Store(site.own)) as store:
        ledger = Ledger(store, Identity.open(site.own))
        ledger.sent(ledger.prepare(leaving()))
        before = head(store)
    back_up(site, tmp_path / "backup", PASSPHRASE)
    (site.own_folder / lost).unlink()
    finding = next(found for found in examine(site) if found.what == "own folder")
    assert finding.level == "broken"
    assert lost in finding.found
    assert "restore" in finding.cure
    with pytest.raises(HospitalError, match=lost):
        Identity.open(site.own)
    refused = CliRunner().invoke(app, ["site", "ledger", str(folder), "--verify"])
    assert refused.exit_code == 2
    assert lost in refused.output.replace("\n", "")
    assert not (site.own_folder / lost).exists(), "no new key in the place of the lost one"

    site.own_folder.rename(tmp_path / "aside")
    restore(site, tmp_path / "backup", PASSPHRASE)
    finding = next(found for found in examine(site) if found.what == "own folder")
    assert finding.level == "well"
    assert Identity.open(site.own).fingerprint == fingerprint
    assert "none edited" in CliRunner().invoke(app, ["site", "ledger", str(folder), "--verify"]).output
    with closing(Store(site.own)) as store:
        assert head(store) == before
