"""A daemon's own log: a line of JSON an event, for people and for monitoring; and one daemon a folder."""

import fcntl
import json
import logging
import logging.handlers
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from common.errors import HepafedError
from common.supervision import Supervisor
from common.whole_files import whole

STATE_SECONDS = 2.0
LOG_BYTES, LOGS_KEPT = 5_000_000, 5
_USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Time, level, text, and what the event itself brings."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        own = {key: value for key, value in vars(record).items() if key not in _USUAL}
        return json.dumps({"at": at, "level": record.levelname.lower(), "text": record.getMessage(), **own})


def daemon_log(path: Path) -> logging.Logger:
    """The log in this file, which only its user may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    log = logging.getLogger(f"hepafed.daemon.{path.resolve()}")
    if not log.handlers:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT)
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Hold a lock while a daemon runs; two would answer under one name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HepafedError(
                f"{what} runs already ({path} is locked): stop it first, or leave it running"
            ) from None
        yield
    finally:
        os.close(opened)


def write_state(path: Path, state: dict[str, object]) -> None:
    """What a daemon is doing, whole or not at all."""
    with whole(path, durable=False) as file:  # every few seconds; of a machine that went down it says nothing
        json.dump(state, file, indent=1)


def noting(path: Path, supervisor: Supervisor, more: Mapping[str, object] | None = None) -> Callable[[], None]:
    """What writes a daemon's state every few seconds, however often it is called."""
    began, last = time.time(), 0.0

    def note() -> None:
        nonlocal last
        if time.monotonic() - last < STATE_SECONDS:
            return
        last = time.monotonic()
        state: dict[str, object] = {"pid": os.getpid(), "began": began, "at": time.time()}
        write_state(path, {**state, "processes": supervisor.states(), **(more or {})})

    return note


def read_state(path: Path) -> dict[str, object] | None:
    """What a daemon last said that it was doing; None where none has run."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
