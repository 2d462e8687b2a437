"""What was extracted, in the hospital's store: by the content of a patient's files and the settings."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from client.cohort.images_file import ImagesFile
from client.cohort.patient_folder import files_digest, files_of
from client.extraction.results import Extraction, RegionRecord, Row
from client.sealing import OwnFolder
from client.store import Store
from common.features import Features
from common.query import canonical_json


@dataclass(frozen=True)
class Failure:
    """Why a patient has no features; `again` where the next run should try once more (time, memory)."""

    reason: str
    again: bool = False


@dataclass(frozen=True)
class Kept:
    """The features of one hospital's patients under one study's settings.

    Parameters
    ----------
    general
        images/images.yaml, which is part of what was read.
    """

    store: Store
    images: Path
    general: ImagesFile
    settings: str

    def key(self, patient: str) -> str:
        """SHA-256 of the patient's id and files, of the settings and of the versions that compute."""
        return hashlib.sha256(f"{patient}\n{self._digest(patient)}\n{self.settings}".encode()).hexdigest()

    def look_up(self, key: str) -> Extraction | Failure | None:
        """What is known of these files under these settings; None: nothing yet."""
        found = self.store.first("SELECT reason, again, records FROM extractions WHERE key = ?", key)
        if found is None:
            return None
        reason, again, regions = found
        if reason is not None:
            return Failure(reason, bool(again))
        return Extraction(self._rows(key), [_region(record) for record in json.loads(regions)])

    def keep(self, key: str, patient: str, found: Extraction | Failure, seconds: float) -> None:
        """Keep features and regions, or the reason why there are none; all of it or nothing."""
        failed = isinstance(found, Failure)
        regions = [] if isinstance(found, Failure) else [asdict(record) for record in found.regions]
        with self.store.transaction() as run:
            run("DELETE FROM feature_rows WHERE key = ?", key)
            run(
                "INSERT OR REPLACE INTO extractions VALUES (?, ?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                key,
                patient,
                found.reason if isinstance(found, Failure) else None,
                int(isinstance(found, Failure) and found.again),
                canonical_json(regions),
                seconds,
            )
            for row in [] if failed else found.rows:  # type: ignore[union-attr]
                names = canonical_json(list(row.values))
                digest = hashlib.sha256(names.encode()).hexdigest()
                values = np.array(list(row.values.values()), dtype="<f8").tobytes()
                run("INSERT OR IGNORE INTO feature_names VALUES (?, ?)", digest, names)
                run(
                    "INSERT INTO feature_rows VALUES (?, ?, ?, ?, ?)",
                    key,
                    row.measurement,
                    row.lesion,
                    digest,
                    values,
                )

    def _rows(self, key: str) -> list[Row]:
        rows = self.store.all(
            "SELECT lesion, measurement, n.names, features FROM feature_rows r JOIN feature_names n "
            "ON n.hash = r.names WHERE key = ? ORDER BY measurement, lesion",
            key,
        )
        return [
            Row(lesion, dict(zip(json.loads(names), np.frombuffer(packed, "<f8").tolist(), strict=True)), measured)
            for lesion, measured, names, packed in rows
        ]

    def _digest(self, patient: str) -> str:
        """The content of a patient's files; they are read again only when size or time of one has changed."""
        folder = self.images / patient
        stamp = _stamp(folder, self.general)
        known = self.store.first("SELECT stamp, digest FROM image_folders WHERE patient = ?", patient)
        if known is not None and known[0] == stamp:
            return str(known[1])
        digest = files_digest(folder, self.general)
        self.store.run("INSERT OR REPLACE INTO image_folders VALUES (?, ?, ?)", patient, stamp, digest)
        return digest


@contextmanager
def open_kept(own: OwnFolder, images: Path, general: ImagesFile, features: Features) -> Iterator[Kept]:
    """The features that a hospital's store keeps for a study's settings."""
    with closing(Store(own)) as store:
        yield Kept(store, images, general, canonical_json(features.fingerprint()))


def _stamp(folder: Path, general: ImagesFile) -> str:
    """When the files of a folder were last written, and how long they are."""
    total = hashlib.sha256(general.model_dump_json().encode() + b"\n")
    for path in files_of(folder):
        if path.is_file():
            about = path.stat()
            place = path.relative_to(folder).as_posix()
            total.update(f"{place}\0{about.st_size}\0{about.st_mtime_ns}\0{about.st_ctime_ns}\n".encode())
    return total.hexdigest()


def _region(record: dict[str, object]) -> RegionRecord:
    return RegionRecord(**{**record, "notes": tuple(record["notes"])})  # type: ignore[arg-type]
