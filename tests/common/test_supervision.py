"""Processes that are kept alive come back, and end with whoever keeps them."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.daemon_log import daemon_log, only_one
from common.errors import HepafedError
from common.supervision import Kept, Supervisor
from tests.waiting import until

SLEEPER = "import time\nprint('up', flush=True)\ntime.sleep(600)"


@contextmanager
def supervised(*processes: Kept) -> Iterator[Supervisor]:
    supervisor = Supervisor(processes, logging.getLogger("test"), ready_seconds=5)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        thread.join(30)


def kept(folder: Path, program: str, name: str = "part", drain: float = 5) -> Kept:
    return Kept(name, (sys.executable, "-c", program), os.environ, folder / f"{name}.log", drain_seconds=drain)


def pid_of(supervisor: Supervisor, name: str = "part") -> int | None:
    state = supervisor.states().get(name)
    return int(str(state["pid"])) if state is not None and state["running"] else None


def test_a_process_that_is_killed_comes_back(tmp_path: Path) -> None:
    with supervised(kept(tmp_path, SLEEPER)) as supervisor:
        log = tmp_path / "part.log"
        until(lambda: log.exists() and log.read_text().count("up") == 1, 20, "the first start")
        first = pid_of(supervisor)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: log.read_text().count("up") == 2, 20, "the second start")
        last = pid_of(supervisor)
    assert last not in (None, first)
    with pytest.raises(ProcessLookupError):
        os.kill(last or 0, 0)


def test_pauses_grow_while_a_process_does_not_stay_up(tmp_path: Path) -> None:
    with supervised(kept(tmp_path, "raise SystemExit(3)")) as supervisor:
        until(lambda: int(str(supervisor.states()["part"]["starts"])) >= 3, 15, "three starts")
        began = time.monotonic()
        until(lambda: int(str(supervisor.states()["part"]["starts"])) >= 4, 15, "the fourth start")
    assert time.monotonic() - began > 1


def test_a_process_that_does_not_end_by_itself_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    with supervised(kept(tmp_path, stubborn, drain=0.3)) as supervisor:
        log = tmp_path / "part.log"
        until(lambda: log.exists() and "up" in log.read_text(), 20, "the start")
        process = pid_of(supervisor)
    assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_what_is_kept_dies_with_a_keeper_that_was_killed(tmp_path: Path) -> None:
    keeper = f"""
import logging, os, sys
from pathlib import Path
from common.supervision import Kept, Supervisor
part = Kept("part", (sys.executable, "-c", {SLEEPER!r}), os.environ, Path({str(tmp_path)!r}) / "part.log")
pid = Path({str(tmp_path)!r}) / "pid"
supervisor = Supervisor([part], logging.getLogger("x"))
supervisor.every_turn = lambda: pid.write_text(str(supervisor.states()["part"]["pid"]))
supervisor.run()
"""
    process = subprocess.Popen([sys.executable, "-c", keeper])
    pid = tmp_path / "pid"
    until(
        lambda: pid.exists() and pid.read_text().isdigit() and (tmp_path / "part.log").read_text(), 20, "the start"
    )
    process.kill()
    process.wait()

    def gone() -> bool:
        try:
            state = Path(f"/proc/{pid.read_text()}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        return state == "Z"

    until(gone, 10, "the end of what was kept")


def test_one_daemon_a_folder(tmp_path: Path) -> None:
    with (
        only_one(tmp_path / "lock", "this hospital's daemon"),
        pytest.raises(HepafedError, match="runs already"),
        only_one(tmp_path / "lock", "this hospital's daemon"),
    ):
        pass
    with only_one(tmp_path / "lock", "this hospital's daemon"):
        pass


def test_the_daemons_log_is_json_and_its_users_alone(tmp_path: Path) -> None:
    import json

    log = daemon_log(tmp_path / "daemon.log")
    log.warning("%s ended", "supernode", extra={"part": "supernode", "code": -9})
    (line,) = (tmp_path / "daemon.log").read_text().splitlines()
    found = json.loads(line)
    assert found["text"] == "supernode ended"
    assert (found["level"], found["part"], found["code"]) == ("warning", "supernode", -9)
    assert (tmp_path / "daemon.log").stat().st_mode & 0o077 == 0
