"""Files of keys: whole or not at all, and never readable by anyone but their owner."""

import os
from pathlib import Path

from common.errors import HepafedError
from common.whole_files import whole_bytes

OTHERS_MAY_READ = 0o644


def private_folder(folder: Path) -> None:
    """A folder that nobody else can look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if about.st_mode & 0o077 and about.st_uid == os.geteuid():
        folder.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """A file of mode 0600."""
    with whole_bytes(path) as file:
        file.write(content)


def write_public(path: Path, content: bytes) -> None:
    """A file that others may read: certificates and public halves."""
    with whole_bytes(path, OTHERS_MAY_READ) as file:
        file.write(content)


def refuse_if_others_may_read(path: Path) -> None:
    """A key that others could have copied is no key."""
    if path.exists() and path.stat().st_mode & 0o077:
        raise HepafedError(
            f"{path} may be read by others on this machine (mode {path.stat().st_mode & 0o777:04o}): find out who "
            f"did, then chmod 600 {path}"
        )
