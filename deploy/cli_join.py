"""`hepafed site join` and `hepafed site renew`: the hospital's certificate."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.cli_ledger import UNUSABLE, site_at
from deploy.terminal import fail, say

LONGEST_INVITATION = 16_384

Folder = Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, site.yaml.")]


def join(
    invitation: Annotated[str, typer.Argument(help="The file that the coordinator sent, or its text.")],
    folder: Folder = Path("."),
    offline: Annotated[
        bool, typer.Option("--offline", help="By files, for a hospital without a way to the coordinator yet.")
    ] = False,
    out: Annotated[Path, typer.Option(help="With --offline: the request to write.")] = Path("join-request.json"),
    answer: Annotated[Path | None, typer.Option(help="With --offline: what the coordinator sent back.")] = None,
    proxy: Annotated[
        str | None,
        typer.Option(help="http://HOST:PORT of the hospital's proxy; default: HTTPS_PROXY of the environment."),
    ] = None,
) -> None:
    """Join a consortium by an invitation: make this hospital's keys here, and get its certificate.

    The keys never leave. What is sent: the hospital's name, the public halves, a signature. With --offline that goes
    into a file for the coordinator, and the same command with --answer takes what comes back.

    Example: hepafed site join aspen.invitation hospitals/aspen
    """
    from client.connection import Connection
    from client.joining import accept, joined_already, make_request
    from client.joining import join as over_the_network
    from common.certificates import spoken
    from common.invitation import read_invitation
    from common.private_files import write_public

    if answer is not None and not offline:
        fail("--answer is for joining by files: add --offline", UNUSABLE)
    site = site_at(folder, None)
    connection = Connection(site.own_folder)
    console = Console()
    try:
        invited = read_invitation(_text(invitation))
        if invited.hospital != site.name:
            fail(
                f"the invitation is for {invited.hospital}, this hospital is {site.name}: ask for one under that name, "
                f"or write name: {invited.hospital} in {folder / 'site.yaml'}",
                UNUSABLE,
            )
        say(console, f"Consortium {invited.consortium} at {invited.address}")
        say(console, f"Fingerprint of its authority: {spoken(invited.authority_fingerprint)}")
        if (already := joined_already(connection, invited)) is not None:
            until = f"{already.not_valid_after_utc:%Y-%m-%d}"
            say(console, f"{site.name} has joined already; its certificate is good until {until}")
            return
        if offline and answer is None:
            request = make_request(connection, invited)
            write_public(out, request.model_dump_json(indent=1).encode())
            say(console, f"Send this file to the coordinator: {out}")
            say(console, "Then the same command with --answer FILE takes what comes back")
            return
        if answer is not None:
            certificate = accept(connection, invited, answer.read_bytes(), proxy)
        else:
            certificate = over_the_network(connection, invited, proxy)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or site.own_folder}: {error.strerror or error}")
    say(
        console,
        f"{site.name} has joined; its certificate is good until {certificate.not_valid_after_utc:%Y-%m-%d}",
    )
    say(console, f"Next: hepafed site start {folder}")


def renew(folder: Folder = Path(".")) -> None:
    """Renew this hospital's certificate over the connection that the present one still opens.

    The key stays. A daemon that runs takes the new certificate into use by itself.

    Example: hepafed site renew hospitals/aspen
    """
    from client.connection import Connection
    from client.joining import renew as renewed

    site = site_at(folder, None)
    try:
        certificate = renewed(Connection(site.own_folder))
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or site.own_folder}: {error.strerror or error}")
    say(Console(), f"{site.name}'s certificate is good until {certificate.not_valid_after_utc:%Y-%m-%d}")


def _text(invitation: str) -> str:
    if "." in invitation and invitation.lstrip().startswith("hepafed-invitation"):
        return invitation
    path = Path(invitation)
    if not path.is_file():
        raise HepafedError(
            f"{invitation}: there is no such file; give the file that the coordinator sent, or its text"
        )
    if path.stat().st_size > LONGEST_INVITATION:
        raise HepafedError(f"{invitation} is too long for an invitation")
    return path.read_text(encoding="utf-8", errors="replace")
