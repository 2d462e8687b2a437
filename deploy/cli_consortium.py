"""`hepafed coordinator init, invite, sign, renew, revoke, list`: the consortium's keys."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from common.errors import HepafedError
from deploy.terminal import fail, refuse_existing, say

Folder = Annotated[Path, typer.Argument(help="The coordinator's folder: coordinator.yaml, pki.")]


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    name: Annotated[str, typer.Option(help="The consortium's name, as hospitals see it.")],
    address: Annotated[str, typer.Option(help="HOST:PORT by which hospitals will reach the gateway.")],
    listen: Annotated[
        str | None,
        typer.Option(help="ADDRESS:PORT to listen on; default: the loopback address, which no hospital reaches."),
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="One more name or address of the gateway; may be given again.")
    ] = None,
    superlink_port: Annotated[
        int | None, typer.Option(help="The SuperLink's port on the loopback address.", show_default=False)
    ] = None,
) -> None:
    """Found a consortium: its authority for connections, the gateway's certificate, an empty register.

    Example: hepafed coordinator init consortium --name liver --address federation.example:9443 --listen 0.0.0.0:9443
    """
    from common.certificates import spoken
    from deploy.pki import authority_fingerprint, file_of, found_consortium

    console = Console()
    try:
        file = file_of(name, address, listen, also or [], superlink_port)
        coordinator = found_consortium(folder, file)
        fingerprint = authority_fingerprint(coordinator)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}; name a folder that you may write to")
    say(
        console,
        f"The consortium {name} is in {folder}; keep a copy of {coordinator.pki} where nobody else reads it",
    )
    say(console, f"Fingerprint of its authority, to be read out: {spoken(fingerprint)}")
    if file.listen.startswith("127."):
        say(
            console,
            f"The gateway will listen on {file.listen}, which only this machine reaches. To open it, write "
            f"listen: 0.0.0.0:{file.listen.rpartition(':')[2]} in {folder / 'coordinator.yaml'}",
            "yellow",
        )
    say(console, f"Next: hepafed coordinator invite HOSPITAL {folder}")


def invite(
    site: Annotated[str, typer.Argument(help="The hospital's name, as its site.yaml says it.")],
    folder: Folder = Path("."),
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the invitation is good.")] = 14,
    out: Annotated[Path | None, typer.Option(help="The file to write; default: SITE.invitation.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Write an invitation: one hospital joins by it, once, until it runs out.

    Send the file to the hospital by a way that others do not read. An earlier invitation for the same hospital that
    was not used is withdrawn. A hospital that has joined and is invited again gets new keys; the old ones end when it
    joins.

    Example: hepafed coordinator invite aspen consortium
    """
    from common.certificates import spoken
    from common.private_files import write_private
    from deploy.pki import invite as made
    from server.coordinator_folder import CoordinatorFolder

    path = out or Path(f"{site}.invitation")
    refuse_existing(path, overwrite, more=". Nobody was invited")
    try:
        invitation = made(CoordinatorFolder(folder), site, days)
        write_private(path, invitation.to_text().encode())
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or path}: {error.strerror or error}; name a file that you may write")
    console = Console()
    say(console, f"Invitation {invitation.number} for {site}, good for {days} days: {path}")
    say(console, f"Fingerprint of the authority, to be read out: {spoken(invitation.authority_fingerprint)}")


def sign(
    request: Annotated[Path, typer.Argument(help="The file that the hospital sent.")],
    folder: Folder = Path("."),
    out: Annotated[Path, typer.Option(help="The file to send back.")] = Path("join-answer.json"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Answer a request to join that came as a file, from a hospital without a way to the gateway yet.

    Neither file holds a secret.

    Example: hepafed coordinator sign join-request.json consortium --out join-answer.json
    """
    from common.private_files import write_public
    from deploy.pki import sign as signed
    from server.coordinator_folder import CoordinatorFolder

    refuse_existing(out, overwrite, more=". Nobody was admitted")
    try:
        admission = signed(CoordinatorFolder(folder), request)
        write_public(out, admission.model_dump_json(indent=1).encode())
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or request}: {error.strerror or error}")
    say(Console(), f"{admission.hospital} is admitted; send it this file: {out}")


def renew(folder: Folder = Path(".")) -> None:
    """Renew the gateway's certificate, with the names that coordinator.yaml says now.

    A gateway that runs takes it into use by itself. Hospitals notice nothing.

    Example: hepafed coordinator renew consortium
    """
    from server.authority import renew_gateway
    from server.coordinator_folder import CoordinatorFolder

    try:
        coordinator = CoordinatorFolder(folder)
        certificate = renew_gateway(coordinator)
        names = ", ".join(coordinator.read().names)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}")
    say(
        Console(),
        f"The gateway's certificate is good until {certificate.not_valid_after_utc:%Y-%m-%d}, for {names}",
    )


def revoke(
    site: Annotated[str, typer.Argument(help="The hospital's name.")],
    folder: Folder = Path("."),
    reason: Annotated[str, typer.Option(help="Why; it stands in the list and in the gateway's log.")] = "by hand",
) -> None:
    """Take a hospital's connection away: its certificates, its node key, its open invitations.

    It counts at once: open connections are closed, and the next request is refused. The hospital comes back by a new
    invitation only, with new keys.

    Example: hepafed coordinator revoke aspen consortium --reason "laptop lost"
    """
    from deploy.pki import revoke as revoked
    from server.coordinator_folder import CoordinatorFolder

    try:
        said = revoked(CoordinatorFolder(folder), site, reason)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}")
    say(Console(), said)


def list_members(folder: Folder = Path(".")) -> None:
    """List the hospitals: invited, joined, revoked, until when, and whether their node is registered.

    What runs out within 30 days is said. The exit code is 3 then, for monitoring.

    Example: hepafed coordinator list consortium
    """
    from deploy.pki import members, warnings
    from server.coordinator_folder import CoordinatorFolder

    console = Console()
    try:
        coordinator = CoordinatorFolder(folder)
        found, said = members(coordinator), warnings(coordinator)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}")
    if not found:
        say(console, "No hospital has been invited: hepafed coordinator invite HOSPITAL")
    else:
        table = Table("hospital", "state", "until", "node key", box=None)
        for member in found:
            table.add_row(member.hospital, member.state, member.until, member.node)
        console.print(table)
    said += [
        f"{member.hospital}'s certificate: {member.state}, until {member.until}; there: hepafed site renew"
        for member in found
        if member.warning
    ]
    for text in said:
        say(console, text, "yellow")
    if said:
        raise typer.Exit(code=RUNS_OUT)


RUNS_OUT = 3


def add_consortium_commands(app: typer.Typer) -> None:
    """Add them to `hepafed coordinator`."""
    app.command("init")(init)
    app.command("invite")(invite)
    app.command("sign")(sign)
    app.command("renew")(renew)
    app.command("revoke")(revoke)
    app.command("list")(list_members)
