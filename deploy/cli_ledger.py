"""`hepafed site ledger` and `hepafed site identity`: what left, and who signs."""

import logging
import logging.handlers
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, say

if TYPE_CHECKING:
    from client.ledger import Entry
    from client.site import Site
    from client.store import Store
    from deploy.ledger_words import Line

FAULTS_FOUND = 1
UNUSABLE = 2
SYSLOG_PORT = 514

Folder = Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, site.yaml.")]
OwnFolder = Annotated[
    Path | None,
    typer.Option(help="Where the store is, if site.yaml does not say: a simulation's OUT/sites/NAME."),
]


def identity(
    folder: Folder = Path("."),
    new_store_key: Annotated[
        bool, typer.Option("--new-store-key", help="Make a new key for the store, and encrypt everything anew.")
    ] = False,
    own_folder: OwnFolder = None,
) -> None:
    """Print the hospital's name and the fingerprint of its long-term key, made if there is none yet.

    The fingerprint is what the hospitals of a study compare, over the telephone or on paper, before they approve
    it: whoever holds another key is not that hospital.

    Example: hepafed site identity hospitals/aspen
    """
    from client.identity import Identity
    from client.resealing import reseal

    site = site_at(folder, own_folder)
    try:
        if new_store_key:
            reseal(site.own)
        opened = Identity.open(site.own)
    except HepafedError as error:
        fail(str(error), UNUSABLE)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to write to its own_folder", UNUSABLE)
    console = Console()
    if new_store_key:
        say(console, f"The key in {site.own.key_file} is new; copies of the old one open old copies alone")
    say(console, f"Name: {site.name}")
    say(console, f"Fingerprint, to be read out: {opened.spoken_fingerprint}")
    say(console, f'Line for a roster: {site.name}: "{opened.fingerprint}"')


def ledger(
    folder: Folder = Path("."),
    show: Annotated[int | None, typer.Option(min=1, help="Show one entry and the answer before masking.")] = None,
    values: Annotated[bool, typer.Option("--values", help="With --show: every value of every array.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the ledger as a csv file.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Find any entry that was edited, removed or moved.")
    ] = False,
    against: Annotated[
        str | None, typer.Option(help="With --verify: a head that was exported earlier; it must still be there.")
    ] = None,
    head: Annotated[bool, typer.Option("--head", help="Print the head: the hash of the last entry.")] = False,
    syslog: Annotated[
        str | None, typer.Option(help="Send the head to a syslog: /dev/log, HOST or HOST:PORT.")
    ] = None,
    own_folder: OwnFolder = None,
) -> None:
    """List what left this hospital: every answer, repetition and refusal, in order. Nothing is changed.

    An answer is listed as prepared before it is sent, and as sent when it was handed over for sending. Export the
    head from time to time to where nobody in the hospital can change it (--syslog, --head): with it, --verify finds
    even that the last entries are gone.

    The exit code is 0 when all is well, 1 when --verify found something, 2 when the call cannot be used.

    Example: hepafed site ledger hospitals/aspen --verify --against 5f0c…
    """
    from client.ledger import START
    from client.store import Store

    if values and show is None:
        fail("--values shows the values of one entry: add --show and its number", UNUSABLE)
    if against is not None and not verify:
        fail("--against is a head to verify the ledger against: add --verify", UNUSABLE)
    site = site_at(folder, own_folder)
    console = Console()
    if not site.own.store.is_file():
        if against not in (None, START):
            fail(f"{site.own.store} is not there, and with it every entry up to the head {against}", FAULTS_FOUND)
        say(console, f"{site.name} has no store at {site.own.store}: nothing has left.")
        return
    try:
        with closing(Store(site.own)) as store:
            if verify:
                _verify(console, site, store, against)
            if head or syslog is not None:
                _give_head(console, site, store, head, syslog)
            if not (verify or head or syslog is not None):
                _list(console, store, show, values, csv)
    except HepafedError as error:
        fail(str(error), UNUSABLE)
    except OSError as error:
        fail(f"{error.filename or syslog or folder}: {error.strerror or error}", UNUSABLE)
    except (ValueError, TypeError, KeyError):
        fail("An entry cannot be read; `hepafed site ledger --verify` says which", FAULTS_FOUND)


