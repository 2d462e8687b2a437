"""A bundle's manifest: the SHA-256 of every file, signed with the publisher's Ed25519 key.

A hospital without internet gets Hepafed as a folder of files, and keeps the publisher's public key, which it compared
with the publisher once. MANIFEST is written as `sha256sum` reads it and MANIFEST.sig as `openssl` does, so that the
first bundle can be verified before anything of it is installed; later ones are by `hepafed bundle verify`.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from common.errors import HepafedError

MANIFEST = "MANIFEST"
SIGNATURE = "MANIFEST.sig"
TITLE = "# hepafed bundle "
"""How a manifest begins: the key signs nothing else that begins so."""

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_+-][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)*)")
_FAULTS_SHOWN = 5
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Verified:
    """A bundle that is as its publisher signed it.

    Parameters
    ----------
    title
        Version and platform, as the publisher wrote them.
    """

    title: str
    files: int
    bytes: int


def new_key(path: Path) -> Path:
    """Make a publisher's key, readable by its owner alone, and its public half beside it, which is returned."""
    public = path.with_name(path.name.removesuffix(".key") + ".pub")
    there = [found for found in (path, public) if found.exists()]
    if there:
        raise HepafedError(f"{there[0]} is there already: hospitals pinned its key; name another file")
    key = Ed25519PrivateKey.generate()
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(opened, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The publisher's public key, from the file that the hospital keeps."""
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise HepafedError(f"{path} is no public key of a publisher: it begins with BEGIN PUBLIC KEY (Ed25519)")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """What a publisher and a hospital compare by telephone: SHA-256 of the public key, in groups of four."""
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digits = hashlib.sha256(raw).hexdigest()
    return " ".join(digits[i : i + 4] for i in range(0, 64, 4))


def write_manifest(folder: Path, title: str) -> None:
    """List every file of the folder with its SHA-256; the title says which version for which platform."""
    lines = [f"{TITLE}{title}"]
    for name in sorted(_files(folder)):
        if not _LINE.fullmatch(line := f"{_hash(folder / name)}  {name}"):
            raise HepafedError(f"{folder / name}: a bundle's files are named with letters, digits, - _ + and .")
        lines.append(line)
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / SIGNATURE).unlink(missing_ok=True)


def sign(folder: Path, key_file: Path) -> None:
    """Sign the manifest; the files must be as it says."""
    try:
        key = load_pem_private_key(_read(key_file), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise HepafedError(f"{key_file} is no publisher's key; make one: hepafed bundle new-key publisher.key")
    manifest = _read(folder / MANIFEST)
    _compare(folder, manifest)
    (folder / SIGNATURE).write_bytes(key.sign(manifest))


def verify(folder: Path, key: Ed25519PublicKey) -> Verified:
    """Hold a bundle against its publisher's key; HepafedError names what was changed, is missing, or came to it."""
    manifest = _read(folder / MANIFEST)
    try:
        key.verify(_read(folder / SIGNATURE), manifest)
    except InvalidSignature:
        raise HepafedError(
            f"{folder / MANIFEST} is not signed with the key {fingerprint(key)}: it was changed, or is another "
            "publisher's; install nothing of it, and ask the publisher for the bundle anew"
        ) from None
    return _compare(folder, manifest)


def _compare(folder: Path, manifest: bytes) -> Verified:
    """Every file as the manifest says, and no other file."""
    first, *lines = manifest.decode("utf-8", errors="replace").splitlines() or [""]
    matches = [_LINE.fullmatch(line) for line in lines]
    listed = {match[2]: match[1] for match in matches if match}
    if not first.startswith(TITLE) or len(listed) != len(lines):
        raise HepafedError(
            f"{folder / MANIFEST} is no manifest of a bundle; ask the publisher for the bundle anew"
        )
    found = _files(folder)
    faults = [f"{name} is missing" for name in sorted(listed.keys() - found)]
    faults += [f"{name!r} does not belong to it" for name in sorted(found - listed.keys())]
    faults += [
        f"{name} was changed" for name in sorted(listed.keys() & found) if _hash(folder / name) != listed[name]
    ]
    if faults:
        more = f"; and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise HepafedError(
            f"{folder} is not the bundle that was signed: {'; '.join(faults[:_FAULTS_SHOWN])}{more}. Install "
            "nothing of it, and copy the bundle anew"
        )
    return Verified(first.removeprefix(TITLE), len(listed), sum((folder / name).stat().st_size for name in listed))


def _files(folder: Path) -> set[str]:
    """The bundle's files, the manifest and its signature apart."""
    if not folder.is_dir():
        raise HepafedError(f"{folder}: there is no such folder; name the bundle's folder, which holds {MANIFEST}")
    found = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise HepafedError(f"{path} is a link or a device, which no bundle holds; copy the bundle anew")
        if path.is_file() and name not in (MANIFEST, SIGNATURE):
            found.add(name)
    return found


def _hash(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HepafedError(f"{path}: {error.strerror}; a bundle holds {MANIFEST} and {SIGNATURE}") from None
