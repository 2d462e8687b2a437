"""`hepafed site import`: a PACS export into images/, by a plan that a person confirms."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, say

if TYPE_CHECKING:
    from client.cohort.import_plan import PlanRow
    from client.cohort.pacs_scan import Scan
    from client.site import Site

KEY = "pseudonym.key"
IDENTITIES = "identities.csv"
PLAN = "import_plan.csv"
UNUSABLE = 2
"""The exit code of a call that cannot be used; 1 says that somebody could not be imported."""


def import_export(
    export: Annotated[Path, typer.Argument(metavar="DICOM_FOLDER", help="The folder that the PACS exported.")],
    into: Annotated[Path, typer.Option(help="The hospital's folder; images/ is made in it.")] = Path("."),
    plan: Annotated[
        Path | None,
        typer.Option(help=f"The plan: imported if it is there, else written. Default: {PLAN} in the folder."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Import what is proposed, without asking: for scripts.")
    ] = False,
) -> None:
    """Bring a PACS export into images/: sorted by patient and phase, under pseudonyms, with no tag that identifies.

    The first call reads every header, shows what it would import under which name, and writes the plan, a table for
    a spreadsheet; on a terminal it then asks whether to go on. Where the plan is wrong, edit its columns import
    (yes or no), name, frames, crop_px and no_text_confirmed_by, and call again with --plan.

    The key of the pseudonyms and the list of who is who stay in the hospital's own folder (.hepafed). A patient who is
    in images/ already is not touched. The exit code is 0 when everything in the plan was imported, 1 when something
    could not be, 2 when the call cannot be used.

    Example: hepafed site import /media/export --into HOSPITAL
    """
    from client.site import open_site

    console = Console()
    if not export.is_dir():
        fail(f"{export}: there is no such folder; name the folder that the PACS exported", UNUSABLE)
    try:
        into.mkdir(parents=True, exist_ok=True)
        site = open_site(into.resolve())
        _check_places(site, export)
        confirmed = plan is not None and plan.exists()
        path = plan or into / PLAN
        if path.exists() and not confirmed and not yes:
            fail(
                f"{path} is there already: add --plan {path} to import it, or delete it to make it anew", UNUSABLE
            )
        scan = _scan(console, site, export)
        if confirmed:
            rows = _read(path, scan)
        else:
            rows = _propose(console, site, scan)
            if not yes and not _asked(
                console, path, rows, f"hepafed site import {export} --into {into} --plan {path}"
            ):
                return
        complete = _import(console, site, scan, rows, into)
    except HepafedError as error:
        fail(str(error), UNUSABLE)
    except ModuleNotFoundError as error:
        fail(f"{error.name} cannot be imported: install with pip install 'hepafed[images]'", UNUSABLE)
    except OSError as error:
        place = error.filename or into
        fail(f"{place}: {error.strerror}; let this account read the export and write the folder", UNUSABLE)
    except KeyboardInterrupt:
        fail("Stopped. Patients imported so far are complete; the same command goes on with the others.")
    if not complete:
        raise typer.Exit(code=1)


def _check_places(site: "Site", export: Path) -> None:
    images = site.images.resolve()
    if export.resolve() == images or images in export.resolve().parents:
        fail(
            f"{export} lies in {site.images}, where imported images go: move the export elsewhere, or, if its series "
            "are sorted by patient and phase already, run hepafed site check",
            UNUSABLE,
        )
    own = site.own_folder.resolve()
    if own == images or images in own.parents:
        fail(
            f"{site.own_folder} lies in {site.images}: key and list of who is who must lie apart from images; change "
            "own_folder in site.yaml",
            UNUSABLE,
        )


def _scan(console: Console, site: "Site", export: Path) -> "Scan":
    from client.cohort.pacs_scan import scan_export
    from client.cohort.pseudonyms import open_key
    from deploy.import_words import print_left_out

    key = site.own_folder / KEY
    is_new = not key.exists()
    site.own_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pseudonyms = open_key(key)
    if is_new:
        say(
            console,
            f"A new key of pseudonyms: {key}. Back it up inside the hospital; without it the next import gives every "
            "patient another pseudonym.",
            "yellow",
        )
    with console.status("Reading headers …"):
        scan = scan_export(export, pseudonyms)
    print_left_out(console, scan.left_out)
    if not scan.studies:
        files = sum(path.is_file() for path in export.rglob("*"))
        fail(
            f"{export}: no DICOM image with a PatientID among {files:,} files; name the folder that holds the export "
            "(DICOM files, whatever they are called; archives unpacked)",
            UNUSABLE,
        )
    return scan


def _read(path: Path, scan: "Scan") -> "list[PlanRow]":
    from client.cohort.import_plan import make_plan
    from client.cohort.plan_file import read_plan

    proposed = make_plan(scan)
    wanted = {row.series for row in proposed if row.taken}
    rows = [
        replace(row, reason="the plan says no") if row.series in wanted and not row.taken else row
        for row in read_plan(path, proposed)
    ]
    if not any(row.taken for row in rows):
        fail(f"{path}: no line says yes in the column import; write yes where a series is wanted", UNUSABLE)
    return rows


def _propose(console: Console, site: "Site", scan: "Scan") -> "list[PlanRow]":
    from client.cohort.import_plan import make_plan
    from deploy.import_words import print_plan

    rows = make_plan(scan)
    print_plan(console, rows)
    for patient in sorted({row.patient for row in rows}):
        if (site.images / patient).exists():
            say(console, f"{patient} is in {site.images.name}/ already and will not be touched", "yellow")
    return rows


def somebody_answers(console: Console) -> bool:
    """Whether a person sits at both ends."""
    return sys.stdin.isatty() and console.is_terminal


def _asked(console: Console, path: Path, rows: "list[PlanRow]", again: str) -> bool:
    """Write the plan; ask for confirmation where somebody can answer."""
    from client.cohort.plan_file import write_plan

    write_plan(path, rows)
    say(console, f"The plan: {path}")
    if (
        somebody_answers(console)
        and any(row.taken for row in rows)
        and typer.confirm("Import this as it stands?", default=False)
    ):
        return True
    say(console, f"Nothing is imported yet. Edit the plan in a spreadsheet where it is wrong, then:\n  {again}")
    return False


def _import(console: Console, site: "Site", scan: "Scan", rows: "list[PlanRow]", into: Path) -> bool:
    """Import patient by patient; whether everything in the plan was imported."""
    from client.cohort.pacs_import import import_patients
    from client.cohort.pseudonyms import write_identities
    from deploy.import_words import print_imported, print_result

    wanted = {row.patient for row in rows if row.taken}
    # Before the images: a folder whose patient nobody knows would be worse than a line too many.
    known = {patient_id: pseudonym for patient_id, pseudonym in scan.identities.items() if pseudonym in wanted}
    write_identities(site.own_folder / IDENTITIES, known)
    done = []
    with console.status("Importing …") as status:
        for number, result in enumerate(import_patients(scan, rows, site.images), start=1):
            done.append(result)
            print_imported(console, result)
            status.update(f"Importing … {number} of {len(wanted)} patients")
    print_result(console, scan, rows, done, site, into)
    return bool(done) and not any(result.findings for result in done)
