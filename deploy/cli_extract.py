"""`hepafed site extract`: from a hospital's images to features in its own store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, refuse_existing, say

if TYPE_CHECKING:
    from client.extraction_run.run import Done
    from client.site import Site
    from common.study import Study

FAILED_SHOWN = 20


def extract(
    study: Annotated[Path, typer.Argument(help="The study's file; its section features says what is computed.")],
    folder: Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, images/.")] = Path("."),
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, help="Patients at a time. Default: as many as processors.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="A patient who takes longer is given up, the others go on.")
    ] = 30.0,
    again: Annotated[
        bool, typer.Option("--again", help="Try failed patients again although their files have not changed.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Also write the features as a table for this hospital's own use.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the table if there is one.")] = False,
) -> None:
    """Compute the features that a study asks for, from this hospital's images. Nothing leaves the hospital.

    What is computed is kept in the hospital's own store (site.yaml: own_folder), by the content of a patient's files
    and the study's settings: an unchanged patient costs nothing the second time, a run that was killed goes on where
    it was, and two runs at once share the work. A patient whose images cannot be used is named with the reason and
    the cure, and does not stop the others.

    The exit code is 0 when every patient has features, 2 when some failed, 1 when nothing could be done.

    Example: hepafed site extract study.yaml hospitals/aspen --processes 2
    """
    from client.extraction_run.run import Asked, extract_hospital
    from client.site import open_site
    from common.study import Study
    from deploy.computed_features import check_predictors
    from deploy.extraction_progress import ExtractionProgress

    if not folder.is_dir():
        fail(
            f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv and images/"
        )
    if csv is not None:
        _refuse_table(csv, overwrite)
    console = Console()
    try:
        read = Study.from_file(study)
        check_predictors(read)
        site = open_site(folder.resolve())
        with ExtractionProgress(console) as progress:
            done = extract_hospital(site, read, Asked(processes, minutes, again), progress.watch)
        if csv is not None:
            _write_table(csv, site, read, done)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to read the folder and write to its own_folder")
    except KeyboardInterrupt:
        fail("Stopped. What was computed is kept: the same command goes on from here.")
    say_what_was_done(console, done, site.extracted)
    if csv is not None:
        say(console, f"Written: {csv} (patients' features: it stays in the hospital)")
    if done.failed:
        raise typer.Exit(code=2)


def _refuse_table(csv: Path, overwrite: bool) -> None:
    """Before hours of work, not after them."""
    refuse_existing(csv, overwrite, "--csv")
    if not csv.resolve().parent.is_dir():
        fail(f"{csv}: there is no folder {csv.resolve().parent}; name a file in a folder that exists")


def _write_table(csv: Path, site: "Site", study: "Study", done: "Done") -> None:
    from client.extraction_run.table import write_table

    if csv.resolve() in (site.folder / site.file.patients, site.folder / site.file.features):
        fail(f"{csv} is one of the hospital's own files, which are only read: name another file with --csv")
    write_table(site, study, done.with_features, csv)


def say_what_was_done(console: Console, done: "Done", store: Path) -> None:
    """Who has features now, who has none and why."""
    for note in done.notes:
        say(console, f"Note: {note}", style="yellow")
    for patient in sorted(done.failed)[:FAILED_SHOWN]:
        say(console, f"Failed: {done.failed[patient]}", style="red")
    if len(done.failed) > FAILED_SHOWN:
        say(console, f"Failed: {len(done.failed) - FAILED_SHOWN} more", style="red")
    parts = [f"{len(done.computed)} computed", f"{len(done.kept)} unchanged"]
    if done.elsewhere:
        parts.append(f"{len(done.elsewhere)} by another process")
    parts.append(f"{len(done.failed)} failed")
    say(console, f"{done.patients} patients: {', '.join(parts)}. Kept in {store}")
