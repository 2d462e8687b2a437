"""How a run over a hospital's patients is asked for, and how far it is."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Done:
    """How far an extraction is; the same object is handed to the watcher again and again.

    Parameters
    ----------
    kept
        Patients whose features were there already.
    computed
        Seconds that each patient took, in the order of completion.
    failed
        By patient: why there are no features.
    """

    patients: int
    began: float = field(default_factory=time.monotonic)
    kept: list[str] = field(default_factory=list)
    computed: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def with_features(self) -> list[str]:
        """Who has features now."""
        return sorted([*self.kept, *self.computed, *self.elsewhere])

    @property
    def left(self) -> int:
        """Patients that are not done yet."""
        return self.patients - len(self.kept) - len(self.computed) - len(self.failed) - len(self.elsewhere)

    @property
    def per_minute(self) -> float:
        """Patients computed a minute since the beginning, failed ones included."""
        worked = len(self.computed) + len(self.failed)
        return 60 * worked / max(time.monotonic() - self.began, 1e-3)

    @property
    def minutes_left(self) -> float | None:
        """How long the rest will take at this pace; None before the first is done."""
        return self.left / self.per_minute if self.per_minute else None


Watch = Callable[[Done, str | None], None]
"""Called with the state and the patient who was finished just now, or None when only time has passed."""


@dataclass(frozen=True)
class Asked:
    """How an extraction is run, beside what the study says.

    Parameters
    ----------
    processes
        Patients at a time; None: as many as this process may use processors.
    again
        Compute failed patients once more although their files have not changed.
    """

    processes: int | None = None
    minutes: float = 30.0
    again: bool = False

    @property
    def at_a_time(self) -> int:
        """How many processes to use."""
        return self.processes or len(os.sched_getaffinity(0))
