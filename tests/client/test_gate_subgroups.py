"""Subgroups and drawing the hospitals anew pass the gates of hospitals that approved them, and nothing finer does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.app import Whereabouts
from client.gate_rules.questions import questions_of
from common.errors import Code
from common.query import View
from common.room import Room
from common.study import Study
from tests.approved import approve_everywhere, run_between, seat
from tests.client.curious_coordinator import F, ask, asking, call_roll, count, hospital, refused
from tests.client.test_app import ROSTER, scaled
from tests.client.test_gate import hospitals_of, small

__all__ = ["hospital"]
ASKED = {"bootstrap", "subgroup_counts", "subgroup_sums"}


def with_subgroups(**changes: Any) -> Study:
    folds = {"folds": 2, "leave_one_hospital_out": False, "bootstrap": 200}
    return small(**({"subgroups": [{"column": "mean_radius", "cut_offs": [14]}], "validation": folds} | changes))


@pytest.mark.slow
def test_a_study_with_subgroups_passes_every_gate_under_masks(tmp_path: Path) -> None:
    chosen, folders = with_subgroups(), hospitals_of(tmp_path / "hospitals", ("a", "b", "c", "d"), 60)
    results = run_between(chosen, approve_everywhere(chosen, folders), tmp_path / "out")
    assert results["lost"] == []
    assert ASKED <= {asked["query"] for asked in results["exchanges"]["asked"]} <= set(questions_of(chosen))
    assert [group["name"] for group in results["subgroups"][0]["groups"]] == ["<14", "≥14"]
    assert results["bootstrap"]["auc"]["kfold"]["overall"]["standard_error"] > 0
    assert "simulation_only" not in results  # nobody here holds all data


def test_a_study_without_them_is_asked_none_of_it() -> None:
    assert not ASKED & set(questions_of(small()))


@pytest.mark.parametrize("edges", [[0.4, 0.6], [0.3, 0.5, 0.7]])
def test_hospitals_are_drawn_by_bins_that_were_asked_before(hospital: Whereabouts, edges: list[float]) -> None:
    chosen = asking(validation={"folds": 2, "leave_one_hospital_out": False, "bootstrap": 200})
    call_roll(hospital, chosen)
    *chain, scale = scaled(F)
    model = View("linear", scale.hash, F, {}, {"beta": np.array([[[0.0, 0.5, 0.5]]])})
    judged: dict[str, Any] = {
        "views": (*chain, scale, model),
        "view": model.hash,
        "splits": (),
        "rows": "held_out",
    }
    known = {"edges": np.array([[0.3, 0.5, 0.7]])}
    counts = [
        count(hospital, chosen, "score_counts", arrays=known, parameters={"schemes": ["apparent"]}, **judged)
    ]
    answer = ask(
        hospital,
        chosen,
        "bootstrap",
        counts=counts,
        parameters={"schemes": ["apparent"], "groups": [0], "replicates": 200},
        arrays={
            "edges": np.array([edges]),
            "classes": np.full((1, 2, len(edges) + 1), 40.0),
            "within": np.array([[0.6, 4000.0]]),
        },
        **judged,
    )
    if len(edges) == 3:
        assert answer.sums["draws"].shape == (1, 2, 200)
    else:
        refused(hospital, answer, Code.CLOSE_EDGES, "edges that were not asked before")


def test_a_subgroup_that_one_or_two_hospitals_have_is_not_summed(hospital: Whereabouts) -> None:
    chosen = asking(
        subgroups=[{"column": "size", "cut_offs": [40]}],
        validation={"folds": 2, "leave_one_hospital_out": False},
    )
    said = call_roll(hospital, chosen).disclosed
    assert (said.subgroups, said.comparing) == ((0, 1), (0, 1))
    seats = [
        seat(hospital, chosen, name, n, events=n // 2, subgroups=(0, 1) if name == "north" else (0,))
        for name, n in zip(sorted(ROSTER), (80, 60, 80, 80), strict=True)
    ]
    room = Room(tuple(seats)).to_json()
    both = ask(hospital, chosen, "subgroup_counts", splits=(), parameters={"subgroups": [0, 1]}, room=room)
    refused(hospital, both, Code.SINGLE_HOSPITAL, "1 hospitals take part in the study's subgroup 1, 3 are needed")
    assert ask(hospital, chosen, "subgroup_counts", splits=(), parameters={"subgroups": [0]}, room=room).sums
