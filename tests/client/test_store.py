"""The store at rest: nothing of a patient can be read in its files, and its key is looked for in one order."""

import operator
import sqlite3
import sys
import types
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlcipher3.dbapi2 import DatabaseError

from client import resealing
from client.identity import Identity
from client.resealing import reseal
from client.sealing import ENVIRONMENT, KEYRING, OwnFolder, sealing_key
from client.site import open_site
from client.store import Store, extractions
from common.errors import Code, HospitalError

PATIENT = "PATIENT-4711"
PAGE = 4096
OTHER_KEY = "ab" * 32
VALUES = np.linspace(41.0, 43.0, 800)


@pytest.fixture
def own(tmp_path: Path) -> OwnFolder:
    return OwnFolder(tmp_path / "own")


def fill(store: Store) -> None:
    store.run(
        "INSERT INTO extractions VALUES (?, ?, ?, ?, ?, ?, ?)",
        *("key", PATIENT, f"{PATIENT} has no mask", 0, "[]", 1.0, "2026"),
    )
    store.run("INSERT INTO feature_rows VALUES (?, ?, ?, ?, ?)", "key", "", 1, "names", VALUES.tobytes())
    store.keep_study("hash", "the text of a study")


def bytes_on_disk(own: OwnFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in own.path.iterdir() if path.name.startswith("store.sqlite")}


