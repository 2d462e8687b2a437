"""A study looks at times through one grid."""

import pytest

from client.gate_rules.grids import check_grid
from client.gate_rules.memory import Earlier
from common.errors import Code, HospitalError
from common.query import Query

BEFORE = [Earlier("cox_risk_sets", "view", ("final", "kfold/0/0"), {"ends": [[4, 9, 30], [5, 30]]}, {})]


def asking(split: str, ends: list[int]) -> Query:
    return Query("cox_risk_sets", "study", ("a", "b", "c"), (split,), view="view", parameters={"ends": [ends]})


def test_the_same_cells_are_asked_again_in_every_iteration() -> None:
    check_grid(asking("final", [4, 9, 30]), BEFORE, 300)
    check_grid(asking("kfold/0/0", [5, 30]), BEFORE, 300)
    check_grid(asking("kfold/0/1", [7, 30]), BEFORE, 300)


@pytest.mark.parametrize("ends", [[4, 30], [4, 8, 30], [4, 9, 10, 30]])
def test_cells_that_could_be_subtracted_from_those_before_are_refused(ends: list[int]) -> None:
    with pytest.raises(HospitalError, match="another grid") as refused:
        check_grid(asking("final", ends), BEFORE, 300)
    assert refused.value.code is Code.CLOSE_EDGES


def test_cells_in_which_fewer_than_thirty_leave_are_refused() -> None:
    with pytest.raises(HospitalError, match="must leave in each") as refused:
        check_grid(asking("final", list(range(1, 12))), [], 300)
    assert refused.value.code is Code.CLOSE_EDGES
