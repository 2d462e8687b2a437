"""A coordinator that dies between the counts and what looks at the outcome in the counted cells."""

import sqlite3
from pathlib import Path

import pytest

from server.app import CHECKPOINT
from server.progress import Silence
from tests.approved import approve_everywhere, run_between
from tests.client.test_gate import hospitals_of, small

NAMES = ("alder", "birch", "cedar", "damson")


class DyingBefore(Silence):
    """The coordinator's process ends when a question would be asked."""

    def __init__(self, question: str) -> None:
        self.question = question

    def asked(self, query: str, hospitals: int) -> None:
        if query == self.question:
            raise ConnectionError("the coordinator is gone")


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_run_goes_on_and_hands_the_counts_round(tmp_path: Path, kept: bool) -> None:
    """Also from a checkpoint that holds the totals of counts and not what hospitals add up."""
    chosen = small()
    hospitals = approve_everywhere(chosen, hospitals_of(tmp_path / "hospitals", NAMES, 60))
    for question in ("discrimination", "threshold_classes"):
        with pytest.raises(ConnectionError):
            run_between(chosen, hospitals, tmp_path / "out", DyingBefore(question))
        if not kept:
            with sqlite3.connect(tmp_path / "out" / CHECKPOINT) as database:
                assert database.execute("DELETE FROM opened").rowcount
    found = run_between(chosen, hospitals, tmp_path / "out")
    assert not found["lost"]
    assert found["performance"]
