"""`hepafed site approve`, `revoke` and `withdraw`: what a hospital agrees to, and how it takes that back."""

import getpass
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.errors import HepafedError
from common.query import FEWEST_HOSPITALS
from deploy.terminal import fail, say

if TYPE_CHECKING:
    from client.approval import Approval
    from client.site import Site
    from common.study import Study
    from deploy.rehearsal import Rehearsed

REFUSED = 2
Folder = Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, site.yaml.")]


def approve(
    study: Annotated[Path, typer.Argument(help="The study's file; what is approved is exactly what it says.")],
    folder: Folder = Path("."),
    roster: Annotated[
        Path, typer.Option(help="The hospitals: a YAML file of lines name: fingerprint of its key.")
    ] = Path("roster.yaml"),
    approved_by: Annotated[str, typer.Option(help="Who approves. Default: the user of this machine.")] = "",
    ethics: Annotated[str, typer.Option(help="Number of the ethics vote.")] = "",
    ethics_until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The vote's last day; nothing is answered after it."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Compute every answer here, show names, shapes and verdicts; send nothing."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked.")] = False,
) -> None:
    """Show in plain words what a study will ask of this hospital, and approve it.

    Nothing is answered for a study that was not approved here, was changed by a byte since, or is asked with other
    hospitals than the roster names. Approval can be revoked at any time (hepafed site revoke): a running study then
    stops at its next question. With --dry-run the whole study is run inside this hospital, with copies of it in the
    others' places: nothing is approved, kept or sent.

    The exit code is 0 when the study is approved or a dry run came to its end, 1 when the call or a file cannot be
    used or approval was not given, 2 when the gate refused something in a dry run.

    Example: hepafed site approve study.yaml hospitals/aspen --roster roster.yaml --ethics 2026-041 --ethics-until
    2028-12-31
    """
    from client.approval import approved_now, check_own_seat, read_roster
    from client.identity import Identity
    from common.study import Study
    from deploy.approval_words import approval_in_words, most_queries
    from deploy.rehearsal import rehearse

    console = Console()
    until = None if ethics_until is None else ethics_until.date()
    try:
        read, hospitals, site = Study.from_file(study), read_roster(roster), _site(folder)
        _refuse_what_cannot_run(read, hospitals, until)
        check_own_seat(hospitals, site.name, Identity.open(site.own).fingerprint)
        _show(console, approval_in_words(read, site, hospitals, ethics, until))
        _warn_of_near_cohorts(console, site, read)
        if dry_run:
            _say_what_would_leave(console, rehearse(site, read, hospitals, most_queries(read)))
            return
        by = approved_by or getpass.getuser()
        if not yes and not typer.confirm(f"Approve this study for {site.name}, as {by}?"):
            fail("Not approved. Nothing was recorded.")
        given = approved_now(read, hospitals, by, most_queries(read), ethics=ethics, expires=until)
        _record(console, site, read, given)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to write to this hospital's own_folder")


def _warn_of_near_cohorts(console: Console, site: "Site", study: "Study") -> None:
    """What the gate would refuse later is said before anybody agrees."""
    from client.near_cohorts import near_cohorts
    from client.store import Store

    with closing(Store(site.own)) as store:
        for text in near_cohorts(site, store, study):
            say(console, text, style="yellow")


def _record(console: Console, site: "Site", study: "Study", given: "Approval") -> None:
    from client.approval import approve
    from client.near_cohorts import keep_approved
    from client.store import Store

    with closing(Store(site.own)) as store:
        approve(store, given)
        keep_approved(store, study)
    said = f"Approved: {given.name} ({given.study[:12]}…) by {given.approved_by}"
    say(console, f"{said}. To take it back: hepafed site revoke {given.name}")


