"""Who computes which patient, where several processes of one hospital extract at once."""

import fcntl
import os
from pathlib import Path


class Turns:
    """Locks by key on one file; the system gives them back when a process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, key: str) -> bool:
        """Take the turn for a key; False where another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def give_back(self, key: str) -> None:
        """Somebody else may compute it."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))

    def close(self) -> None:
        """Give everything back."""
        os.close(self._file)


def _place(key: str) -> int:
    """A byte of a file that is never written: one for every key."""
    return int(key[:15], 16)
