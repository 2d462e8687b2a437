"""Large totals lie beside the checkpoint, and come back from there to the same bits."""

from pathlib import Path

import numpy as np
import pytest

from common.query import Disclosed, Total
from server.checkpoint import LARGE, Checkpoint, Exchange
from tests.hospitals_on_disk import study

ROSTER = ("alder", "birch", "cedar")


def exchange(values: int) -> Exchange:
    sums = {"update": np.random.default_rng(1).normal(size=(2, values)), "weight": np.array([40.0, 0.0])}
    return Exchange(Total(sums, {"alder": Disclosed(patients=40)}), {"alder": 1000})


@pytest.mark.parametrize(("values", "beside"), [(LARGE // 16 + 1, True), (100, False)])
def test_a_total_comes_back_as_it_was_kept(values: int, beside: bool, tmp_path: Path) -> None:
    kept = exchange(values)
    for _ in range(2):  # kept again, as after a crash before it was noted
        checkpoint = Checkpoint(tmp_path / "checkpoint.sqlite")
        checkpoint.begin(study())
        checkpoint.keep("question", ROSTER, kept)
        checkpoint.close()
    folder = tmp_path / "checkpoint.sqlite.totals"
    assert folder.exists() == beside
    checkpoint = Checkpoint(tmp_path / "checkpoint.sqlite")
    found = checkpoint.find("question", ROSTER[::-1])
    assert found is not None
    for name, array in kept.total.sums.items():
        np.testing.assert_array_equal(found.total.sums[name], array)
    assert (found.total.disclosed, found.bytes_up) == (kept.total.disclosed, kept.bytes_up)
    assert checkpoint.find("question", ROSTER[:2]) is None
    if beside:
        (file,) = folder.iterdir()
        assert file.stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o077 == 0
        file.unlink()
        assert checkpoint.find("question", ROSTER) is None, "what is gone is asked for again"
