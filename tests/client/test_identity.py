"""The hospital's long-term key: one, its own, and good for what it was used for."""

import multiprocessing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from client.identity import Identity, verify
from client.sealing import OwnFolder
from common.errors import Code, HospitalError

SIGNER = Identity(Ed25519PrivateKey.generate())
few_bytes = st.binary(max_size=40)
purposes = st.text(max_size=12)


def test_a_hospital_keeps_the_key_that_it_first_made(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "own")
    assert Identity.open(own).fingerprint == Identity.open(own).fingerprint
    assert Identity.open(OwnFolder(tmp_path / "other")).fingerprint != Identity.open(own).fingerprint


def fingerprint_in(folder: Path) -> str:
    return Identity.open(OwnFolder(folder)).fingerprint


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(fingerprint_in, [tmp_path / "own"] * 6, chunksize=1))) == 1


def test_nobody_else_may_read_the_key_or_look_into_its_folder(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "own")
    Identity.open(own)
    assert {path.name: path.stat().st_mode & 0o777 for path in own.path.iterdir()} == {
        "identity.key": 0o600,
        "store.key": 0o600,
    }
    assert own.path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["identity.key", "store.key"])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    own = OwnFolder(tmp_path)
    Identity.open(own)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(HospitalError, match=rf"{name} may be read by others .*0640.*chmod 600"):
        Identity.open(own)


def test_the_file_alone_does_not_give_the_key_away(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path)
    raw = Identity.open(own).private_key.private_bytes_raw()
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in own.identity.read_bytes()
    assert raw not in own.identity.read_bytes()
    (tmp_path / "store.key").write_text("00" * 32)
    with pytest.raises(HospitalError, match="sealed with another key, or the file is damaged") as caught:
        Identity.open(own)
    assert caught.value.code is Code.STORE_SEALED


def test_an_identity_without_its_store_key_is_not_made_anew(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path)
    Identity.open(own)
    before = own.identity.read_bytes()
    (tmp_path / "store.key").unlink()
    with pytest.raises(HospitalError, match=r"store\.key is not there, and identity\.key .* cannot be opened"):
        Identity.open(own)
    assert own.identity.read_bytes() == before


def test_a_key_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path)
    Identity.open(own)
    plain = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.identity.write_bytes(plain)
    with pytest.raises(HospitalError, match="not encrypted"):
        Identity.open(own)


def test_the_fingerprint_is_read_out_in_groups_of_four() -> None:
    groups = SIGNER.spoken_fingerprint.split(" ")
    assert [len(group) for group in groups] == [4] * 16
    assert "".join(groups) == SIGNER.fingerprint


def test_the_key_is_never_printed(tmp_path: Path) -> None:
    assert repr(SIGNER) == "Identity()"


@given(few_bytes, purposes)
def test_what_a_hospital_signed_is_known_to_be_its_own(message: bytes, purpose: str) -> None:
    assert verify(SIGNER.public_bytes, message, SIGNER.sign(message, purpose), purpose)


@given(few_bytes, few_bytes, purposes, purposes)
def test_a_signature_counts_for_one_message_and_one_purpose(a: bytes, b: bytes, first: str, second: str) -> None:
    signature = SIGNER.sign(a, first)
    assert verify(SIGNER.public_bytes, b, signature, second) == ((a, first) == (b, second))


@given(st.binary(max_size=70), few_bytes)
def test_garbage_is_no_signature_and_no_key(signature: bytes, public: bytes) -> None:
    assert not verify(SIGNER.public_bytes, b"message", signature, "purpose")
    assert not verify(public, b"message", SIGNER.sign(b"message", "purpose"), "purpose")
