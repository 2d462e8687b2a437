"""The command `hepafed`."""

import json
import traceback
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from common.errors import HepafedError, StudyStopped
from deploy import terminal
from deploy.cli_bundle import bundle_app
from deploy.cli_coordinator import coordinator_app, logs, resume, run, runs, stop
from deploy.cli_loopback import loopback
from deploy.cli_site import site_app
from deploy.cli_study import study_app

LOG_LINES_SHOWN = 12
EXAMPLE_ROOT = "Example: hepafed demo-data demo && hepafed simulate demo/study.yaml --sites demo --out report"

app = typer.Typer(
    name="hepafed",
    help="Federated learning for multicentre liver-cancer radiomics: hospitals send sums, patients stay.\n\n"
    + EXAMPLE_ROOT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(study_app, name="study")
app.add_typer(site_app, name="site")
app.add_typer(bundle_app, name="bundle")
app.add_typer(coordinator_app, name="coordinator")
for command in (run, runs, logs, stop, resume, loopback):
    app.command(command.__name__)(command)
out = Console()
err = Console(stderr=True)


def say(text: str, style: str = "") -> None:
    """Print a line on the usual output."""
    terminal.say(out, text, style)


def fail(error: HepafedError) -> NoReturn:
    """Say what went wrong and what to do; a study that stopped has a code of its own."""
    terminal.fail(str(error), code=2 if isinstance(error, StudyStopped) else 1)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"hepafed {version('hepafed')}")
        raise typer.Exit()


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Federated learning for multicentre liver-cancer radiomics: hospitals send sums, patients stay."""


@app.command("demo-data")
def demo_data(
    folder: Annotated[Path, typer.Argument(help="Folder that will hold one folder a hospital, and study.yaml.")],
    sites: Annotated[int, typer.Option(min=1, max=200, help="How many hospitals.")] = 4,
    patients: Annotated[
        int | None,
        typer.Option(
            min=10,
            max=100_000,
            help="Patients a hospital, on average. Default: 60, with --images 24.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 7,
    images: Annotated[
        bool, typer.Option("--images", help="CT images instead of features.csv, and one hospital with ultrasound.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the folder.")] = False,
) -> None:
    """Write synthetic hospitals: liver-cancer patients with clinical columns, outcomes, and features or images.

    The patients are invented. A study.yaml that fits them lies beside the hospitals, and truth/ holds what
    generated them. With --images there are CT images of two phases (NIfTI, DICOM with SEG, DICOM with RTSTRUCT), and
    ultrasound/ holds one more hospital, which is not part of the study. One patient has an empty mask of the tumour:
    hepafed site check finds it.

    Example: hepafed demo-data demo --sites 4 --patients 60 --seed 7
    """
    from deploy.simulation.hospitals import write_hospitals

    if folder.exists() and any(folder.iterdir()) and not overwrite:
        fail(HepafedError(f"{folder} is not empty: name another folder, or add --overwrite to replace demo data"))
    try:
        with out.status("Writing synthetic hospitals") as status:
            count = patients or (24 if images else 60)
            write_hospitals(folder, sites, count, seed, images=images, say=status.update)
    except HepafedError as error:
        fail(error)
    except OSError as error:
        fail(HepafedError(f"{error.filename}: {error.strerror}; name a folder that you may write to"))
    out.print(f"{sites} synthetic hospitals and study.yaml are in {folder}", highlight=False, soft_wrap=True)
    if images:
        say(f"{folder / 'ultrasound'} holds one more, with ultrasound, and a study.yaml of its own")
        say(f"One patient is broken by design, which is found by: hepafed site check {folder / 'north'}")
    out.print(
        f"Next: hepafed simulate {folder / 'study.yaml'} --sites {folder} --out report",
        highlight=False,
        soft_wrap=True,
    )


@app.command("simulate")
def simulate_command(
    study: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")],
    sites: Annotated[Path, typer.Option(help="Folder that holds one folder a hospital.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for report.html, results.json and sites/.")],
    engine: Annotated[
        str,
        typer.Option(help="process: all hospitals in this process (fast); ray: Flower's own simulation engine."),
    ] = "process",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
) -> None:
    """Run a whole study on this machine: every hospital folder takes part as a hospital would.

    Writes report.html and results.json, and under sites/ what each hospital would keep on its own disk
    (predictions.csv, harmonised.csv, its store and its log).

    The exit code is 0 when there is a report, 1 when the call or the study cannot be used, 2 when the study had to
    stop.

    Example: hepafed simulate demo/study.yaml --sites demo --out report
    """
    from common.study import Study
    from deploy.extraction_progress import ExtractionProgress
    from deploy.live import Live
    from deploy.simulation.imaging import work_on_images
    from deploy.simulation.simulate import Simulation, find_hospitals, last_words, log_ends, prepare_out, simulate
    from server.results.results_json import ONE_MACHINE

    if engine not in ("process", "ray"):
        fail(HepafedError(f"--engine {engine}: write process or ray"))
    try:
        simulation = Simulation(Study.from_file(study), find_hospitals(sites), out_folder, engine)
        if simulation.study.features is not None:
            simulation.study.features.refuse_unprepared()
        prepare_out(out_folder, simulation.folders, resume, overwrite)
    except HepafedError as error:
        fail(error)
    except OSError as error:
        fail(HepafedError(f"{error.filename}: {error.strerror}; --out names a folder that you may write to"))
    say(ONE_MACHINE, "yellow")
    say("Lower profile: where a site.yaml is silent, the hospital's approval is taken as given.")
    before = log_ends(simulation)
    for hospital, said in work_on_images(simulation, partial(ExtractionProgress, out)):
        say(f"{hospital}: {said}", "yellow" if "failed" in said else "")
    try:
        with Live(out) as progress:
            simulate(simulation, progress)
    except HepafedError as error:
        _say_last_words(last_words(simulation, before))
        fail(error)
    except Exception as error:  # a fault of ours: its trace belongs in a file, not on a physicist's screen
        trace = out_folder / "coordinator" / "error.log"
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        fail(
            HepafedError(f"hepafed failed ({type(error).__name__}); the checkpoint is kept. Please report {trace}")
        )
    _say_last_words(last_words(simulation, before))
    _say_outcome(json.loads((out_folder / "results.json").read_text(encoding="utf-8")))
    say(f"Report: {out_folder / 'report.html'}")


def _say_last_words(said: dict[str, list[str]]) -> None:
    """On one machine the hospitals' operator is the same person: show what their own logs say."""
    for hospital, lines in said.items():
        shown = (
            lines if len(lines) <= LOG_LINES_SHOWN else [*lines[:LOG_LINES_SHOWN], "… (the rest is in the log)"]
        )
        text = "\n  ".join(shown)
        err.print(f"{hospital}'s own log: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _say_outcome(results: dict[str, Any]) -> None:
    """Who took part, and what a reader must know."""
    absent = results["left_out"] | {entry["hospital"]: entry["code"] for entry in results["lost"]}
    everyone = set(results["sites"]) | set(absent)
    say(f"{len(everyone) - len(absent)} of {len(everyone)} hospitals took part", "yellow" if absent else "")
    for hospital, code in sorted(absent.items()):
        say(
            f"  without {hospital} ({code}): mend what its own log says, then start anew with --overwrite",
            "yellow",
        )
    for note in results["notes"]:
        say(f"Note: {note}")


def main() -> None:
    """Run the command."""
    app()
