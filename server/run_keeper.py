"""Keeps the coordinator's runs going: what is wanted and not running is started, again if need be.

Flower's runs do not resume: one whose process died has failed. Ours has a checkpoint, so it is started anew and goes on
where it was, to the same bits.
"""

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import HepafedError
from common.warm_executor import ring
from server.control import Control
from server.runs import Launches, Outcome, Run, all_runs

LOOK_SECONDS = 1.0
LAUNCHES_WITHOUT_PROGRESS = 5
FINISHED = "finished"


@dataclass
class RunKeeper:
    """Looks after all runs of a coordinator's folder.

    Parameters
    ----------
    port
        The SuperLink's.
    bell
        Wakes the executor that takes runs up (common/warm_executor.py).
    """

    runs: Path
    port: int
    log: logging.Logger
    bell: Path
    _next: float = 0.0
    _said: str = ""
    _paused_until: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Look once, if a second has passed since."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        open_runs = [run for run in all_runs(self.runs) if run.outcome is None]
        if not open_runs:
            return
        try:
            with Control(self.port) as control:
                for run in open_runs:
                    self._keep(run, control)
            self._said = ""
        except HepafedError as error:
            if str(error) != self._said:
                self.log.warning("%s", error)
            self._said = str(error)

    def _keep(self, run: Run, control: Control) -> None:
        launches = run.launches
        going = bool(launches.numbers) and control.status(launches.numbers[-1]) != FINISHED
        if run.request.wanted == "stopped":
            if going:
                control.stop(launches.numbers[-1])
                self.log.info("%s: stopped as asked", run.name, extra={"run": run.name})
            run.end(Outcome("stopped", "stopped as asked; hepafed resume goes on with it"))
            return
        if going or time.monotonic() < self._paused_until.get(run.name, 0.0) or run.outcome is not None:
            return
        self._launch(run, launches, control)

    def _launch(self, run: Run, launches: Launches, control: Control) -> None:
        done = run.exchanges()
        stuck = launches.without_progress + 1 if launches.numbers and done <= launches.exchanges else 0
        if stuck >= LAUNCHES_WITHOUT_PROGRESS:
            reason = f"its process died {stuck} times in a row without getting further; logs/executor.log says why"
            run.end(Outcome("failed", reason + "; then: hepafed resume"))
            self.log.error("%s: %s", run.name, reason, extra={"run": run.name})
            return
        number = control.start(run.name)
        ring(self.bell)
        run.launched(
            replace(launches, numbers=(*launches.numbers, number), without_progress=stuck, exchanges=done)
        )
        self._paused_until[run.name] = time.monotonic() + 2**stuck
        again = "started again" if launches.numbers else "started"
        self.log.info(
            "%s: %s (%d exchanges so far)", run.name, again, done, extra={"run": run.name, "flower": number}
        )
