"""Builds a bundle: Hepafed and all that it needs, to be installed where there is no internet.

BUNDLE/
  wheels/             Hepafed and every package it needs, built for this platform
  requirements.lock   their versions and hashes: pip takes these files alone
  sbom.cdx.json       what they are (CycloneDX)
  systemd/ docs/      units, and how they are used
  MANIFEST            SHA-256 of all of these; hepafed bundle sign adds MANIFEST.sig
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.errors import HepafedError
from deploy.bill_of_materials import Wheel, bill_of_materials, lock, read_wheels
from deploy.bundle import write_manifest

PRODUCT = "hepafed"
WHEELS = "wheels"
LOCK = "requirements.lock"
BILL = "sbom.cdx.json"

_ROOMS = ("client", "common", "deploy", "harmonization", "server")
_PROJECT = ("pyproject.toml", "README.md")
_CONSTRAINTS = "constraints.txt"
_DOCUMENTS = ("operate-a-hospital.md", "run-a-consortium.md", "hospital.md")
_CARRIED = {"deploy/systemd": "systemd"} | {f"docs/{name}": "docs" for name in _DOCUMENTS}


def build_bundle(
    source: Path,
    folder: Path,
    extras: Sequence[str] = ("images",),
    own_wheels: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Wheel]:
    """Build the bundle of a source tree in an empty folder, for the platform and Python that run this.

    Parameters
    ----------
    own_wheels
        Where wheels lie that no index has: PyRadiomics, which `make install` builds.
    """
    if folder.exists() and any(folder.iterdir()):
        raise HepafedError(f"{folder} is not empty: a bundle holds nothing old; name another folder")
    missing = [name for name in (*_PROJECT, _CONSTRAINTS, *_ROOMS, *_CARRIED) if not (source / name).exists()]
    if missing:
        raise HepafedError(f"{source} holds no {missing[0]}: name the folder of Hepafed's source")
    wheels = folder / WHEELS
    wheels.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as copied:
        # A copy: setuptools leaves what it built in the tree, and would put files into the wheel that are long gone.
        tree = Path(copied) / PRODUCT
        for name in _ROOMS:
            shutil.copytree(source / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _PROJECT:
            shutil.copy(source / name, tree / name)
        say("Building Hepafed's own wheel")
        _pip("wheel", "--no-deps", "--wheel-dir", wheels, tree)
        own = read_wheels(wheels)[0]
        say("Collecting the wheels that it needs")
        asked = f"{wheels / own.file}[{','.join(extras)}]" if extras else str(wheels / own.file)
        found_in = ["--find-links", str(own_wheels)] if own_wheels is not None else []
        _pip("wheel", *found_in, "--constraint", source / _CONSTRAINTS, "--wheel-dir", wheels, asked)
    collected = read_wheels(wheels)
    (folder / LOCK).write_text(lock(collected), encoding="utf-8")
    bill = bill_of_materials(collected, PRODUCT, extras, _now())
    (folder / BILL).write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for origin, place in _CARRIED.items():
        _carry(source / origin, folder / place)
    write_manifest(folder, f"{own.version}, {', '.join(extras) or 'no extras'}, {platform_words()}")
    return collected


def platform_words() -> str:
    """What the wheels run on: those that were built here may ask for this C library or a later one."""
    library = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else "an unknown libc"
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return f"{platform.system()} {platform.machine()}, {library}, {python}"


def _carry(origin: Path, place: Path) -> None:
    if origin.is_dir():
        shutil.copytree(origin, place)
    else:
        place.mkdir(exist_ok=True)
        shutil.copy(origin, place / origin.name)


def _now() -> datetime:
    """The clock, or what SOURCE_DATE_EPOCH says: then the same wheels make the same bundle."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise HepafedError(
            f"pip {arguments[0]} failed; a bundle is built with internet, by `make bundle`:\n{last}"
        )
