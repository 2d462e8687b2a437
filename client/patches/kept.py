"""Patches in the hospital's store: by the content of a patient's files and the settings, compressed."""

import json
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client.cohort.images_file import ImagesFile
from client.extraction_run.kept import Failure, Kept
from client.patches.patch import Patch
from client.sealing import OwnFolder
from client.store import Store
from common.patches import Patches
from common.query import canonical_json

FAST = 1
"""zlib's level: noise hardly becomes smaller at a higher one."""


@dataclass(frozen=True)
class KeptPatches:
    """The patches of one hospital's patients under one study's settings."""

    files: Kept
    patches: Patches

    def key(self, patient: str) -> str:
        """SHA-256 of the patient's id and files, of the settings and of the versions that compute."""
        return self.files.key(patient)

    def look_up(self, key: str) -> Patch | Failure | None:
        """What is known of these files under these settings; None: nothing yet."""
        found = self.files.store.first("SELECT reason, again, notes, voxels FROM patches WHERE key = ?", key)
        if found is None:
            return None
        reason, again, notes, voxels = found
        if reason is not None:
            return Failure(reason, bool(again))
        return _unpacked(bytes(voxels), tuple(json.loads(notes)), self.patches)

    def keep(self, key: str, patient: str, found: Patch | Failure, seconds: float) -> None:
        """Keep a patch, or the reason why there is none."""
        failed = isinstance(found, Failure)
        self.files.store.run(
            "INSERT OR REPLACE INTO patches VALUES (?, ?, ?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
            key,
            patient,
            found.reason if isinstance(found, Failure) else None,
            int(isinstance(found, Failure) and found.again),
            canonical_json([] if failed else list(found.notes)),  # type: ignore[union-attr]
            b"" if isinstance(found, Failure) else _packed(found),
            seconds,
        )


@contextmanager
def open_kept_patches(
    own: OwnFolder, images: Path, general: ImagesFile, patches: Patches
) -> Iterator[KeptPatches]:
    """The patches that a hospital's store keeps for a study's settings."""
    settings = "patches\n" + canonical_json(patches.fingerprint())
    with closing(Store(own)) as store:
        yield KeptPatches(Kept(store, images, general, settings), patches)


def _packed(patch: Patch) -> bytes:
    return zlib.compress(patch.intensities.astype("<f2").tobytes() + np.packbits(patch.masks).tobytes(), FAST)


def _unpacked(packed: bytes, notes: tuple[str, ...], patches: Patches) -> Patch:
    raw = zlib.decompress(packed)
    voxels = int(np.prod(patches.shape))
    intensities = np.frombuffer(raw, "<f2", count=len(patches.phases) * voxels)
    bits = np.unpackbits(np.frombuffer(raw, np.uint8, offset=intensities.nbytes), count=2 * voxels)
    return Patch(
        intensities.reshape(len(patches.phases), *patches.shape),
        bits.reshape(2, *patches.shape).astype(bool),
        notes,
    )
