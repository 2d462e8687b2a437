"""`hepafed site start`, `status`, `doctor`, `backup`, `restore` and `leave`: keeping a hospital connected, and not."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.cli_ledger import site_at
from deploy.terminal import fail, say

COLOURS = {"well": "", "mind": "yellow", "broken": "red"}
Folder = Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, site.yaml.")]


def start(folder: Folder = Path(".")) -> None:
    """Keep this hospital's daemon running until SIGTERM or Ctrl-C: forwarder, SuperNode, executor.

    It makes one connection to the consortium's gateway and opens no port to the outside. A coordinator that is away is
    tried again for ever. When it is told to end, the answer that is being worked out is sent first. Its log,
    daemon.log in the hospital's own folder, holds lines of JSON, without anything of patients.

    Example: hepafed site start hospitals/aspen
    """
    from client.daemon import Daemon

    site = site_at(folder, None)
    say(Console(), f"{site.name}'s daemon; its log is {site.own_folder / 'daemon.log'}")
    try:
        Daemon(site.folder, site.own_folder.resolve()).run()
    except HepafedError as error:
        fail(str(error))


def status(folder: Folder = Path(".")) -> None:
    """Say how this hospital's daemon is; for monitoring, the exit code: 0 well, 1 not connected, 2 not running.

    Example: hepafed site status hospitals/aspen
    """
    from client.daemon import health

    found = health(site_at(folder, None).own_folder)
    for line in found.lines:
        say(Console(), line, "" if found.code == 0 else "yellow")
    raise typer.Exit(found.code)


def doctor(folder: Folder = Path(".")) -> None:
    """Look at everything that a connection needs, and say for each finding what to do about it.

    Versions, data folder, own folder, disk, certificate, names, network or proxy, gateway, clock, daemon. Nothing is
    changed. The exit code is 1 where something is broken.

    Example: hepafed site doctor hospitals/aspen
    """
    from client.doctor import examine

    console = Console()
    findings = examine(site_at(folder, None))
    for finding in findings:
        say(console, f"{finding.level:>6}  {finding.what}: {finding.found}", COLOURS[finding.level])
        if finding.cure:
            say(console, f"        → {finding.cure}")
    broken = sum(finding.level == "broken" for finding in findings)
    say(console, f"{broken} broken" if broken else "Nothing is broken", "red" if broken else "")
    raise typer.Exit(int(broken > 0))


VARIABLE = "HEPAFED_BACKUP_PASSPHRASE"


def backup(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    folder: Folder = Path("."),
) -> None:
    """Back up what this hospital cannot make again: keys, store with the ledger, connection.

    The file is encrypted with a passphrase, which is asked for, or taken from HEPAFED_BACKUP_PASSPHRASE. Keep the two
    in different places. Patients' files, logs and copies of results are not in it. The daemon may go on meanwhile.

    Example: hepafed site backup /backups/aspen.hepafed hospitals/aspen
    """
    from client.backup import back_up

    site = site_at(folder, None)
    passphrase = _passphrase(confirm=True)
    try:
        done = back_up(site, out, passphrase)
    except HepafedError as error:
        fail(str(error))
    except FileExistsError:
        fail(f"{out} is there already; name another file")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a file in a folder that you may write to")
    say(Console(), f"{out}: {', '.join(done.names)}")
    if done.without:
        say(Console(), f"Not there, so not in it: {', '.join(done.without)}")


def restore(
    source: Annotated[Path, typer.Argument(help="The backup.")],
    folder: Folder = Path("."),
) -> None:
    """Put a backup back, on a new machine or after keys were lost; replaces nothing that is there.

    Every approval is revoked: what was answered after the backup is not in it, so a person looks first, and approves
    again. The daemon must not be running.

    Example: hepafed site restore /backups/aspen.hepafed hospitals/aspen
    """
    from client.backup import restore as put_back

    site = site_at(folder, None)
    try:
        revoked = put_back(site, source, _passphrase(confirm=False))
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; check the file, and that you may write to {site.own_folder}")
    console = Console()
    say(console, f"{site.own_folder} is as it was when the backup was made")
    say(
        console,
        "What was answered since is not known here, nor the privacy budget spent since. Compare with the coordinator's "
        "record before you approve a study again; do not approve one that went on after the backup",
        "yellow",
    )
    for name in revoked:
        say(console, f"Approval revoked: {name}", "yellow")
    say(console, f"Next: hepafed site doctor {folder}")


def leave(
    study: Annotated[str, typer.Argument(help="The study's name or its hash.")],
    folder: Folder = Path("."),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
) -> None:
    """Leave a study: nothing more is answered for it, and this hospital's copies of its results are deleted.

    Copies that another study wrote stay, and so do those of which nobody can tell whose they are; both are named.

    Example: hepafed site leave mvi-demo hospitals/aspen
    """
    from client.leaving import STAYS, copies_of
    from client.leaving import leave as go
    from client.own_copies import in_few_words

    site = site_at(folder, None)
    console = Console()
    try:
        copies = copies_of(site, study)
    except HepafedError as error:
        fail(str(error))
    there = in_few_words(site.own_folder, copies.go)
    there = there or "none of this study are there"
    say(console, f"Goes: the approval of {study}, if it still holds; copies of results: {there}")
    say(console, "What stays:")
    for why in dict.fromkeys(reason for _, reason in copies.stay):
        kept = in_few_words(site.own_folder, [path for path, reason in copies.stay if reason == why])
        say(console, f"  {kept}: {why}", "yellow")
    for line in STAYS:
        say(console, f"  {line}")
    if not yes and not typer.confirm(f"Leave {study}, for good?"):
        fail("Nothing was changed.")
    try:
        left = go(site, study)
    except HepafedError as error:
        fail(str(error))
    for study_hash in left.revoked:
        say(console, f"Left: {study_hash}. A run that goes on stops at its next question here")
    if not left.revoked:
        say(console, f"Left: {study}. No approval of it held any more")
    if left.copies.go:
        say(console, f"Deleted in {site.own_folder}: {in_few_words(site.own_folder, left.copies.go)}")


def _passphrase(confirm: bool) -> str:
    found = os.environ.get(VARIABLE)
    return found if found else str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm))
