"""What a run tells whoever watches it."""

from typing import Protocol


class Progress(Protocol):
    """The watcher of a run; a live display, a log, or nobody."""

    def phase(self, name: str, exchanges: int) -> None:
        """A phase begins that is expected to take so many exchanges."""

    def asked(self, query: str, hospitals: int) -> None:
        """A question has been sent to so many hospitals."""

    def answered(self, hospital: str) -> None:
        """A hospital has answered."""

    def exchanged(self, replayed: bool, largest: int) -> None:
        """All have answered, or the answer was read from the checkpoint; the largest answer, in bytes."""

    def notice(self, text: str) -> None:
        """Something that a person should know now."""


class Silence:
    """Nobody watches."""

    def phase(self, name: str, exchanges: int) -> None:
        """Ignore it."""

    def asked(self, query: str, hospitals: int) -> None:
        """Ignore it."""

    def answered(self, hospital: str) -> None:
        """Ignore it."""

    def exchanged(self, replayed: bool, largest: int) -> None:
        """Ignore it."""

    def notice(self, text: str) -> None:
        """Ignore it."""
