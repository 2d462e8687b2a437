"""`hepafed coordinator …`, and what a coordinator does with runs: `run`, `runs`, `logs`, `stop`, `resume`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from common.errors import HepafedError
from deploy.cli_consortium import add_consortium_commands
from deploy.terminal import fail, say

if TYPE_CHECKING:
    from server.runs import Outcome, Run

STOPPED = 2
Coordinator = Annotated[
    Path, typer.Option("--coordinator", help="The coordinator's folder: coordinator.yaml, runs/.")
]
Name = Annotated[str, typer.Argument(help="The run's name, or how it begins; hepafed runs lists them.")]

coordinator_app = typer.Typer(
    name="coordinator",
    help="Found a consortium, invite hospitals, keep the coordinator running.\n\n"
    "Example: hepafed coordinator init consortium --name liver --address federation.example:9443",
    no_args_is_help=True,
)


@coordinator_app.callback()
def root() -> None:
    """Found a consortium, invite hospitals, keep the coordinator running."""


add_consortium_commands(coordinator_app)


@coordinator_app.command("start")
def start(folder: Annotated[Path, typer.Argument(help="The coordinator's folder.")] = Path(".")) -> None:
    """Keep the coordinator running until SIGTERM or Ctrl-C: SuperLink, executor, gateway, and the runs.

    A process that dies is started again, and so is a run whose process died: it goes on from its checkpoint. Logs are
    in FOLDER/logs, and FOLDER/daemon.log holds a line of JSON for every start and end.

    Example: hepafed coordinator start consortium
    """
    from server.coordinator_daemon import CoordinatorDaemon
    from server.coordinator_folder import CoordinatorFolder

    with _in_words():
        file = CoordinatorFolder(folder.resolve()).read()
        console = Console()
        say(
            console,
            f"Coordinator of {file.name}; hospitals reach it at {file.address}, it listens on {file.listen}",
        )
        CoordinatorDaemon(folder.resolve(), file).run()


def run(
    study: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")],
    coordinator: Coordinator = Path("."),
    hospital: Annotated[
        list[str] | None,
        typer.Option(
            "--hospital", help="Wait for this hospital; may be given again. Default: all that have joined."
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not watch; hepafed logs NAME --follow does.")
    ] = False,
) -> None:
    """Start a study with the hospitals of the consortium, and watch it.

    The coordinator must be running. Ctrl-C ends the watching, not the run. The exit code is 0 when there is a report,
    1 when the call cannot be used, 2 when the study had to stop.

    Example: hepafed run study.yaml --coordinator consortium
    """
    from common.study import Study
    from server.control import Control
    from server.coordinator_daemon import RUNS_FOLDER, port_of
    from server.runs import Request, create_run

    with _in_words():
        read = Study.from_file(study)
        with Control(port_of(coordinator)) as control:
            joined = {node.name: node.online for node in control.nodes() if node.status != "unregistered"}
        unknown = sorted(set(hospital or ()) - set(joined))
        if unknown:
            raise HepafedError(
                f"{', '.join(unknown)}: not in this consortium, which is {', '.join(sorted(joined)) or 'empty'}; "
                "hepafed coordinator list shows it"
            )
        if not joined:
            raise HepafedError(f"nobody has joined: hepafed coordinator invite HOSPITAL {coordinator}")
        names = tuple(sorted(hospital or joined))
        created = create_run(coordinator / RUNS_FOLDER, read, Request("running", names, time.time()))
    console = Console()
    say(console, f"Run {created.name}: {read.study}, hash {read.hash[:16]}")
    say(console, "Hospitals: " + ", ".join(f"{name} ({'online' if joined[name] else 'away'})" for name in names))
    if detach:
        say(console, f"Watch it: hepafed logs {created.name} --follow --coordinator {coordinator}")
        return
    watch(console, created)


def runs(coordinator: Coordinator = Path(".")) -> None:
    """List the coordinator's runs and how far they are.

    Example: hepafed runs --coordinator consortium
    """
    from server.coordinator_daemon import RUNS_FOLDER
    from server.coordinator_folder import CoordinatorFolder
    from server.runs import all_runs

    with _in_words():
        CoordinatorFolder(coordinator).read()
    table = Table(
        Column("run", overflow="fold"), "state", "began", "exchanges", "started", box=None, header_style=""
    )
    why = []
    for found in all_runs(coordinator / RUNS_FOLDER):
        outcome = found.outcome
        if outcome is not None and outcome.reason:
            why.append(f"{found.name} {outcome.state}: {outcome.reason}")
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.request.created))
        times = len(found.launches.numbers)
        table.add_row(
            found.name,
            found.state,
            began,
            str(found.exchanges()),
            f"{times} times" if times != 1 else "once",
        )
    console = Console()
    if table.row_count:
        console.print(table)
        for reason in why:
            say(console, reason)
    else:
        say(console, "No runs yet: hepafed run STUDY --coordinator FOLDER")


def logs(
    name: Name,
    coordinator: Coordinator = Path("."),
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False,
) -> None:
    """Show what happened in a run, and the table of its exchanges with their times.

    Example: hepafed logs mvi-demo --coordinator consortium
    """
    from server.coordinator_daemon import RUNS_FOLDER
    from server.progress_file import exchanges_of, table_of
    from server.runs import find_run

    console = Console()
    with _in_words():
        found = find_run(coordinator / RUNS_FOLDER, name)
    for event in found.events():
        at = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        if event["event"] == "phase":
            say(console, f"{at} {event['name']}")
        elif event["event"] == "notice":
            say(console, f"{at} {event['text']}", "yellow")
        elif event["event"] == "begun":
            say(console, f"{at} begun, or started again")
    if follow and found.outcome is None:
        watch(console, found)
        return
    for line in table_of(exchanges_of(found.events())):
        say(console, line)
    if (outcome := found.outcome) is not None:
        say(console, f"{outcome.state}{': ' + outcome.reason if outcome.reason else ''}")


def stop(name: Name, coordinator: Coordinator = Path(".")) -> None:
    """Stop a run; its checkpoint is kept, and `hepafed resume` goes on with it.

    Example: hepafed stop mvi-demo --coordinator consortium
    """
    from server.coordinator_daemon import RUNS_FOLDER
    from server.runs import find_run

    with _in_words():
        found = find_run(coordinator / RUNS_FOLDER, name)
        if found.outcome is not None:
            raise HepafedError(f"{found.name} has ended already: {found.state}")
        found.want(replace(found.request, wanted="stopped"))
    say(Console(), f"{found.name} stops within seconds; go on with: hepafed resume {found.name}")


def resume(
    name: Name,
    coordinator: Coordinator = Path("."),
    detach: Annotated[bool, typer.Option("--detach", help="Do not watch.")] = False,
) -> None:
    """Go on with a run that was stopped or failed, from its checkpoint.

    Example: hepafed resume mvi-demo --coordinator consortium
    """
    from server.coordinator_daemon import RUNS_FOLDER, port_of
    from server.runs import find_run

    with _in_words():
        port_of(coordinator)
        found = find_run(coordinator / RUNS_FOLDER, name)
        if found.state == "finished":
            raise HepafedError(f"{found.name} is finished: {found.folder / 'report.html'}")
        if found.outcome is None:
            raise HepafedError(f"{found.name} is going on: hepafed logs {found.name} --follow")
        found.reopen()
    console = Console()
    say(console, f"{found.name} goes on")
    if not detach:
        watch(console, found)


def watch(console: Console, run: "Run") -> None:
    """Show a run until it ends, then the table of its exchanges; leave with the code that tells how it ended."""
    from deploy.following import follow
    from deploy.live import Live

    try:
        with Live(console) as live:
            outcome = follow(run, live)
    except KeyboardInterrupt:
        say(console, f"The run goes on: hepafed logs {run.name} --follow, or hepafed stop {run.name}", "yellow")
        raise typer.Exit(0) from None
    say_end(console, run, outcome)


def say_end(console: Console, run: "Run", outcome: "Outcome") -> None:
    """How a run ended: the table of exchanges, and the report or the reason."""
    from server.progress_file import exchanges_of, table_of

    for line in table_of(exchanges_of(run.events())):
        say(console, line)
    if outcome.state != "finished":
        fail(f"{outcome.state}: {outcome.reason}", STOPPED)
    say(console, f"Report: {run.folder / 'report.html'}")


@contextmanager
def _in_words() -> Iterator[None]:
    """What goes wrong is said, without a trace."""
    try:
        yield
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(
            f"{error.filename or ''}: {error.strerror or error}; check the folder, and that you may read and write it"
        )
