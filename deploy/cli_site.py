"""`hepafed site …`: what a hospital does on its own, inside its own walls."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.cli_approve import approve, revoke, withdraw
from deploy.cli_audit import audit_model
from deploy.cli_check import check
from deploy.cli_extract import extract
from deploy.cli_import import import_export
from deploy.cli_join import join, renew
from deploy.cli_ledger import identity, ledger
from deploy.cli_patches import patches
from deploy.cli_score import apply, score
from deploy.cli_site_daemon import backup, doctor, leave, restore, start, status
from deploy.terminal import fail, refuse_existing, say

site_app = typer.Typer(
    name="site",
    help="What a hospital does on its own: nothing leaves it.\n\n"
    "Example: hepafed site harmonise HOSPITAL --model harmonisation.json --out harmonised.csv",
    no_args_is_help=True,
)


@site_app.callback()
def root() -> None:
    """What a hospital does on its own: nothing leaves it."""


site_app.command("approve")(approve)
site_app.command("revoke")(revoke)
site_app.command("withdraw")(withdraw)
site_app.command("import")(import_export)
site_app.command("check")(check)
site_app.command("extract")(extract)
site_app.command("patches")(patches)
site_app.command("ledger")(ledger)
site_app.command("identity")(identity)
site_app.command("join")(join)
site_app.command("renew")(renew)
site_app.command("score")(score)
site_app.command("apply")(apply)
site_app.command("audit-model")(audit_model)
site_app.command("start")(start)
site_app.command("status")(status)
site_app.command("doctor")(doctor)
site_app.command("backup")(backup)
site_app.command("restore")(restore)
site_app.command("leave")(leave)


@site_app.command("harmonise")
def harmonise(
    model: Annotated[Path, typer.Option(help="The study's harmonisation.json (simulate writes it).")],
    folder: Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, features.csv.")] = Path("."),
    out: Annotated[Path, typer.Option(help="The csv file to write.")] = Path("harmonised.csv"),
    mean_only: Annotated[
        bool, typer.Option("--mean-only", help="Shift the features, leave their scale alone: for few patients.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Harmonise this hospital's features with the frozen model of a study that it took no part in.

    The hospital works out its own shift and scale, from its own patients and without their outcomes: new patients
    can be harmonised before their outcome is known. Nothing leaves the hospital, and the model stays as it is. What
    is written: id, then the features on the scale they came in. What is said: how well shift and scale are known
    with this many patients.

    Example: hepafed site harmonise hospitals/dogwood --model report/harmonisation.json --out harmonised.csv
    """
    from threadpoolctl import threadpool_limits

    from client.frozen_harmonisation import harmonise_here
    from client.site import open_site
    from common.frozen_model import read_frozen_model

    refuse_existing(out, overwrite)
    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv")
    try:
        frozen = read_frozen_model(model)
        site = open_site(folder.resolve(), folder)
        with threadpool_limits(limits=1):  # the same bits as in a study
            joined = harmonise_here(site, frozen, out, mean_only=mean_only)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror}; name a file in a folder that you may write to")
    console = Console()
    for note in joined.notes:
        say(console, note, style="yellow")
    say(console, f"Model {frozen.name}: {len(frozen.features):,} features, frozen")
    for text in (*frozen.findings, *joined.advice):
        say(console, f"  {text}")
    if not mean_only and any("mean-only ComBat is recommended" in text for text in joined.advice):
        say(console, "  Do that with --mean-only.", style="yellow")
    say(console, f"{joined.patients:,} patients and {joined.features:,} features harmonised: {out}")
    say(
        console, "Nothing was sent. The hospitals of the study stay as they are: compare only what one model made."
    )
