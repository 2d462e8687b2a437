"""One process's way through a hospital's patients: what is kept already, whose turn it is, who failed."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from client.extraction_run.done import Asked, Done, Watch
from client.extraction_run.kept import Failure
from client.extraction_run.turns import Turns
from client.extraction_run.workers import Worked, work_on

ASK_AGAIN_S = 0.5
"""How often to look whether another process has finished a patient."""


class OfPatient(Protocol):
    """A task that is one patient's."""

    @property
    def patient(self) -> str:
        """The patient's id."""


class Keeps(Protocol):
    """Where what is made of a patient is kept, by what it was made from."""

    def key(self, patient: str) -> str:
        """By what it is kept: the content of the patient's files, and the settings."""

    def look_up(self, key: str) -> Any:
        """What is kept: a Failure where nothing could be made; None: nothing yet."""

    def keep(self, key: str, patient: str, found: Any, seconds: float) -> None:
        """Keep it."""


@dataclass(frozen=True)
class Through:
    """One process's run over a hospital's patients.

    Parameters
    ----------
    work
        A function of a module: what is made of one task, in a process of its own.
    task
        A patient's task.
    """

    asked: Asked
    watch: Watch
    kept: Keeps
    turns: Turns
    done: Done
    task: Callable[[str], OfPatient]
    work: Callable[[Any], Any]

    def all(self, patients: Sequence[str]) -> None:
        """Every patient; last those that other processes had taken when their turn came."""
        taken: list[str] = []
        keys: dict[str, str] = {}
        tasks = self._tasks(patients, taken, keys)
        self._work(tasks, keys)
        while taken:
            still: list[str] = []
            self._work(self._tasks(taken, still, keys, elsewhere=True), keys)
            taken = still
            if taken:
                self.watch(self.done, None)
                time.sleep(ASK_AGAIN_S)

    def _work(self, tasks: Iterator[OfPatient], keys: dict[str, str]) -> None:
        for worked in work_on(tasks, self.work, self.asked.at_a_time, 60 * self.asked.minutes):
            if worked is None:
                self.watch(self.done, None)
            else:
                self._finish(worked, keys[worked.task.patient])

    def _tasks(
        self, patients: Sequence[str], taken: list[str], keys: dict[str, str], elsewhere: bool = False
    ) -> Iterator[OfPatient]:
        """The patients of whom nothing is kept, each with its turn taken."""
        for patient in patients:
            try:
                key = self.kept.key(patient)
            except OSError as error:
                self.done.failed[patient] = (
                    f"patient {patient}: {error.filename}: {error.strerror}; make it readable"
                )
                self.watch(self.done, patient)
                continue
            if self._known(patient, key, elsewhere):
                continue
            if not self.turns.take(key):
                taken.append(patient)
                continue
            if self._known(patient, key, elsewhere):  # another process finished it a moment ago
                self.turns.give_back(key)
                continue
            keys[patient] = key
            yield self.task(patient)

    def _known(self, patient: str, key: str, elsewhere: bool) -> bool:
        found = self.kept.look_up(key)
        if found is None or (isinstance(found, Failure) and not elsewhere and (found.again or self.asked.again)):
            return False
        if isinstance(found, Failure):
            self.done.failed[patient] = found.reason
        elif elsewhere:
            self.done.elsewhere.append(patient)
        else:
            self.done.kept.append(patient)
        self.watch(self.done, patient)
        return True

    def _finish(self, worked: Worked, key: str) -> None:
        patient = worked.task.patient
        self.kept.keep(key, patient, worked.result, worked.seconds)
        self.turns.give_back(key)
        if isinstance(worked.result, Failure):
            self.done.failed[patient] = worked.result.reason
        else:
            self.done.computed[patient] = worked.seconds
        self.watch(self.done, patient)
