"""What a person sees while features are computed: patients done, patients a minute, time left."""

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

if TYPE_CHECKING:
    from client.extraction_run.run import Done


class ExtractionProgress:
    """A live display on a terminal; a line a patient where there is none."""

    def __init__(self, console: Console, hospital: str = "") -> None:
        self._console = console
        self._hospital = f"{hospital}: " if hospital else ""
        self._display = (
            RichLive(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )

    def __enter__(self) -> "ExtractionProgress":
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def watch(self, done: "Done", patient: str | None) -> None:
        """A patient was finished, or a second has passed."""
        if self._display is not None:
            self._display.update(self._table(done), refresh=True)
        elif patient in done.computed or patient in done.failed:
            said = "failed" if patient in done.failed else f"{done.computed[patient]:.1f} s"
            line = f"{self._hospital}{done.patients - done.left} of {done.patients}: {patient}, {said} ({_pace(done)})"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self, done: "Done") -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row(f"{self._hospital}patients", f"{done.patients - done.left} of {done.patients}")
        table.add_row("of these", f"{len(done.kept)} were there already, {len(done.failed)} failed")
        table.add_row("pace", _pace(done))
        return table


def _pace(done: "Done") -> str:
    if done.minutes_left is None:
        return "the first patient is being computed"
    left = done.minutes_left
    return f"{done.per_minute:.1f} patients a minute, " + (
        f"{60 * left:.0f} s left" if left < 2 else f"{left:.0f} min left"
    )