def test_no_id_value_or_table_can_be_read_in_the_files(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
        open_files = bytes_on_disk(own)
    assert set(open_files) == {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"}
    assert len(open_files["store.sqlite-wal"]) > 10_000
    for content in (*open_files.values(), *bytes_on_disk(own).values()):
        for secret in (
            PATIENT.encode(),
            VALUES[:2].tobytes(),
            b"text of a study",
            b"CREATE TABLE",
            b"SQLite format",
        ):
            assert secret not in content


def test_what_was_kept_is_there_again(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
    with closing(Store(own)) as store:
        assert store.study("hash") == "the text of a study"
        row = store.first("SELECT patient, features FROM extractions JOIN feature_rows USING (key)")
    assert row == (PATIENT, VALUES.tobytes())
    assert extractions(own) == (1, 1)


def test_every_file_is_its_owners_alone_even_in_a_folder_that_was_open(own: OwnFolder) -> None:
    own.path.mkdir(mode=0o755)
    with closing(Store(own)) as store:
        fill(store)
        modes = {path.name: path.stat().st_mode & 0o777 for path in own.path.iterdir()}
    assert set(modes) == {"store.key", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"}
    assert set(modes.values()) == {0o600}
    assert own.path.stat().st_mode & 0o777 == 0o700


def test_another_key_opens_nothing_and_changes_nothing(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
    right, before = (own.path / "store.key").read_bytes(), bytes_on_disk(own)
    (own.path / "store.key").write_text(OTHER_KEY)
    for attempt in (Store, extractions):
        with pytest.raises(HospitalError, match=r"does not open with the key from .*store.key") as caught:
            attempt(own)
        assert caught.value.code is Code.STORE_SEALED
    assert "Not lost: patients.csv" in str(caught.value)
    assert bytes_on_disk(own) == before
    (own.path / "store.key").write_bytes(right)
    Store(own).close()


def test_a_lost_key_is_not_replaced_by_a_new_one(own: OwnFolder) -> None:
    Store(own).close()
    (own.path / "store.key").unlink()
    with pytest.raises(HospitalError, match=r"store\.key is not there, and store\.sqlite .* cannot be opened"):
        Store(own)
    assert not (own.path / "store.key").exists()


def test_a_store_that_is_not_encrypted_is_refused_and_left_as_it_is(own: OwnFolder) -> None:
    Store(own).close()
    own.store.unlink()
    with closing(sqlite3.connect(own.store)) as plain:
        plain.execute("CREATE TABLE studies (hash TEXT)")
    before = own.store.read_bytes()
    with pytest.raises(HospitalError, match=r"is not encrypted.*move store.sqlite"):
        Store(own)
    assert own.store.read_bytes() == before


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_a_bit_that_was_changed_on_disk_is_noticed(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
        page = store.all("SELECT rootpage FROM sqlite_master WHERE name = 'feature_rows'")[0][0]
    flip_a_bit(own.store, (page - 1) * PAGE + 2000)
    with closing(Store(own)) as store, pytest.raises(DatabaseError, match=r"malformed|not a database"):
        store.all("SELECT * FROM feature_rows")
    flip_a_bit(own.store, 2000)
    with pytest.raises(HospitalError, match="the file is damaged"):
        Store(own)


def test_the_key_comes_from_the_environment_before_any_file(
    own: OwnFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, OTHER_KEY)
    Store(own).close()
    assert not (own.path / "store.key").exists()
    monkeypatch.delenv(ENVIRONMENT)
    with pytest.raises(HospitalError, match="cannot be opened without"):
        Store(own)
    (own.path / "store.key").write_text(OTHER_KEY)
    (own.path / "store.key").chmod(0o600)
    Store(own).close()


def test_the_key_comes_from_the_file_that_site_yaml_names(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "site.yaml").write_text("name: north\nstore_key: keys/north.key\n")
    site = open_site(tmp_path)
    Store(site.own).close()
    key = tmp_path / "keys" / "north.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (site.own.path / "store.key").exists()
    assert sealing_key(site.extracted_in).secret.hex() == key.read_text().strip()


def test_a_named_key_is_not_made_where_its_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HospitalError, match="is a disk to be mounted"):
        Store(OwnFolder(tmp_path / "own", str(tmp_path / "stick" / "north.key")))
    assert not (tmp_path / "own" / "store.sqlite").exists()


def test_a_simulation_has_a_key_of_its_own_and_reads_extracted_features_with_the_hospitals(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "site.yaml").write_text("name: north\nstore_key: keys/north.key\n")
    Store(open_site(tmp_path).own).close()
    site = open_site(tmp_path, tmp_path / "sites" / "north", lower_profile=True)
    Store(site.own).close()
    assert (tmp_path / "sites" / "north" / "store.key").exists()
    assert extractions(site.extracted_in) == (0, 0)


def keyring_with(entries: dict[tuple[str, str], str]) -> types.ModuleType:
    module = types.ModuleType("keyring")
    module.errors = types.SimpleNamespace(KeyringError=RuntimeError)  # type: ignore[attr-defined]
    module.get_password = lambda service, entry: entries.get((service, entry))  # type: ignore[attr-defined]
    module.set_password = lambda service, entry, key: entries.update({(service, entry): key})  # type: ignore[attr-defined]
    return module


def test_the_key_is_kept_in_the_keyring_if_site_yaml_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: dict[tuple[str, str], str] = {}
    monkeypatch.setitem(sys.modules, "keyring", keyring_with(entries))
    own = OwnFolder(tmp_path, KEYRING)
    Store(own).close()
    Store(own).close()
    assert list(entries) == [("hepafed", str(tmp_path.resolve()))]
    assert not (tmp_path / "store.key").exists()
    entries.clear()
    with pytest.raises(HospitalError, match=r"the keyring .* is not there"):
        Store(own)


def test_without_the_keyring_package_the_hospital_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(HospitalError, match="pip install keyring, or name a file"):
        Store(OwnFolder(tmp_path, KEYRING))


@pytest.mark.parametrize("text", ["", "ab", "ab" * 31, "zz" * 32, "ab" * 33])
def test_a_key_of_another_form_is_refused_without_repeating_it(own: OwnFolder, text: str) -> None:
    own.path.mkdir()
    (own.path / "store.key").write_text(text)
    (own.path / "store.key").chmod(0o600)
    with pytest.raises(HospitalError, match="64 hexadecimal digits") as caught:
        Store(own)
    assert not text or text not in str(caught.value) or text == "ab"


def test_the_key_is_never_printed(own: OwnFolder) -> None:
    key = sealing_key(own)
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


def test_a_renewed_key_opens_all_that_was_there_and_the_old_one_nothing(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
    fingerprint, old = Identity.open(own).fingerprint, own.key_file.read_bytes()
    reseal(own)
    assert {path.name for path in own.path.iterdir()} == {"store.key", "store.sqlite", "identity.key"}
    with closing(Store(own)) as store:
        assert store.first("SELECT patient FROM extractions") == (PATIENT,)
    assert Identity.open(own).fingerprint == fingerprint
    own.key_file.write_bytes(old)
    for opened in (Store, Identity.open):
        with pytest.raises(HospitalError, match="sealed with another key"):
            opened(own)


@pytest.mark.parametrize("reached", ["_reseal_store", "Identity.reseal"])
@pytest.mark.parametrize("before", [True, False])
def test_a_renewal_that_was_interrupted_is_finished_by_the_next(
    own: OwnFolder, monkeypatch: pytest.MonkeyPatch, reached: str, before: bool
) -> None:
    with closing(Store(own)) as store:
        fill(store)
    fingerprint = Identity.open(own).fingerprint
    step = operator.attrgetter(reached)(resealing)

    def be_interrupted(*arguments: object) -> None:
        if not before:
            step(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"client.resealing.{reached}", be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        reseal(own)
    monkeypatch.undo()
    if reached == "_reseal_store" and not before:
        with pytest.raises(HospitalError, match="--new-store-key` finishes it"):
            Store(own)
    reseal(own)
    with closing(Store(own)) as store:
        assert store.study("hash") == "the text of a study"
    assert Identity.open(own).fingerprint == fingerprint
    assert not list(own.path.glob("*.new"))


def test_a_store_in_use_is_not_resealed(own: OwnFolder) -> None:
    with closing(Store(own)) as store:
        fill(store)
        with pytest.raises(HospitalError, match=r"is in use .*stop the hospital's service"):
            reseal(own)
        assert store.study("hash") == "the text of a study"
    reseal(own)
    Store(own).close()


def test_a_key_in_the_environment_is_not_renewed(own: OwnFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, OTHER_KEY)
    with pytest.raises(HospitalError, match="comes from the environment"):
        reseal(own)
