"""What a bundle is made of: its wheels, as a lock with hashes and as a bill of materials (CycloneDX 1.6, JSON).

Both are read from the wheels themselves, so that they say what is there, and not what somebody meant to put there.
Libraries that a wheel carries inside (OpenBLAS, OpenSSL) are not listed by themselves.
"""

import hashlib
import itertools
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common.errors import HepafedError

_LONGEST_LICENCE_NAME = 80


@dataclass(frozen=True)
class Wheel:
    """One wheel, as its own metadata describe it.

    Parameters
    ----------
    name
        As package indexes write it: small letters and hyphens.
    """

    name: str
    version: str
    file: str
    sha256: str
    metadata: Message

    @property
    def purl(self) -> str:
        """The package URL that vulnerability databases know the wheel by."""
        return f"pkg:pypi/{self.name}@{self.version}"


def read_wheels(folder: Path) -> list[Wheel]:
    """The wheels of a folder in the order of their names; each package once."""
    wheels = sorted((_read_wheel(path) for path in folder.glob("*.whl")), key=lambda wheel: wheel.name)
    for one, other in itertools.pairwise(wheels):
        if one.name == other.name:
            raise HepafedError(f"{folder} holds {one.name} twice ({one.file}, {other.file}): empty it")
    return wheels


def lock(wheels: Iterable[Wheel]) -> str:
    """Requirements with hashes: pip installs these files, and no others that bear the same names."""
    return "".join(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels)


def bill_of_materials(
    wheels: Sequence[Wheel], product: str, extras: Iterable[str], now: datetime
) -> dict[str, Any]:
    """A CycloneDX document: each wheel with version, hash, licence, and what it needs."""
    by_name = {wheel.name: wheel for wheel in wheels}
    whole = by_name[product]
    needed = _needed(wheels, product, extras)
    # The same wheels have the same number: two bundles can be told to be one.
    number = uuid.uuid5(uuid.NAMESPACE_URL, lock(wheels))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {
            "timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": _component(whole, "application"),
        },
        "components": [_component(wheel, "library") for wheel in wheels if wheel is not whole],
        "dependencies": [
            {"ref": wheel.purl, "dependsOn": sorted(by_name[name].purl for name in needed[wheel.name])}
            for wheel in wheels
        ],
    }


def _read_wheel(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as opened:
        names = [
            name for name in opened.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        ]
        if len(names) != 1:
            raise HepafedError(f"{path} is no wheel: it holds no METADATA; build the bundle anew")
        metadata = BytesParser().parsebytes(opened.read(names[0]))
    name = canonicalize_name(str(metadata["Name"]))
    return Wheel(
        name, str(metadata["Version"]), path.name, hashlib.sha256(path.read_bytes()).hexdigest(), metadata
    )


def _component(wheel: Wheel, kind: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": kind,
        "bom-ref": wheel.purl,
        "name": wheel.name,
        "version": wheel.version,
        "purl": wheel.purl,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    if licences := _licences(wheel.metadata):
        component["licenses"] = licences
    return component


def _licences(metadata: Message) -> list[dict[str, Any]]:
    """The licence: as an expression, or else by the names that the package gives."""
    if expression := metadata["License-Expression"]:
        return [{"expression": str(expression)}]
    classified = [
        str(line).split(" :: ")[-1]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License :: ")
    ]
    written = str(metadata["License"] or "").strip()
    names = (
        classified or [written] if len(written) <= _LONGEST_LICENCE_NAME and "\n" not in written else classified
    )
    return [{"license": {"name": name}} for name in names if name]


def _needed(wheels: Iterable[Wheel], product: str, extras: Iterable[str]) -> dict[str, set[str]]:
    """What each package asks for on this machine, with the extras that others ask of it."""
    by_name = {wheel.name: wheel for wheel in wheels}
    asked: dict[str, set[str]] = {name: set() for name in by_name}
    asked[product] |= set(extras)
    needed: dict[str, set[str]] = {name: set() for name in by_name}
    to_look_at = set(by_name)
    while to_look_at:
        name = to_look_at.pop()
        for line in by_name[name].metadata.get_all("Requires-Dist", []):
            requirement = Requirement(line)
            other = canonicalize_name(requirement.name)
            marker = requirement.marker
            if other not in by_name or not (
                marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *asked[name]))
            ):
                continue
            needed[name].add(other)
            if not requirement.extras <= asked[other]:
                asked[other] |= requirement.extras
                to_look_at.add(other)
    return needed
