"""Attacks by the cut-offs of risk groups: a group drawn round one patient told its months and whether it died."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from common.errors import Code
from common.query import Answer, Arrays
from common.study import Study
from tests.client.counted_together import Neighbour, alike
from tests.client.curious_coordinator import PATIENTS, F, ask, call_roll, count, hospital, refused
from tests.client.test_survival_between_attacks import EDGES, KNOWN, MODELS, survival, timed

__all__ = ["hospital", "timed"]
CUTS = [0.35, 0.65]


@pytest.fixture
def chosen() -> Study:
    return survival()


def grouped(hospital: Whereabouts, chosen: Study, cuts: Sequence[float], neighbour: Neighbour = alike) -> bytes:
    asked = {"parameters": KNOWN | {"fits": list(F)}, "arrays": {"cuts": np.array([[cuts]])}}
    return count(hospital, chosen, "group_counts", neighbour=neighbour, **(MODELS | asked))


def scored(hospital: Whereabouts, chosen: Study) -> bytes:
    return count(hospital, chosen, "score_counts", parameters=KNOWN, arrays={"edges": EDGES}, **MODELS)


def risk(
    hospital: Whereabouts, chosen: Study, cuts: Sequence[float], counts: Sequence[bytes] = (), **more: Any
) -> Answer:
    asked: dict[str, Any] = {
        **{"models": [""], "fits": list(F), "horizons": [24], "months": [12, 24], "grid": [12, 24]},
        **KNOWN,
    }
    arrays = {
        "baseline": np.full((1, 1, 1), 0.1),
        "cuts": np.array([[cuts]]),
        "edges": EDGES,
        "followed": np.array([1.0, 0.9, 0.8]),
    }
    return ask(hospital, chosen, "survival_risk", counts=counts, parameters=asked | more, arrays=arrays, **MODELS)


def elsewhere(own: Arrays) -> Arrays:
    """Neighbours whose patients are all in the lowest group."""
    return {"patients": np.array([[own["patients"].sum(), 0.0, 0.0]])}


def test_a_group_round_few_patients_is_refused(timed: Whereabouts, chosen: Study) -> None:
    call_roll(timed, chosen)
    table = pd.read_csv(timed.folder / "patients.csv")
    line = 0.05 * (table["age"] - 60) + 0.5 / 9 * (table["size"] - 40)
    score = np.sort(1 / (1 + np.exp(-line.to_numpy())))
    cuts = [float(score[29] + score[30]) / 2, float(score[30] + score[31]) / 2]
    counts = [scored(timed, chosen), grouped(timed, chosen, cuts, elsewhere)]
    answer = risk(timed, chosen, cuts, counts)
    refused(timed, answer, Code.CLOSE_EDGES, "a group of apparent holds 1 patients of all hospitals")


def test_cut_offs_that_were_not_counted_are_refused(timed: Whereabouts, chosen: Study) -> None:
    call_roll(timed, chosen)
    counts = [scored(timed, chosen)]
    refused(timed, risk(timed, chosen, CUTS, counts), Code.NUMBERS_NOT_SIGNED, "the groups of apparent by these")
    counts.append(grouped(timed, chosen, CUTS))
    refused(timed, risk(timed, chosen, [0.35, 0.66], counts), Code.NUMBERS_NOT_SIGNED, "the groups of apparent by")
    assert risk(timed, chosen, CUTS).sums["group_exits"].sum() == PATIENTS, "what was handed round is kept"


def test_a_label_that_is_not_grouped_shows_one_group(timed: Whereabouts, chosen: Study) -> None:
    call_roll(timed, chosen)
    found = risk(timed, chosen, CUTS, [scored(timed, chosen)], ungrouped=["apparent"]).sums["group_exits"]
    assert found.sum(axis=2).tolist() == [[PATIENTS, 0, 0]]
