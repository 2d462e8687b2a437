"""`hepafed site check`: a hospital's folder looked over before anything is computed."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.errors import HepafedError
from deploy.terminal import fail, refuse_existing, say

UNUSABLE = 2
"""The exit code of a call that cannot be used; 1 says that something stops."""


def check(
    folder: Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, images/.")] = Path("."),
    study: Annotated[
        Path | None, typer.Option(help="The study's file: its phases, rings, ranges and outcome count.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with a picture a patient and phase; it shows patients.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page if there is one.")] = False,
) -> None:
    """Check a hospital's folder, patient by patient: every finding with its cure. Nothing is changed, nothing sent.

    Images, masks and rings are looked at, and patients.csv: ids, outcomes, implausible values, patients without
    images and images without patients. A finding stops a patient until it is cured, or asks somebody to look.

    The exit code is 0 when nothing stops, 1 when something stops, 2 when the call cannot be used.

    Example: hepafed site check HOSPITAL --study study.yaml --html check.html
    """
    try:
        from client.cohort.check_page import write_check_page
        from client.cohort.clinical_checks import findings_of
        from client.cohort.readable_site import open_as_far_as_readable
        from client.cohort.site_check import check_site
        from common.study import Study
        from deploy.check_words import print_check
    except ModuleNotFoundError as error:
        fail(f"{error.name} cannot be imported: install with pip install 'hepafed[images]'", UNUSABLE)

    if html is not None:
        refuse_existing(html, overwrite, "--html", code=UNUSABLE)
    if html is not None and not html.resolve().parent.is_dir():
        fail(f"{html}: there is no folder {html.parent}; make it first", UNUSABLE)
    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the one that holds patients.csv and images/", UNUSABLE)
    try:
        asked = None if study is None else Study.from_file(study)
        site, misread = open_as_far_as_readable(folder.resolve())
        with _bar() as bar:
            task = bar.add_task("Checking patients", total=None)
            found = check_site(
                site,
                asked,
                pictures=html is not None,
                progress=lambda done, of: bar.update(task, completed=done, total=of),
            )
        if misread is not None:
            found = replace(found, hospital=(*findings_of(misread, site), *found.hospital))
        if html is not None:
            write_check_page(html, found)
    except HepafedError as error:
        fail(str(error), UNUSABLE)
    except KeyboardInterrupt:
        fail("Stopped; nothing was written.", UNUSABLE)
    except OSError as error:
        place = error.filename or folder
        fail(f"{place}: {error.strerror}; let this account read the folder and write the page", UNUSABLE)
    console = Console()
    print_check(console, found)
    if html is not None:
        say(console, f"Page: {html} (it shows patients: it stays in the hospital)")
    if found.anything_stops:
        raise typer.Exit(code=1)


def _bar() -> Progress:
    """A progress bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