def _refuse_what_cannot_run(study: "Study", roster: Mapping[str, str], until: date | None) -> None:
    """An approval under which nothing could ever be answered is a mistake."""
    if until is not None and until < datetime.now(UTC).date():
        fail(
            f"--ethics-until {until} is past: nothing would be answered; give the last day of the vote that holds"
        )
    alone = study.validation.leave_one_hospital_out or study.harmonisation.reference is not None
    if alone and len(roster) <= FEWEST_HOSPITALS:
        fail(
            f"the study derives sums of single hospitals, for which {FEWEST_HOSPITALS + 1} hospitals are needed; the "
            f"roster has {len(roster)}: add hospitals, or set validation.leave_one_hospital_out: false"
        )


def revoke(
    study: Annotated[str, typer.Argument(help="The study's name, its hash, or its file.")],
    folder: Folder = Path("."),
) -> None:
    """Revoke this hospital's approval: a running study stops at its next question here.

    What has been sent cannot be taken back; a model that was released stays as it is.

    Example: hepafed site revoke mvi-demo hospitals/aspen
    """
    from client.approval import revoke as take_back
    from client.store import Store
    from common.study import Study

    try:
        name = Study.from_file(Path(study)).hash if Path(study).is_file() else study
        with closing(Store(_site(folder).own)) as store:
            found = take_back(store, name)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to write to this hospital's own_folder")
    if not found:
        fail(f"{study}: no approval of a study of this name or hash that still holds; nothing was changed")
    for study_hash in found:
        say(Console(), f"Revoked: {study_hash}. Nothing more is answered for it from now on")


def withdraw(
    patient: Annotated[str, typer.Argument(help="The patient's id, as in patients.csv.")],
    folder: Folder = Path("."),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Leave a patient who has withdrawn out of every query from now on.

    A study that is running with this patient is suspended here: answering it without the patient would show the
    patient by subtraction. It goes on as a new version, once ten patients of the cohort have changed. A model that
    was released is not fitted again. The patient's row may stay in patients.csv or be deleted.

    Example: hepafed site withdraw P0317 hospitals/aspen
    """
    from client.cohort.patients_file import open_patients_file
    from client.store import Store
    from client.withdrawal import withdraw as leave_out

    try:
        site = _site(folder)
        known = set(open_patients_file(site, {}).table.ids)
        if patient not in known:
            fail(f"{patient} is no id in {site.folder / site.file.patients}; nothing was changed")
        if not yes and not typer.confirm(f"Leave {patient} out of all studies of {site.name}, for good?"):
            fail("Nothing was changed.")
        with closing(Store(site.extracted_in)) as store:
            leave_out(store, patient)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to write to this hospital's own_folder")
    say(
        Console(),
        f"{patient} has withdrawn: in no query from now on. Studies that are running with this patient stop",
    )


def _site(folder: Path) -> "Site":
    from client.site import open_site

    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv")
    return open_site(folder.resolve())


def _show(console: Console, words: list[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in words:
        table.add_row(Text(heading), Text(text))
    console.print(table)


def _say_what_would_leave(console: Console, rehearsed: "Rehearsed") -> None:
    """Every answer by name and shapes with the gate's verdict; exits with a code of its own where it refused."""
    for number, entry in enumerate(rehearsed.answers, start=1):
        sums = [f"{name} {'×'.join(map(str, shape)) or '1'}" for name, shape in entry.shapes.items()]
        clear = [f"in clear: {', '.join(entry.in_clear)}"] if entry.in_clear and not entry.code else []
        held = ", ".join(f"{name} {value}" for name, value in entry.thresholds.items())
        verdict = f"refused ({entry.code})" if entry.code else f"passed ({held})"
        say(console, f"{number:>3} {entry.query}: {'; '.join([', '.join(sums) or 'no sums', *clear])} → {verdict}")
    for reason in rehearsed.reasons:
        say(console, f"Refused: {reason}", style="red")
    if rehearsed.stopped:
        say(console, f"The rehearsal stopped: {rehearsed.stopped}", style="yellow")
    say(
        console,
        "Dry run: nothing was sent, kept or approved. The other hospitals were copies of this one, so numbers of "
        "patients in total are as if all were alike; on the day, each signs its own.",
    )
    if rehearsed.reasons or rehearsed.stopped:
        raise typer.Exit(code=REFUSED)
