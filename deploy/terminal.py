"""Words on a terminal: as they are, wrapped by nobody but the terminal."""

from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line."""
    console.print(Text(text, style=style), soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what went wrong and what to do, without a traceback."""
    say(Console(stderr=True), message, style="red")
    raise typer.Exit(code=code)


def refuse_existing(path: Path, overwrite: bool, option: str = "--out", more: str = "", code: int = 1) -> None:
    """Nothing is replaced that nobody said to replace.

    Parameters
    ----------
    option
        Which one names the file.
    more
        What else the person should know.
    """
    if path.exists() and not overwrite:
        fail(
            f"{path} is there already; name another file with {option}, or add --overwrite to replace it{more}",
            code,
        )
