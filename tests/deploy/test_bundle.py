"""A bundle for hospitals without internet: whatever was changed since it was signed is found."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.errors import HepafedError
from deploy.bill_of_materials import bill_of_materials, lock, read_wheels
from deploy.bundle import MANIFEST, SIGNATURE, new_key, read_public_key, sign, verify, write_manifest
from deploy.bundle_build import build_bundle
from deploy.cli_bundle import bundle_app

SOURCE = Path(__file__).parents[2]


def wheel(folder: Path, name: str, version: str, *lines: str) -> Path:
    """A wheel that pip installs: one module, and its metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    parts = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{about}/METADATA": "\n".join(
            ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, ""]
        ),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as opened:
        for part, text in parts.items():
            opened.writestr(part, text)
        opened.writestr(f"{about}/RECORD", "".join(f"{part},,\n" for part in [*parts, f"{about}/RECORD"]))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "publisher.key")
    return tmp_path / "publisher.key"


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A small bundle, signed."""
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    wheel(folder / "wheels", "liver", "1.0", "Requires-Dist: spleen>=2", "License-Expression: Apache-2.0")
    wheel(folder / "wheels", "spleen", "2.1", "Classifier: License :: OSI Approved :: MIT License")
    (folder / "requirements.lock").write_text(lock(read_wheels(folder / "wheels")))
    write_manifest(folder, "1.0, images, Linux x86_64")
    sign(folder, key)
    return folder


def test_a_bundle_as_it_was_signed_is_verified(bundle: Path, key: Path) -> None:
    verified = verify(bundle, read_public_key(key.with_suffix(".pub")))
    assert (verified.title, verified.files) == ("1.0, images, Linux x86_64", 3)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _list_anew(bundle: Path) -> None:
    """What somebody without the key can do: change a file, and the manifest with it."""
    signature = (bundle / SIGNATURE).read_bytes()
    _flip(bundle / "requirements.lock")
    write_manifest(bundle, "1.0, images, Linux x86_64")
    (bundle / SIGNATURE).write_bytes(signature)


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a wheel was changed by one bit": (lambda b: _flip(b / "wheels/liver-1.0-py3-none-any.whl"), "was changed"),
    "a wheel is missing": (lambda b: (b / "wheels/liver-1.0-py3-none-any.whl").unlink(), "is missing"),
    "a wheel was added": (lambda b: wheel(b / "wheels", "liver", "9.0"), "does not belong to it"),
    "a hidden file was added": (lambda b: (b / ".pip.conf").write_text(""), "does not belong to it"),
    "a wheel became a link": (
        lambda b: (b / "wheels/extra.whl").symlink_to(b / "wheels/liver-1.0-py3-none-any.whl"),
        "is a link",
    ),
    "the manifest was changed": (lambda b: _flip(b / MANIFEST), "not signed with the key"),
    "file and manifest were changed": (_list_anew, "not signed with the key"),
    "the signature was changed": (lambda b: _flip(b / SIGNATURE), "not signed with the key"),
    "the signature is empty": (lambda b: (b / SIGNATURE).write_bytes(b""), "not signed with the key"),
    "the signature is missing": (lambda b: (b / SIGNATURE).unlink(), "No such file"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_found_and_named(bundle: Path, key: Path, what: str) -> None:
    tamper, words = TAMPERED[what]
    tamper(bundle)
    with pytest.raises(HepafedError, match=words):
        verify(bundle, read_public_key(key.with_suffix(".pub")))


def test_another_publishers_signature_is_refused(bundle: Path, tmp_path: Path) -> None:
    stranger = new_key(tmp_path / "stranger.key")
    with pytest.raises(HepafedError, match="not signed with the key"):
        verify(bundle, read_public_key(stranger))


def test_a_manifest_that_names_files_elsewhere_is_refused(bundle: Path, key: Path) -> None:
    """Even under a good signature: no path leads out of the bundle, and none is listed twice."""
    written = (bundle / MANIFEST).read_text()
    for line in (f"{'0' * 64}  ../outside", f"{'0' * 64}  /etc/passwd", written.splitlines()[1]):
        (bundle / MANIFEST).write_text(f"{written}{line}\n")
        with pytest.raises(HepafedError, match="is no manifest"):
            sign(bundle, key)


def test_what_was_changed_before_signing_is_not_signed(bundle: Path, key: Path) -> None:
    _flip(bundle / "requirements.lock")
    with pytest.raises(HepafedError, match=r"requirements\.lock was changed"):
        sign(bundle, key)


def test_the_key_is_its_owners_alone_and_is_never_replaced(key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HepafedError, match="is there already"):
        new_key(key)
    with pytest.raises(HepafedError, match="no public key"):
        read_public_key(key)


def test_the_first_bundle_is_verified_without_hepafed(bundle: Path, key: Path) -> None:
    """The commands of docs/operate-a-hospital.md: openssl and sha256sum are on every hospital's machine."""
    checked = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key.with_suffix(".pub")), "-rawin"]
    checked += ["-in", MANIFEST, "-sigfile", SIGNATURE]
    found = "find . ! -type d ! -path ./MANIFEST ! -path ./MANIFEST.sig -printf '%P\\n' | sort"
    listed = f"{found} | diff - <(tail -n +2 MANIFEST | cut -c67- | sort)"
    everything = (checked, ["sha256sum", "--check", "--strict", "--quiet", MANIFEST], ["bash", "-c", listed])

    def codes() -> list[int]:
        return [subprocess.run(one, cwd=bundle, capture_output=True, check=False).returncode for one in everything]

    assert codes() == [0, 0, 0]
    (bundle / "wheels" / "added.whl").touch()
    assert codes() == [0, 0, 1]
    _flip(bundle / "requirements.lock")
    assert codes()[1] == 1
    _flip(bundle / MANIFEST)
    assert codes()[0] == 1


