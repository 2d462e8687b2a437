"""The coordinator's ServerApp as the executor runs it: one run, from its folder, as far as it comes.

A run that ends writes down how. One whose process is killed, or which loses the SuperLink, writes nothing: the daemon
sees that and starts it again, and it goes on from its checkpoint.
"""

import os
import time
import traceback
from pathlib import Path

import httpx
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import RunNotRunningException

from common.errors import Code, HepafedError
from common.flower_app import RUN
from common.privacy_plan import is_private
from common.query import FEWEST_HOSPITALS, ROLL_CALL
from server.app import CHECKPOINT, Assignment, build
from server.checkpoint import Checkpoint, Loss
from server.progress_file import ProgressFile
from server.resending_grid import ResendingGrid
from server.runs import Outcome, Run, find_run

RUNS = "HEPAFED_RUNS"
LOOK_SECONDS = 0.5

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the study of the run that Flower's run names."""
    run = find_run(Path(os.environ[RUNS]), str(context.run_config[RUN]))
    with ProgressFile(run.progress_file) as progress:
        try:
            study, request = run.study, run.request
            away = wait_for_hospitals(grid, expected(run), 60 * study.lost_hospital.wait_minutes, progress)
            if not is_private(study):  # which waits for everybody
                note_lost(run, away)
            assignment = Assignment(study, run.folder, request.engine, request.lower_profile)
            build(assignment, progress)(ResendingGrid(grid), context)
        except (RunNotRunningException, httpx.HTTPError):
            raise
        except HepafedError as error:
            progress.notice(str(error))
            run.end(Outcome("stopped", str(error)))
        except Exception as error:
            trace = run.folder / "error.log"
            trace.write_text(traceback.format_exc(), encoding="utf-8")
            run.end(Outcome("failed", f"{type(error).__name__}; please report {trace}; the checkpoint is kept"))
        else:
            run.end(Outcome("finished"))


def expected(run: Run) -> tuple[str, ...]:
    """Whom to wait for: those that the run began with and has not lost, or those that were asked for."""
    path = run.folder / CHECKPOINT
    if path.exists():
        checkpoint = Checkpoint(path)
        try:
            if (begun := checkpoint.begun()) is not None:
                return tuple(name for name in begun.roster if name not in begun.lost)
        finally:
            checkpoint.close()
    return run.request.hospitals


def note_lost(run: Run, away: frozenset[str]) -> None:
    """Those that a run began with and that stayed away while it was being started again are lost to it."""
    path = run.folder / CHECKPOINT
    if not away or not path.exists():
        return
    checkpoint = Checkpoint(path)
    try:
        begun = checkpoint.begun()
        # Where hardly anybody is there, it is the coordinator that is cut off: the roll call says so.
        if begun is not None and len(set(begun.roster) - begun.lost - away) >= FEWEST_HOSPITALS:
            for name in sorted(away & set(begun.roster)):
                checkpoint.keep_loss(Loss(name, Code.SILENT, ROLL_CALL))
    finally:
        checkpoint.close()


def wait_for_hospitals(
    grid: Grid, names: tuple[str, ...], seconds: float, progress: ProgressFile
) -> frozenset[str]:
    """Wait until these are connected; who stayed away is said, and the run goes on without."""
    deadline = time.monotonic() + seconds
    said: set[str] = set()
    while away := sorted(set(names) - {node.name for node in grid.get_nodes()}):
        if time.monotonic() >= deadline:
            progress.notice(
                f"not connected after {seconds / 60:.3g} minutes: {', '.join(away)}; the run goes on without"
            )
            return frozenset(away)
        if set(away) != said:
            progress.notice(f"waiting for {', '.join(away)}")
            said = set(away)
        time.sleep(LOOK_SECONDS)
    return frozenset()
