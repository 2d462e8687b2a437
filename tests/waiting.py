"""Waiting for what happens by itself."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something; a test that waits in vain says for what."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
