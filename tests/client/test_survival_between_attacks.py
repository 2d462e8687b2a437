"""Attacks by the questions beside a survival model: bootstrap, pairs of models, subgroups, proportional hazards."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from client.queries import QUERIES
from client.queries.registry import Asked
from common.errors import Code
from common.query import Answer, View
from common.study import Study
from tests.client.curious_coordinator import PATIENTS, F, ask, asking, call_roll, count, hospital, refused
from tests.client.test_app import scaled

__all__ = ["hospital"]
EDGES = np.array([[0.4, 0.6]])
KNOWN = {"schemes": ["apparent"]}


@pytest.fixture
def timed(hospital: Whereabouts) -> Whereabouts:
    """The same hospital, with times to an event."""
    rng = np.random.default_rng(4)
    table = pd.read_csv(hospital.folder / "patients.csv")
    table["days"] = rng.integers(30, 2000, PATIENTS)
    table["died"] = np.arange(PATIENTS) % 2
    table.to_csv(hospital.folder / "patients.csv", index=False)
    return hospital


def survival(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "outcome": {"kind": "survival", "time": "days", "event": "died"},
        "model": {"kind": "cox", "penalty": "none"},
        "compare": {"age": {"clinical": ["age"]}},
        "subgroups": [{"column": "size", "cut_offs": [40]}],
        "validation": {"folds": 2, "leave_one_hospital_out": False, "bootstrap": 200},
    }
    return asking(**(content | changes))


def judged(*slopes: tuple[float, float]) -> dict[str, Any]:
    """The view of two models' scores, and how it is asked about."""
    views = scaled(F)
    beta = np.array([[[0.0, *slope] for slope in slopes]])
    model = View("linear", views[-1].hash, F, {}, {"beta": beta})
    return {"views": (*views, model), "view": model.hash, "splits": (), "rows": "held_out"}


MODELS = judged((0.5, 0.5), (0.5, 0.0))


def drawn(hospital: Whereabouts, chosen: Study, edges: np.ndarray, **more: Any) -> Answer:
    bins = edges.shape[1] + 1
    table = np.full((1, 3, bins), 30.0)
    return ask(
        hospital,
        chosen,
        "survival_bootstrap",
        parameters=KNOWN | {"groups": [0], "replicates": 200, "months": [12, 24]},
        arrays={"edges": edges, "events": table, "exits": 1.1 * table, "within": np.array([[0.6, 4000.0]])},
        **(MODELS | more),
    )


def counted(hospital: Whereabouts, chosen: Study) -> list[bytes]:
    return [count(hospital, chosen, "score_counts", parameters=KNOWN, arrays={"edges": EDGES}, **MODELS)]


def test_hospitals_are_drawn_by_bins_that_were_counted_without_the_event(timed: Whereabouts) -> None:
    chosen = survival()
    call_roll(timed, chosen)
    counts = counted(timed, chosen)
    refused(timed, drawn(timed, chosen, np.array([[0.4, 0.61]])), Code.CLOSE_EDGES, "edges that were not asked")
    assert drawn(timed, chosen, EDGES, counts=counts).sums["draws"].shape == (1, 2, 200)


def test_a_second_draw_of_the_hospitals_is_refused(timed: Whereabouts) -> None:
    """The weights are the same ones: two tables that differ by a cell would show the hospital's part in it."""
    chosen = survival()
    call_roll(timed, chosen)
    assert drawn(timed, chosen, EDGES, counts=counted(timed, chosen)).sums
    refused(timed, drawn(timed, chosen, EDGES[:, :1]), Code.MANY_QUERIES, "asked 1 times")


