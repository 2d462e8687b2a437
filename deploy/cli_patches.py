"""`hepafed site patches`: from a hospital's images to what a network sees of them, in the hospital's own store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail


def patches(
    study: Annotated[Path, typer.Argument(help="The study's file; its section patches says what a network sees.")],
    folder: Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, images/.")] = Path("."),
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, help="Patients at a time. Default: as many as processors.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="A patient who takes longer is given up, the others go on.")
    ] = 10.0,
    again: Annotated[
        bool, typer.Option("--again", help="Try failed patients again although their files have not changed.")
    ] = False,
) -> None:
    """Cut what a study's network looks at out of this hospital's images. Nothing leaves the hospital.

    Patches are kept in the hospital's own store (site.yaml: own_folder), by the content of a patient's files and the
    study's settings: an unchanged patient costs nothing the second time, and a run that was killed goes on where it
    was. A patient whose images cannot be used is named with the reason and the cure, and does not stop the others.

    The exit code is 0 when every patient has a patch, 2 when some failed, 1 when nothing could be done.

    Example: hepafed site patches study.yaml hospitals/aspen --processes 2
    """
    from client.extraction_run.done import Asked
    from client.patches.run import patch_hospital
    from client.site import open_site
    from common.study import Study
    from deploy.cli_extract import say_what_was_done
    from deploy.extraction_progress import ExtractionProgress

    if not folder.is_dir():
        fail(
            f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv and images/"
        )
    console = Console()
    try:
        read = Study.from_file(study)
        site = open_site(folder.resolve())
        with ExtractionProgress(console) as progress:
            done = patch_hospital(site, read, Asked(processes, minutes, again), progress.watch)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to read the folder and write to its own_folder")
    except KeyboardInterrupt:
        fail("Stopped. What was made is kept: the same command goes on from here.")
    say_what_was_done(console, done, site.extracted)
    if done.failed:
        raise typer.Exit(code=2)
