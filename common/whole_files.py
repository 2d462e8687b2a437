"""Files that are there whole or not at all: written beside their place, and moved into it once they are complete.

One that cannot be completed leaves what stood there before, and nothing beside it.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

OWNER_ALONE = 0o600
AS_THE_UMASK_SAYS = 0o666


@contextmanager
def whole_bytes(
    path: Path, mode: int = OWNER_ALONE, durable: bool = True, several_writers: bool = False
) -> Iterator[BinaryIO]:
    """A file to write bytes to, which takes its place when the block ends.

    Parameters
    ----------
    mode
        Of the new file from its first moment on; whatever stood there does not matter.
    durable
        On the disk before it takes its place, so that a power cut leaves the old file or the new one.
    several_writers
        Several processes may write it at the same time; the last one's stays.
    """
    number = f".{os.getpid()}" if several_writers else ""
    partial = path.with_name(f"{path.name}{number}.partial")
    partial.unlink(missing_ok=True)
    opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(opened, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def whole(
    path: Path,
    mode: int = OWNER_ALONE,
    encoding: str = "utf-8",
    durable: bool = True,
    several_writers: bool = False,
) -> Iterator[TextIO]:
    """The same for text; lines end as they are written."""
    with whole_bytes(path, mode, durable, several_writers) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        yield text
        text.detach()  # which flushes, and leaves the file open
