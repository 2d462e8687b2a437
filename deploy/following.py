"""Watching a coordinator's run from a command: its progress, as it is written down, until it ends."""

import json
import time
from collections.abc import Callable

from server.progress import Progress
from server.progress_file import tell
from server.runs import Outcome, Run

LOOK_SECONDS = 0.1


def follow(run: Run, progress: Progress, goes_on: Callable[[], None] = lambda: None) -> Outcome:
    """Tell `progress` what happens in a run until it has ended.

    Parameters
    ----------
    goes_on
        Called between looks; raises where there is nothing more to wait for.
    """
    position, half = 0, ""
    while True:
        outcome = run.outcome  # before the last lines are read: they are written first
        if run.progress_file.exists():
            with run.progress_file.open(encoding="utf-8") as file:
                file.seek(position)
                half += file.read()
                position = file.tell()
            *lines, half = half.split("\n")
            for line in lines:
                tell(json.loads(line), progress)
        if outcome is not None:
            return outcome
        goes_on()
        time.sleep(LOOK_SECONDS)
