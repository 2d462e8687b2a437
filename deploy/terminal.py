"""Words on a terminal: as they are, wrapped by nobody but the terminal."""

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