def test_the_commands_say_what_they_found(bundle: Path, key: Path) -> None:
    run = CliRunner().invoke
    good = run(bundle_app, ["verify", str(bundle), "--key", str(key.with_suffix(".pub"))])
    assert good.exit_code == 0
    assert "3 files" in good.output
    assert "all as they were signed" in good.output
    _flip(bundle / "requirements.lock")
    bad = run(bundle_app, ["verify", str(bundle), "--key", str(key.with_suffix(".pub"))])
    assert bad.exit_code == 1
    nothing = run(bundle_app, ["verify", str(bundle), "--key", str(bundle / "none.pub")])
    assert nothing.exit_code == 1


def test_the_bill_of_materials_says_what_each_wheel_is_and_needs(bundle: Path) -> None:
    wheels = read_wheels(bundle / "wheels")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    bill = bill_of_materials(wheels, "liver", (), now)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    [spleen] = bill["components"]
    assert spleen["purl"] == "pkg:pypi/spleen@2.1"
    assert spleen["hashes"] == [{"alg": "SHA-256", "content": wheels[1].sha256}]
    assert spleen["licenses"] == [{"license": {"name": "MIT License"}}]
    assert bill["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert bill["dependencies"] == [
        {"ref": "pkg:pypi/liver@1.0", "dependsOn": ["pkg:pypi/spleen@2.1"]},
        {"ref": "pkg:pypi/spleen@2.1", "dependsOn": []},
    ]
    assert bill_of_materials(wheels, "liver", (), now) == bill


def test_a_package_is_carried_once(bundle: Path) -> None:
    wheel(bundle / "wheels", "spleen", "2.2")
    with pytest.raises(HepafedError, match="spleen twice"):
        read_wheels(bundle / "wheels")


def test_a_folder_that_holds_something_is_not_built_into(bundle: Path) -> None:
    with pytest.raises(HepafedError, match="is not empty"):
        build_bundle(SOURCE, bundle)


def install(bundle: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """As docs/operate-a-hospital.md says; an index that cannot be reached stands for no internet."""
    venv.create(into, with_pip=True)
    asked = [
        into / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--isolated",
        "--no-index",
        "--require-hashes",
    ]
    asked += ["--find-links", bundle / "wheels", "--requirement", bundle / "requirements.lock"]
    closed = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(asked, capture_output=True, text=True, env=closed, check=False)


@pytest.mark.slow
def test_a_small_bundle_installs_offline_and_a_changed_wheel_does_not(bundle: Path, tmp_path: Path) -> None:
    """Even unverified: pip holds every wheel against the lock."""
    done = install(bundle, tmp_path / "good")
    assert done.returncode == 0, done.stderr
    asked = [tmp_path / "good/bin/python", "-c", "import liver, spleen; print(liver.VERSION, spleen.VERSION)"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "1.0 2.1\n"
    (bundle / "wheels/liver-1.0-py3-none-any.whl").unlink()
    wheel(bundle / "wheels", "liver", "1.0")
    refused = install(bundle, tmp_path / "bad")
    assert refused.returncode != 0
    assert "HASH" in refused.stderr.upper()


@pytest.mark.slow
def test_the_whole_bundle_is_built_installs_offline_and_runs(tmp_path: Path, key: Path) -> None:
    """Every package a hospital needs, with images: minutes, and 250 MB."""
    folder = tmp_path / "hepafed"
    own = SOURCE / ".build" / "wheels"
    if not list(own.glob("pyradiomics*.whl")):
        pytest.skip("PyRadiomics' wheel is not built here: make install builds it")
    collected = build_bundle(SOURCE, folder, ("images",), own)
    sign(folder, key)
    verified = verify(folder, read_public_key(key.with_suffix(".pub")))
    assert "images" in verified.title
    names = {found.name for found in collected}
    assert {"hepafed", "flwr", "pyradiomics", "simpleitk", "cryptography", "sqlcipher3"} <= names
    assert not {"torch", "pytest", "mypy", "ray"} & names
    bill = json.loads((folder / "sbom.cdx.json").read_text())
    assert {bill["metadata"]["component"]["name"], *(found["name"] for found in bill["components"])} == names
    reached = {needed for entry in bill["dependencies"] for needed in entry["dependsOn"]}
    assert {found["purl"] for found in bill["components"]} <= reached, "a wheel that nothing asks for"

    done = install(folder, tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    hepafed = tmp_path / "venv/bin/hepafed"
    for words in (["--version"], ["demo-data", "demo", "--patients", "10"], ["site", "check", "demo/north"]):
        said = subprocess.run([hepafed, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
    asked = [tmp_path / "venv/bin/python", "-c", "import radiomics, SimpleITK, highdicom"]
    subprocess.run(asked, cwd=tmp_path, check=True)
    assert sys.version_info[:2] == (3, 11)
