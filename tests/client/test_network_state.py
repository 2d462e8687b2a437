"""A network's own layers stay in the hospital's store: through restarts, and while the gate is in a transaction."""

import threading
from contextlib import closing
from pathlib import Path

import numpy as np

from client.networks.own_state import StateInStore
from client.sealing import OwnFolder
from client.store import Store

PROBLEM = "kfold/0/1@"


def test_every_round_is_there_after_a_restart_and_belongs_to_its_roster(tmp_path: Path) -> None:
    own = OwnFolder(tmp_path / "own")
    with closing(Store(own)) as store:
        state = StateInStore(store, "study", "roster")
        for number in (1, 2, 5):
            state.keep(PROBLEM, number, np.full(3, number / 3), only_last=False)
    with closing(Store(own)) as store:
        again = StateInStore(store, "study", "roster")
        assert again.up_to(PROBLEM, 0) is None
        for asked, kept in ((1, 1), (4, 2), (9, 5)):
            found = again.up_to(PROBLEM, asked)
            assert found is not None
            assert found.tolist() == [kept / 3] * 3, "the same bits"
        assert StateInStore(store, "study", "another roster").up_to(PROBLEM, 9) is None
        assert StateInStore(store, "another study", "roster").up_to(PROBLEM, 9) is None


def test_of_control_variates_the_last_two_rounds_are_kept_one_for_a_round_that_is_worked_out_again(
    tmp_path: Path,
) -> None:
    with closing(Store(OwnFolder(tmp_path / "own"))) as store:
        state = StateInStore(store, "study", "roster")
        another = StateInStore(store, "study", "another roster")
        another.keep(PROBLEM, 1, np.ones(1), only_last=True)
        state.keep("final@", 1, np.ones(1), only_last=True)
        for number in (1, 3, 4, 4):
            state.keep(PROBLEM, number, np.full(1, number), only_last=True)
        found = [state.up_to(PROBLEM, number) for number in (2, 3, 4)]
        assert [None if kept is None else kept.tolist() for kept in found] == [None, [3.0], [4.0]]
        assert state.up_to("final@", 9) is not None
        assert another.up_to(PROBLEM, 9) is not None


def test_patients_are_scored_while_the_gate_is_in_the_middle_of_a_transaction(tmp_path: Path) -> None:
    found = []

    def gate() -> None:
        with closing(Store(OwnFolder(tmp_path / "own"))) as store:
            state = StateInStore(store, "study", "roster")
            state.keep(PROBLEM, 1, np.ones(2), only_last=False)
            with store.transaction() as execute:
                execute("INSERT INTO views VALUES ('hash', ?)", b"content")
                found.append(state.up_to(PROBLEM, 1))
            found.append(store.view("hash"))

    waiting = threading.Thread(target=gate, daemon=True)  # one that waited for itself would wait for ever
    waiting.start()
    waiting.join(60)
    assert len(found) == 2
    assert found[1] == b"content"
