"""The Flower ServerApp of the coordinator: runs a study over the grid and writes what it found."""

from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from threadpoolctl import threadpool_limits

from common.frozen_model import FILE_NAME
from common.privacy_plan import is_private
from common.released_model import FILE_NAME as MODEL_FILE
from common.study import Study
from server.frozen_model import write_frozen_model
from server.private_run import run_privately
from server.progress import Progress
from server.released_model import write_released_model
from server.report.html import write_report
from server.report.private import write_private_report
from server.results.private import private_results_of
from server.results.results_json import results_of, write_results
from server.study_run import run_study

CHECKPOINT = "coordinator/checkpoint.sqlite"


@dataclass(frozen=True)
class Assignment:
    """What the coordinator was asked to do, and where the outcome goes."""

    study: Study
    out: Path
    engine: str
    lower_profile: bool


def build(assignment: Assignment, progress: Progress) -> ServerApp:
    """A ServerApp that runs one study."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, _: Context) -> None:
        # One thread for linear algebra: the same results, bit for bit, on every machine of a kind.
        if is_private(assignment.study):
            _run_privately(assignment, grid, progress)
            return
        with threadpool_limits(limits=1):
            finished, hospitals = run_study(assignment.study, grid, assignment.out / CHECKPOINT, progress)
        results = results_of(finished, hospitals.transport, assignment.engine, assignment.lower_profile)
        write_results(results, assignment.out / "results.json")
        write_frozen_model(finished, assignment.out / FILE_NAME)
        write_released_model(finished, assignment.out / MODEL_FILE)
        write_report(results, assignment.out / "report.html")

    return app


def _run_privately(assignment: Assignment, grid: Grid, progress: Progress) -> None:
    """Run a study with differential privacy; in the lower profile it also runs without noise, beside."""
    study, checkpoint, beside = assignment.study, assignment.out / CHECKPOINT, assignment.lower_profile
    with threadpool_limits(limits=1):
        finished, hospitals = run_privately(study, grid, checkpoint, progress, beside=beside)
    results = private_results_of(finished, hospitals.transport, assignment.engine, assignment.lower_profile)
    write_results(results, assignment.out / "results.json")
    write_private_report(results, assignment.out / "report.html")