def test_draws_of_a_table_that_is_none_are_refused() -> None:
    table = np.full((1, 3, 3), 5.0)
    given: dict[str, Any] = {
        **KNOWN,
        **{"groups": (0,), "replicates": 200, "months": (12, 24), "edges": EDGES},
        **{"events": table, "exits": table, "within": np.array([[0.6, 10.0]])},
    }
    kind = QUERIES["survival_bootstrap"].parameters
    kind.model_validate(given, context=Asked(0, 2))
    wrong: list[dict[str, Any]] = [
        {"events": table[:, :2]},
        {"exits": -table},
        {"groups": (1,)},
        {"replicates": 2},
        {"months": (24, 12)},
        {"within": np.zeros((2, 2))},
    ]
    for change in wrong:
        with pytest.raises(ValueError, match="validation error"):
            kind.model_validate(given | change, context=Asked(0, 2))


def test_two_pairs_of_models_are_compared_once_and_by_one_view(timed: Whereabouts) -> None:
    chosen = survival()
    call_roll(timed, chosen)
    asked = {"schemes": ["apparent", "apparent@age"], "pairs": [[1, 0]]}
    assert ask(timed, chosen, "paired_concordance", parameters=asked, **MODELS).sums["within"].shape == (1, 4)
    other = judged((0.5, 0.5001), (0.5, 0.0))
    answer = ask(timed, chosen, "paired_concordance", parameters=asked, **other)
    assert answer.disclosed.code in (Code.SECOND_VIEW, Code.MANY_QUERIES)


def proportional(hospital: Whereabouts, chosen: Study, beta: list[float], **more: Any) -> Answer:
    views = scaled(F)
    asked: dict[str, Any] = {
        "views": views,
        "view": views[-1].hash,
        "parameters": {"of": [0], "columns": [[0, 1]]},
        "arrays": {"beta": np.array([beta])},
    }
    return ask(hospital, chosen, "proportional_hazards", **(asked | more))


def test_coefficients_that_let_few_patients_carry_every_risk_set_are_refused(timed: Whereabouts) -> None:
    chosen = survival()
    call_roll(timed, chosen)
    refused(timed, proportional(timed, chosen, [6.0, 0.0]), Code.TOO_FEW_PATIENTS, "its weights rest on")


def test_proportional_hazards_are_tested_once(timed: Whereabouts) -> None:
    chosen = survival()
    call_roll(timed, chosen)
    assert proportional(timed, chosen, [0.2, 0.1]).sums["information"].shape == (9,)
    refused(timed, proportional(timed, chosen, [0.2, 0.10001]), Code.MANY_QUERIES, "asked 1 times")


def test_the_held_out_rows_are_not_tested(timed: Whereabouts) -> None:
    chosen = survival()
    call_roll(timed, chosen)
    answer = proportional(timed, chosen, [0.2, 0.1], rows="held_out", splits=F)
    assert answer.disclosed.code is not None
    assert not answer.sums


def test_a_study_is_asked_for_nothing_that_it_does_not_name(timed: Whereabouts) -> None:
    plain = survival(compare={}, subgroups=[], validation={"folds": 2, "leave_one_hospital_out": False})
    call_roll(timed, plain)
    refused(timed, drawn(timed, plain, EDGES, **judged((0.5, 0.5))), Code.NOT_ALLOWED, "none of those that")


def test_risks_of_a_subgroup_that_two_hospitals_have_are_not_summed(timed: Whereabouts) -> None:
    """Nobody else said at the roll call that it takes part."""
    chosen = survival()
    said = call_roll(timed, chosen).disclosed
    assert said.subgroups == (0, 1)
    assert said.comparing == (0, 1)
    answer = ask(
        timed,
        chosen,
        "survival_subgroup_sums",
        parameters={
            **{"schemes": ["apparent"], "subgroups": [0], "compared": [], "grid": [24], "horizons": [24]},
            **{"models": ["", "age"], "fits": ["final"]},
        },
        arrays={
            "followed": np.array([1.0, 0.8]),
            "baseline": np.full((2, 1, 1), 0.3),
            "cuts": np.full((2, 1, 1), 0.5),
        },
        **MODELS,
    )
    refused(timed, answer, Code.SINGLE_HOSPITAL, "0 hospitals take part in the study's subgroup 0")
