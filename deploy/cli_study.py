"""`hepafed study …`: write a study's file, check it, and print the schema of such files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.errors import StudyError
from common.study import Study
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


@study_app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("study.yaml"),
    name: Annotated[str, typer.Option(help="Short name of the study: letters, digits, - _ .")] = NAME,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
) -> None:
    """Write a study.yaml with every section explained, ready to be edited.

    Example: hepafed study new study.yaml --name mvi-2026
    """
    try:
        text = study_template(name)
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        fail(f"{file} is there already; name another file, or add --force to replace it")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}; name a file in a folder that exists")
    except StudyError as error:
        fail(str(error))
    console = Console()
    say(console, f"Written: {file}")
    say(console, f"Edit it, then: hepafed study check {file}")


@study_app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")]) -> None:
    """Say every fault of a study's file with its line and cure, or what the study asks for in plain words.

    The exit code is 1 when the file cannot be used. The hash at the end is what hospitals approve: comments,
    order and layout do not change it, any value does.

    Example: hepafed study check study.yaml
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
    missing = study.not_yet_available()
    if missing:
        say(console, "This version of hepafed cannot run it yet:", style="yellow")
        for line in missing:
            say(console, f"  {line}", style="yellow")
    say(console, f"Hash: {study.hash}")


@study_app.command("schema")
def schema() -> None:
    """Print the JSON schema of study.yaml, for editors that complete and check while one types.

    Example: hepafed study schema > study.schema.json
    """
    from deploy.schema import study_schema

    typer.echo(study_schema(), nl=False)
