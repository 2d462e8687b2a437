"""`hepafed study …`: write a study's file, check it, and print the schema of such files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.errors import HepafedError, StudyError
from common.study import Study
from deploy.cli_lock import lock
from deploy.cli_prepare import prepare
from deploy.study_template import NAME, study_template
from deploy.terminal import fail, say

study_app = typer.Typer(
    name="study",
    help="Write and check the file that says what a study asks of the hospitals.\n\n"
    "Example: hepafed study new study.yaml && hepafed study check study.yaml",
    no_args_is_help=True,
)


study_app.command("prepare")(prepare)
study_app.command("lock")(lock)


@study_app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    name: Annotated[str, typer.Option(help="Short name of the study: letters, digits, - _ .")] = NAME,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Write a study.yaml with every section explained, ready to be edited.

    Example: hepafed study new study.yaml --name mvi-2026
    """
    try:
        text = study_template(name)
        with file.open("w" if overwrite else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        fail(f"{file} is there already; name another file, or add --overwrite to replace it")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}; name a file in a folder that exists")
    except StudyError as error:
        fail(str(error))
    console = Console()
    say(console, f"Written: {file}")
    say(console, f"Edit it, then: hepafed study check {file}")


@study_app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")],
    size: Annotated[bool, typer.Option("--size", help="Say whether the study is large enough.")] = False,
    sites: Annotated[
        Path | None, typer.Option(help="--size: folder of hospitals' folders; their roll call is held.")
    ] = None,
    counts: Annotated[
        list[str] | None, typer.Option(help="--size: patients,events of a hospital; once a hospital.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="--size: candidate parameters; left out: the columns.")
    ] = None,
    r_squared: Annotated[
        float | None, typer.Option(help="--size: Cox-Snell R² that the model is expected to reach.")
    ] = None,
    follow_up: Annotated[
        float | None, typer.Option(min=0.01, help="--size, survival: mean follow-up in years.")
    ] = None,
    horizon: Annotated[
        float | None, typer.Option(min=0.01, help="--size, survival: years ahead that are predicted.")
    ] = None,
) -> None:
    """Say every fault of a study's file with its line and cure, or what the study asks for in plain words.

    The exit code is 1 when the file cannot be used. The hash at the end is what hospitals approve: comments,
    order and layout do not change it, any value does.

    With --size: events per variable, how many columns fit, the criteria of Riley and others, and what differential
    privacy would cost, from the hospitals' folders (their roll call is held on this machine) or from given numbers.

    Example: hepafed study check study.yaml --size --counts 80,31 --counts 120,40 --counts 60,25
    """
    from deploy.computed_features import check_predictors
    from deploy.study_words import study_in_words

    try:
        study = Study.from_file(file)
        check_predictors(study)
    except StudyError as error:
        fail(f"{file}: {error}" if str(file) not in str(error) else str(error))
    console = Console()
    say(console, f"{file} is valid. The study {study.study}{f' ({study.title})' if study.title else ''} asks for:")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in study_in_words(study):
        table.add_row(Text(heading), Text(text))
    console.print(table)
    say(console, f"Hash: {study.hash}")
    if size:
        _say_size(console, study, sites, counts or [], candidates, r_squared, follow_up, horizon)
    elif sites is not None or counts:
        fail("--sites and --counts belong to --size: add it")


def _say_size(
    console: Console,
    study: Study,
    sites: Path | None,
    counts: list[str],
    candidates: int | None,
    r_squared: float | None,
    years: float | None,
    horizon: float | None,
) -> None:
    """Whether the study is large enough, by real roll calls or by given numbers."""
    from common.room import Room
    from deploy.study_size import call_the_roll, counted_seats, follow_up_of, parameters_of, size_in_words

    if (sites is None) is not bool(counts):
        fail("--size needs the hospitals' numbers: --sites FOLDER, or --counts patients,events once a hospital")
    try:
        present = None if sites is None else call_the_roll(study, sites)
        room = counted_seats(counts) if present is None else Room.of(present.disclosed)
        parameters = parameters_of(study, present, candidates)
        lines = size_in_words(study, room, parameters, r_squared, follow_up_of(study, present, years, horizon))
    except HepafedError as error:
        fail(str(error))
    say(console, "Size:")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, text in lines:
        table.add_row(Text(heading), Text(text))
    console.print(table)


@study_app.command("schema")
def schema() -> None:
    """Print the JSON schema of study.yaml, for editors that complete and check while one types.

    Example: hepafed study schema > study.schema.json
    """
    from deploy.schema import study_schema

    typer.echo(study_schema(), nl=False)
