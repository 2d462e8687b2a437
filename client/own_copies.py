"""Whose the copies of results in the hospital's own folder are: each study writes them under the same names.

copies.json beside them says of every file which study wrote it last, with the digest of what was written. A file that
was changed since, or written while nobody noted it, is nobody's: it may hold another study's results.
"""

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from client.own_files import write_text
from common.study import Study

COPIES = (
    "predictions.csv",
    "recalibration.json",
    "worth_joining.md",
    "worth_joining.json",
    "harmonised.csv",
    "harmonisation.svg",
    "attention",
    "survival.csv",
    "survival_recalibration.json",
)
"""What studies write into the hospital's own folder (client/queries/own_copy.py, own_survival.py): the last one's.

`attention` is a folder: a picture a patient.
"""

NOTES = "copies.json"


@dataclass(frozen=True)
class Noted:
    """Who wrote a copy: a study by its name and hash, and the digest of what it wrote."""

    study: str
    hash: str
    digest: str


def copies_in(folder: Path) -> list[Path]:
    """Every file that a study may have written as a copy."""
    found = [path for name in COPIES for path in ((folder / name), *sorted((folder / name).glob("*")))]
    return [path for path in found if path.is_file()]


@contextmanager
def noted_as_copies_of(folder: Path, study: Study) -> Iterator[None]:
    """Note what is written meanwhile as this study's; another study's copies wait until these are complete."""
    with alone_in(folder):
        before = {path: _stamp(path) for path in copies_in(folder)}
        try:
            yield
        finally:
            written = [path for path in copies_in(folder) if before.get(path) != _stamp(path)]
            new = {_key(folder, path): Noted(study.study, study.hash, _digest(path)) for path in written}
            _keep(folder, _read(folder) | new)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process writes or deletes copies in this folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def writer_of(folder: Path, path: Path) -> Noted | None:
    """The study that wrote a copy as it is now; None where nobody noted that."""
    noted = _read(folder).get(_key(folder, path))
    return noted if noted is not None and noted.digest == _digest(path) else None


def in_few_words(folder: Path, paths: Iterable[Path]) -> str:
    """The names of copies; pictures by their number, as there is one a patient."""
    names = [_key(folder, path) for path in paths]
    pictures = Counter(name.partition("/")[0] for name in names if "/" in name)
    said = [name for name in names if "/" not in name]
    said += [f"{of}/ ({number} picture{'s'[: number > 1]})" for of, number in pictures.items()]
    return ", ".join(said)


def delete_copies(folder: Path, paths: list[Path]) -> None:
    """Delete copies, and what was noted of them; a folder of pictures goes with the last picture."""
    for path in paths:
        path.unlink(missing_ok=True)
        if path.parent != folder and not any(path.parent.iterdir()):
            path.parent.rmdir()
    gone = {_key(folder, path) for path in paths}
    noted = _read(folder)
    if gone & noted.keys():
        _keep(folder, {key: whose for key, whose in noted.items() if key not in gone})


def _key(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _stamp(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, Noted]:
    """What was noted; nothing where the file is missing or was spoilt, and then its copies are nobody's."""
    try:
        content = json.loads((folder / NOTES).read_bytes())
        return {str(key): Noted(**entry) for key, entry in content.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _keep(folder: Path, noted: dict[str, Noted]) -> None:
    if not noted:
        (folder / NOTES).unlink(missing_ok=True)
        return
    content = {key: asdict(noted[key]) for key in sorted(noted)}
    write_text(folder / NOTES, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
