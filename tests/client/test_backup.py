"""A backup brings a hospital back as it was, with nothing approved; and opens for its passphrase alone."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from client.app import Whereabouts
from client.approval import revoke
from client.backup import MAGIC, PIECE_BYTES, back_up, restore
from client.identity import Identity
from client.leaving import Copies, Left, leave
from client.ledger import START, Ledger, entries, head
from client.site import Site, open_site
from client.store import Store
from common.errors import HepafedError
from tests.approved import approve_here
from tests.client.kept_ledger import leaving
from tests.hospitals_on_disk import study

PASSPHRASE = "correct horse battery staple"
ROSTER = ("alder", "birch", "cedar")


def hospital(folder: Path) -> Site:
    """A hospital that has approved a study, joined a consortium, and sent an answer."""
    folder.mkdir(parents=True)
    (folder / "patients.csv").write_text("id,mvi\nA,yes\n", encoding="utf-8")
    site = open_site(folder)
    approve_here(Whereabouts(folder, site.own_folder), study(), [site.name, *ROSTER[1:]])
    with closing(Store(site.own)) as store:
        ledger = Ledger(store, Identity.open(site.own))
        ledger.sent(ledger.prepare(leaving()))
    for name, content in {"connection.json": "{}", "tls.key": "key", "node.key": "node", "ca.crt": "ca"}.items():
        (site.own_folder / name).write_text(content, encoding="utf-8")
        (site.own_folder / name).chmod(0o600)
    (site.own_folder / "predictions.csv").write_text("id\nA\n", encoding="utf-8")
    return site


def test_a_restored_hospital_is_the_same_and_has_approved_nothing(tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    fingerprint = Identity.open(site.own).fingerprint
    with closing(Store(site.own)) as store:
        before = head(store)
        assert before != START
    done = back_up(site, tmp_path / "backup", PASSPHRASE)
    assert {"store.sqlite", "store.key", "identity.key", "tls.key", "node.key", "connection.json"} <= set(
        done.names
    )
    assert "tls.crt" in done.without
    site.own_folder.rename(tmp_path / "lost")
    revoked = restore(site, tmp_path / "backup", PASSPHRASE)
    assert revoked == [study().study]
    assert Identity.open(site.own).fingerprint == fingerprint
    with closing(Store(site.own)) as store:
        assert head(store) == before
        assert len(entries(store)) == 2
        assert revoke(store, study().study) == [], "an approval still held"
    assert not (site.own_folder / "predictions.csv").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.own_folder.iterdir() if path.suffix == ".key")


def test_a_backup_is_unreadable_without_its_passphrase_and_shows_nothing(tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    back_up(site, tmp_path / "backup", PASSPHRASE)
    content = (tmp_path / "backup").read_bytes()
    assert content.startswith(MAGIC)
    assert b"store.key" not in content
    assert (site.own_folder / "store.key").read_bytes().strip() not in content
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    site.own_folder.rename(tmp_path / "aside")
    with pytest.raises(HepafedError, match="passphrase is another one"):
        restore(site, tmp_path / "backup", "another passphrase")
    assert not site.own.store.exists()


@pytest.mark.parametrize("damage", ["changed", "cut", "pieces swapped", "no backup"])
def test_a_damaged_backup_restores_nothing(damage: str, tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    (site.own_folder / "allowed_apps").write_bytes(b"# " + os.urandom(2 * PIECE_BYTES).hex().encode())
    back_up(site, tmp_path / "backup", PASSPHRASE)
    content = bytearray((tmp_path / "backup").read_bytes())
    start, piece = len(MAGIC) + 16, 5 + PIECE_BYTES + 16
    if damage == "changed":
        content[-20] ^= 1
    elif damage == "cut":
        content = content[: start + piece]
    elif damage == "pieces swapped":
        first, second = content[start : start + piece], content[start + piece : start + 2 * piece]
        content[start : start + 2 * piece] = second + first
    else:
        content[0] ^= 1
    (tmp_path / "backup").write_bytes(content)
    site.own_folder.rename(tmp_path / "aside")
    with pytest.raises(HepafedError):
        restore(site, tmp_path / "backup", PASSPHRASE)
    assert not site.own.store.exists()
    assert not site.own.identity.exists()


def test_a_restore_replaces_nothing_and_a_weak_passphrase_is_refused(tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    with pytest.raises(HepafedError, match="12 are needed"):
        back_up(site, tmp_path / "backup", "short")
    back_up(site, tmp_path / "backup", PASSPHRASE)
    with pytest.raises(HepafedError, match="replaces nothing"):
        restore(site, tmp_path / "backup", PASSPHRASE)
    with pytest.raises(FileExistsError):
        back_up(site, tmp_path / "backup", PASSPHRASE)


def test_leaving_a_study_deletes_copies_and_keeps_the_ledger(tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    left = leave(site, study().study)
    assert left.revoked == (study().hash,)
    assert not (site.own_folder / "predictions.csv").exists()
    with closing(Store(site.own)) as store:
        assert len(entries(store)) == 2
    assert leave(site, study().study) == Left((), Copies((), ())), "it was left already"
    with pytest.raises(HepafedError, match=r"was ever approved here.*Nothing was changed"):
        leave(site, "a-study-with-a-slip")


def test_a_study_whose_approval_was_revoked_first_can_still_be_left(tmp_path: Path) -> None:
    site = hospital(tmp_path / "alder")
    with closing(Store(site.own)) as store:
        revoke(store, study().study)
    assert leave(site, study().study).revoked == ()
    assert not (site.own_folder / "predictions.csv").exists()
