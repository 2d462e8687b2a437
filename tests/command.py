"""`hepafed …` in this process, as somebody types it."""

from typer.testing import CliRunner, Result

from deploy.cli import app

__all__ = ["Result", "hepafed"]


def hepafed(*words: object, columns: int = 200, typed: str | None = None) -> Result:
    """What a command said and how it ended, on a terminal of so many columns; `typed`: the answers to its questions."""
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [str(word) for word in words], input=typed)
