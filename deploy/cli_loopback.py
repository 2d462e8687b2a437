"""`hepafed loopback`: the whole of a federation on this machine, as a rehearsal."""

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError, StudyStopped
from deploy.terminal import fail, say


def loopback(
    study: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")],
    sites: Annotated[Path, typer.Option(help="Folder that holds one folder a hospital.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, results.json, sites/ and consortium/.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")] = False,
) -> None:
    """Rehearse a study with real processes on this machine: certificates, gateway, SuperLink, a daemon a hospital.

    results.json is the same as that of `hepafed simulate`, times apart. Nothing listens on anything but the loopback
    address. The table of exchanges with their times is shown at the end, and kept in OUT/exchanges.txt.

    Example: hepafed loopback demo/study.yaml --sites demo --out rehearsal
    """
    import shutil
    from functools import partial

    from common.study import Study
    from deploy.extraction_progress import ExtractionProgress
    from deploy.live import Live
    from deploy.loopback import CONSORTIUM, federation, finish, interrupted, run_study
    from deploy.simulation.imaging import work_on_images
    from deploy.simulation.simulate import Simulation, find_hospitals, prepare_out
    from server.progress_file import exchanges_of, table_of
    from server.results.results_json import ONE_MACHINE

    console = Console()
    # What the federation started is ended in any case; a plain SIGTERM would leave that to the kernel.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        read = Study.from_file(study)
        folders = {name: folder.resolve() for name, folder in find_hospitals(sites).items()}
        begun = (out / CONSORTIUM).exists()
        if begun and not (resume or overwrite):
            raise HepafedError(f"{out} holds a run already: --resume goes on with it, --overwrite replaces it")
        prepare_out(out, folders, resume, overwrite)
        if overwrite:
            shutil.rmtree(out / CONSORTIUM, ignore_errors=True)
        say(console, ONE_MACHINE, "yellow")
        say(console, "Lower profile: where a site.yaml is silent, the hospital's approval is taken as given.")
        simulation = Simulation(read, folders, out)
        for hospital, said in work_on_images(simulation, partial(ExtractionProgress, console)):
            say(console, f"{hospital}: {said}", "yellow" if "failed" in said else "")
        with federation(out.resolve(), folders) as running, Live(console) as live:
            run = interrupted(running, read) if resume else None
            if run is None:
                run = run_study(running, read, live)
            else:
                finish(running, run, live)
    except StudyStopped as error:
        fail(str(error), code=2)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; --out names a folder that you may write to")
    except KeyboardInterrupt:
        fail(f"Stopped; go on with: hepafed loopback {study} --sites {sites} --out {out} --resume", code=2)
    table = table_of(exchanges_of(run.events()))
    (out / "exchanges.txt").write_text("\n".join(table) + "\n", encoding="utf-8")
    for line in table:
        say(console, line)
    say(console, f"Report: {out / 'report.html'}")