def send_to_syslog(text: str, place: str) -> None:
    """Send one line to a syslog: a local socket, or a host by UDP, which does not confirm that it arrived."""
    if place.startswith("/"):
        address: str | tuple[str, int] = place
    else:
        host, _, port = place.partition(":")
        if port and not port.isdecimal():
            fail(
                f"{place} is no syslog: /dev/log, HOST and HOST:PORT are, such as log.hospital.example:514",
                UNUSABLE,
            )
        address = (host, int(port or SYSLOG_PORT))
    handler = _Syslog(address, facility=logging.handlers.SysLogHandler.LOG_AUTHPRIV)
    with closing(handler):
        handler.emit(logging.LogRecord("hepafed", logging.INFO, __file__, 0, text, None, None))


class _Syslog(logging.handlers.SysLogHandler):
    """A handler whose failure is heard."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Called while the exception is being handled: let it go on."""
        raise


def site_at(folder: Path, own_folder: Path | None) -> "Site":
    """The hospital of a folder, or of a simulation's; says in words what is wrong."""
    from client.site import open_site

    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv", UNUSABLE)
    if own_folder is not None and not own_folder.is_dir():
        fail(f"{own_folder}: there is no such folder; a simulation writes OUT/sites/NAME", UNUSABLE)
    try:
        return open_site(folder.resolve(), own_folder, lower_profile=own_folder is not None)
    except HepafedError as error:
        fail(str(error), UNUSABLE)


def _verify(console: Console, site: "Site", store: "Store", against: str | None) -> None:
    from client.identity import Identity
    from client.ledger_check import check_ledger

    if not site.own.identity.exists():
        fail(f"{site.own.identity} is not there: put it back; signatures are checked with it", UNUSABLE)
    verdict = check_ledger(store, Identity.open(site.own).public_bytes, against)
    for fault in verdict.faults:
        say(console, fault, style="red")
    if verdict.faults:
        say(
            console,
            f"{len(verdict.faults)} faults in {verdict.entries} entries: keep a copy of {site.own.store} "
            "as it is, and tell whoever answers for this hospital's data",
        )
        raise typer.Exit(code=FAULTS_FOUND)
    say(console, f"{verdict.entries} entries: none edited, removed or moved")
    if against is None:
        say(
            console,
            "Whether the last entries are all there shows only against a head that was exported: --against",
        )


def _give_head(console: Console, site: "Site", store: "Store", printed: bool, syslog: str | None) -> None:
    """The hash of the last entry, to where nobody in the hospital can change it."""
    from client.ledger import head

    number, last = head(store)
    if printed:
        say(console, last)
    if syslog is not None:
        send_to_syslog(f"hepafed ledger of {site.name}: {number} entries, head {last}", syslog)
        say(console, f"Sent to {syslog}: {number} entries, head {last}")


def _list(console: Console, store: "Store", show: int | None, values: bool, csv: Path | None) -> None:
    """All entries, as a file or on the screen, or one of them."""
    from client.ledger import entries
    from deploy.ledger_words import lines_of, print_lines

    lines = lines_of(store, entries(store))
    if csv is not None:
        _write_csv(csv, lines)
        say(console, f"Written: {csv} ({len(lines)} entries)")
    elif show is not None:
        _show(console, store, lines, show, values)
    else:
        print_lines(console, lines)


def _show(console: Console, store: "Store", lines: "list[Line]", number: int, values: bool) -> None:
    from deploy.ledger_words import print_entry

    by_number: dict[int, Line] = {line.entry.number: line for line in lines}
    if number not in by_number:
        last = lines[-1].entry.number if lines else 0
        fail(f"there is no answer with the number {number}; the last one is {last}", UNUSABLE)
    line = by_number[number]
    answered: Entry = by_number[line.entry.of].entry if line.entry.of else line.entry
    print_entry(console, store, line, answered, values)


def _write_csv(path: Path, lines: "list[Line]") -> None:
    from client.own_files import write_csv
    from deploy.ledger_words import CSV_HEADER, csv_lines

    if path.exists():
        fail(f"{path} is there already; name another file with --csv", UNUSABLE)
    write_csv(path, CSV_HEADER, csv_lines(lines))
