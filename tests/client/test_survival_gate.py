"""Survival at the hospitals' gates: what would single out patients is refused (test_survival_study.py passes)."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from client.gate_rules.survival_cells import check_cells_of_time
from client.queries import QUERIES
from client.queries.registry import Asked
from common.errors import HospitalError
from common.room import Room, Seat


def a_room(patients: int, events: int) -> Room:
    return Room(
        tuple(Seat(hospital=name, patients=patients, events=events) for name in ("alder", "birch", "cedar"))
    )


def asked(name: str, months: int, **arrays: np.ndarray) -> Any:
    return SimpleNamespace(
        query=SimpleNamespace(name=name, parameters={"months": list(range(1, months + 1))}, arrays=arrays)
    )


@pytest.mark.parametrize(
    ("question", "allowed"),
    [
        (asked("survival_counts", 29), True),
        (asked("survival_counts", 30), False),
        (asked("survival_order", 3, edges=np.array([[0.4, 0.6]])), True),
        (asked("survival_order", 4, edges=np.array([[0.4, 0.6]])), False),
        (asked("survival_risk", 9, cuts=np.zeros((1, 1, 2))), True),
        (asked("survival_risk", 10, cuts=np.zeros((1, 1, 2))), False),
        (asked("survival_risk", 2, cuts=np.zeros((1, 1, 3))), False),
    ],
)
def test_no_more_cells_than_five_patients_each_allow(question: Any, allowed: bool) -> None:
    room = a_room(50, 21)  # 150 patients, 63 with the event
    if allowed:
        check_cells_of_time(question, room)
        return
    with pytest.raises(HospitalError, match="cells of time and score"):
        check_cells_of_time(question, room)


@pytest.mark.parametrize(
    "parameters",
    [
        {"months": [0.5]},
        {"months": [12, 12]},
        {"months": [241]},
        {"months": []},
        {"months": [12], "days": [3]},
    ],
)
def test_nothing_finer_than_a_month_can_be_asked(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QUERIES["survival_counts"].parameters.model_validate(parameters, context=Asked(1, None))


@pytest.mark.parametrize(
    "followed", [[1.0, 0.9, 0.95], [1.0, 0.5, 0.001], [0.9, 0.8, 0.7], [1.0, 0.9], [1.0, 0.9, np.nan]]
)
def test_weights_that_single_out_patients_cannot_be_sent(followed: list[float]) -> None:
    given = {
        "schemes": ["apparent"],
        "months": [12],
        "horizons": [12],
        "grid": [12, 24],
        "edges": np.array([[0.5]]),
        "horizon_edges": np.array([[0.5]]),
    }
    kind = QUERIES["survival_order"].parameters
    kind.model_validate(given | {"followed": np.array([1.0, 0.9, 0.8])}, context=Asked(1, 1))
    with pytest.raises(ValidationError):
        kind.model_validate(given | {"followed": np.array(followed)}, context=Asked(1, 1))
