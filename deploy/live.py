"""What a person sees while a study runs: phase, round, hospitals answering, time left."""

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

PHASE_SHARES = 30


class Live:
    """A live display on a terminal; plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display = (
            RichLive(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        )
        self._began = time.monotonic()
        self._phase, self._query = "", ""
        self._rounds = 0
        self._replayed = 0
        self._expected = PHASE_SHARES
        self._largest = 0
        self._phase_rounds = 0
        self._phase_expected = 0
        self._hospitals = 0
        self._answered = 0

    def __enter__(self) -> "Live":
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()
        if kind is None:
            seconds = time.monotonic() - self._began
            largest = f"; the largest answer of a hospital: {self._largest / 1e6:.2g} MB"
            self._console.print(f"{self._rounds} exchanges in {seconds:.1f} s{largest}", highlight=False)

    def phase(self, name: str, exchanges: int) -> None:
        """A phase begins."""
        self._expected = max(self._expected, self._rounds + exchanges)
        self._phase, self._phase_rounds, self._phase_expected = name, 0, exchanges
        if self._display is None:
            self._console.print(f"{name} …", highlight=False)
        self._draw()

    def asked(self, query: str, hospitals: int) -> None:
        """A question is on its way."""
        self._query, self._hospitals, self._answered = query, hospitals, 0
        self._draw()

    def answered(self, hospital: str) -> None:
        """One answer is there."""
        self._answered += 1
        self._draw()

    def exchanged(self, replayed: bool, largest: int) -> None:
        """An exchange is over."""
        self._rounds += 1
        self._phase_rounds += 1
        self._replayed += replayed
        self._largest = max(self._largest, largest)
        self._draw()

    def notice(self, text: str) -> None:
        """Say something at once."""
        self._console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        if self._display is None:
            return
        table = Table.grid(padding=(0, 2))
        table.add_row("phase", f"{self._phase} ({self._query})")
        table.add_row(
            "round", f"{self._rounds + 1}" + (f", {self._replayed} from the checkpoint" if self._replayed else "")
        )
        table.add_row("hospitals answering", f"{self._answered} of {self._hospitals}")
        table.add_row("time", f"{time.monotonic() - self._began:.0f} s, about {self._left():.0f} s left")
        self._display.update(table, refresh=True)

    def _left(self) -> float:
        """Seconds left, if the exchanges that are expected take as long as those so far."""
        fresh = max(self._rounds - self._replayed, 1)
        return (time.monotonic() - self._began) / fresh * max(self._expected - self._rounds, 0)
