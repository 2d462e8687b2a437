"""Processes that are kept alive: started again when they end, after a pause that doubles, and ended together.

A process that is killed, or that gives up because the other side is not there yet, comes back by itself; nobody has to
watch. What it prints goes to a log file of its own, and every start and end is a line in the supervisor's log.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
WELL_AFTER_SECONDS = 60.0
"""A process that ran for this long was well: its next pause is the first one again."""
LOG_BYTES = 20_000_000
TURN_SECONDS = 0.1

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Kept:
    """A process to be kept alive.

    Parameters
    ----------
    ready
        Whether it does its work; asked before the next process is started, and for the health.
    drain_seconds
        How long it may take to end by itself after SIGTERM.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: Callable[[], bool] = lambda: True
    drain_seconds: float = 10.0


@dataclass
class _Running:
    kept: Kept
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    due: float = 0.0
    starts: int = 0


@dataclass
class Supervisor:
    """Keeps processes alive until it is told to stop.

    Parameters
    ----------
    log
        Where starts and ends are noted.
    every_turn
        What is to be done beside, about ten times a second.
    """

    processes: Sequence[Kept]
    log: logging.Logger
    every_turn: Callable[[], None] = lambda: None
    ready_seconds: float = 60.0
    _running: list[_Running] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End all, soon."""
        self._stop.set()

    def run(self) -> None:
        """Start all in order, keep them alive, and end them in the opposite order when told to stop."""
        self._running = [_Running(kept) for kept in self.processes]
        try:
            for running in self._running:
                self._start(running)
                self._wait_until_ready(running)
            while not self._stop.is_set():
                for running in self._running:
                    self._look_after(running)
                self.every_turn()
                self._stop.wait(TURN_SECONDS)
        finally:
            for running in reversed(self._running):
                self._end(running)

    def states(self) -> dict[str, dict[str, object]]:
        """What each process is doing, for whoever watches."""
        return {
            r.kept.name: {
                "running": r.process is not None and r.process.poll() is None,
                "pid": r.process.pid if r.process is not None else None,
                "starts": r.starts,
                "ready": r.process is not None and r.process.poll() is None and r.kept.ready(),
            }
            for r in self._running
        }

    def _wait_until_ready(self, running: _Running) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while not self._stop.is_set() and time.monotonic() < deadline and not running.kept.ready():
            self._look_after(running)
            self._stop.wait(TURN_SECONDS / 2)

    def _start(self, running: _Running) -> None:
        kept = running.kept
        kept.log.parent.mkdir(parents=True, exist_ok=True)
        if kept.log.exists() and kept.log.stat().st_size > LOG_BYTES:
            kept.log.replace(kept.log.with_name(kept.log.name + ".1"))
        opened = os.open(kept.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(opened, "ab") as output:
            running.process = subprocess.Popen(
                list(kept.command),
                env=dict(kept.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor, which ends them in order
                preexec_fn=die_with_the_parent,
            )
        running.began = time.monotonic()
        running.starts += 1
        self.log.info("%s started", kept.name, extra={"part": kept.name, "child": running.process.pid})

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process is not None:
            code = running.process.poll()
            if code is None:
                return
            if now - running.began > WELL_AFTER_SECONDS:
                running.pause = FIRST_PAUSE_SECONDS
            running.process = None
            running.due = now + running.pause
            self.log.warning(
                "%s ended (%s); started again in %.1f s",
                running.kept.name,
                _how(code),
                running.pause,
                extra={"part": running.kept.name, "code": code},
            )
            running.pause = min(2 * running.pause, LONGEST_PAUSE_SECONDS)
        elif now >= running.due:
            self._start(running)

    def _end(self, running: _Running) -> None:
        process = running.process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(running.kept.drain_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.log.info("%s ended", running.kept.name, extra={"part": running.kept.name})


def stop_on_signals(supervisor: Supervisor) -> None:
    """SIGTERM and SIGINT let the supervisor end all in order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())


def _how(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def die_with_the_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Runs in a child before its program: when the parent is killed, Linux ends what it left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
