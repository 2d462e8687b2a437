"""`hepafed site …`: what a hospital does on its own, inside its own walls."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from common.errors import HepafedError

site_app = typer.Typer(
    name="site",
    help="What a hospital does on its own: nothing leaves it.\n\n"
    "Example: hepafed site harmonise HOSPITAL --model harmonisation.json --out harmonised.csv",
    no_args_is_help=True,
)


@site_app.callback()
def root() -> None:
    """What a hospital does on its own: nothing leaves it."""


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

    from client.join import harmonise_here
    from client.site import open_site
    from common.frozen_model import read_frozen_model

    if out.exists() and not overwrite:
        _fail(f"{out} is there already; name another file with --out, or add --overwrite to replace it")
    if not folder.is_dir():
        _fail(f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv")
    try:
        frozen = read_frozen_model(model)
        site = open_site(folder.resolve(), folder)
        with threadpool_limits(limits=1):  # the same bits as in a study
            joined = harmonise_here(site, frozen, out, mean_only=mean_only)
    except HepafedError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or out}: {error.strerror}; name a file in a folder that you may write to")
    console = Console()
    for note in joined.notes:
        _say(console, note, style="yellow")
    _say(console, f"Model {frozen.name}: {len(frozen.features):,} features, frozen")
    for text in (*frozen.findings, *joined.advice):
        _say(console, f"  {text}")
    if not mean_only and any("mean-only ComBat is recommended" in text for text in joined.advice):
        _say(console, "  Do that with --mean-only.", style="yellow")
    _say(console, f"{joined.patients:,} patients and {joined.features:,} features harmonised: {out}")
    _say(
        console, "Nothing was sent. The hospitals of the study stay as they are: compare only what one model made."
    )


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)


def _fail(message: str) -> NoReturn:
    _say(Console(stderr=True), message, style="red")
    raise typer.Exit(code=1)
