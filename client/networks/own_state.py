"""What stays in a hospital between the rounds of a network: SCAFFOLD's control variates, FedBN's normalisation.

It is kept by study, roster and round. A round reads the state before it and writes its own, so that a round that is
worked out again after a crash begins where it began the first time.
"""

from typing import Protocol

import numpy as np

from client.store import Store

TABLE = """CREATE TABLE IF NOT EXISTS network_state (study TEXT NOT NULL, roster TEXT NOT NULL, problem TEXT NOT NULL,
    round INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (study, roster, problem, round))"""


class OwnState(Protocol):
    """The states of one study under one roster; a problem is a training set and a model."""

    def up_to(self, problem: str, round_number: int) -> np.ndarray | None:
        """The latest state that was written in this round or an earlier one; None where there is none."""

    def keep(self, problem: str, round_number: int, state: np.ndarray, *, only_last: bool) -> None:
        """Keep a round's state; with `only_last` those before the one before it are dropped."""


class StateInStore:
    """States in the hospital's store."""

    def __init__(self, store: Store, study: str, roster: str) -> None:
        self._store, self._of = store, (study, roster)
        store.run(TABLE)

    def up_to(self, problem: str, round_number: int) -> np.ndarray | None:
        """The latest state that was written in this round or an earlier one; None where there is none."""
        row = self._store.first(
            "SELECT content FROM network_state WHERE study = ? AND roster = ? AND problem = ? AND round <= ? "
            "ORDER BY round DESC LIMIT 1",
            *self._of,
            problem,
            round_number,
        )
        return None if row is None else np.frombuffer(bytes(row[0]), dtype="<f8").astype(np.float64)

    def keep(self, problem: str, round_number: int, state: np.ndarray, *, only_last: bool) -> None:
        """Keep a round's state; with `only_last` those before the one before it are dropped."""
        with self._store.transaction() as execute:
            execute(
                "INSERT OR REPLACE INTO network_state VALUES (?, ?, ?, ?, ?)",
                *self._of,
                problem,
                round_number,
                state.astype("<f8").tobytes(),
            )
            if only_last:
                execute(
                    "DELETE FROM network_state WHERE study = ? AND roster = ? AND problem = ? AND round < (SELECT "
                    "max(round) FROM network_state WHERE study = ? AND roster = ? AND problem = ? AND round < ?)",
                    *self._of,
                    problem,
                    *self._of,
                    problem,
                    round_number,
                )


class StateInMemory:
    """States of one process, where there is no store: tables in memory."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], np.ndarray] = {}

    def up_to(self, problem: str, round_number: int) -> np.ndarray | None:
        """The latest state that was written in this round or an earlier one; None where there is none."""
        rounds = [r for p, r in self._kept if p == problem and r <= round_number]
        return self._kept[problem, max(rounds)] if rounds else None

    def keep(self, problem: str, round_number: int, state: np.ndarray, *, only_last: bool) -> None:
        """Keep a round's state."""
        self._kept[problem, round_number] = state.copy()
        _ = only_last
