"""Attacks on the gate: a coordinator asks what would single out one patient; each fails for its reason."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from client.app import Whereabouts
from common.errors import Code
from common.query import Answer, View
from common.study import Study
from tests.client.curious_coordinator import (
    PATIENTS,
    F,
    allow_single,
    ask,
    asking,
    call_roll,
    chosen,
    count,
    hospital,
    logistic,
    moments,
    refused,
)
from tests.client.test_app import ONE, scaled

__all__ = ["chosen", "hospital"]


def test_a_beta_that_isolates_a_patient_is_refused(hospital: Whereabouts, chosen: Study) -> None:
    """One chosen β made a logistic Hessian one patient's row."""
    call_roll(hospital, chosen)
    answer = logistic(hospital, chosen, [-200.0, 180.0, 60.0])
    refused(hospital, answer, Code.TOO_FEW_PATIENTS, "its weights rest on")


def test_edges_round_one_patient_are_refused(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    size = float(pd.read_csv(hospital.folder / "patients.csv")["size"].iloc[7])
    view = View("columns", parameters={"columns": ["size"]})

    def counts(edges: Sequence[float]) -> Answer:
        arrays = {"edges": np.array([[edges]])}
        return ask(hospital, chosen, "column_counts", (view,), view=view.hash, arrays=arrays)

    refused(hospital, counts([size - 1e-9, size + 1e-9]), Code.CLOSE_EDGES, "apart, at least")
    refused(
        hospital, counts(np.linspace(20, 60, 150).tolist()), Code.CLOSE_EDGES, "150 edges for column 0 in final"
    )
    assert counts([35.0, 45.0]).sums, "a few edges far apart are a histogram"
    refused(hospital, counts([35.0 + 1e-9]), Code.CLOSE_EDGES, "apart"), "beside what was asked before"


def test_bins_that_look_at_the_outcome_take_edges_that_were_asked_without_it(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    *chain, scale = scaled(F)
    model = View("linear", scale.hash, F, {}, {"beta": np.array([[[0.0, 0.5, 0.5]]])})
    judged: dict[str, Any] = {
        "views": (*chain, scale, model),
        "view": model.hash,
        "splits": (),
        "rows": "held_out",
        "parameters": {"schemes": ["apparent"]},
    }
    edges = {"edges": np.array([[0.3, 0.5, 0.7]])}
    answer = ask(hospital, chosen, "discrimination", arrays=edges, **judged)
    refused(hospital, answer, Code.CLOSE_EDGES, "edges that were not asked before")
    counts = [count(hospital, chosen, "score_counts", arrays=edges, **judged)]
    assert ask(hospital, chosen, "discrimination", arrays=edges, counts=counts, **judged).sums


def test_a_cell_of_one_patient_is_not_summed(hospital: Whereabouts) -> None:
    by_kernel = asking(
        predictors={"clinical": ["age"], "radiomics": "all"},
        variables={"kernel": {"type": "category", "levels": ["soft", "sharp"]}},
        harmonisation={"method": "combat", "batch": ["kernel"], "preserve": ["age"]},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )
    features = pd.DataFrame({"id": [f"SECRET-{i}" for i in range(PATIENTS)], "f0": np.arange(PATIENTS) / 7.0})
    features.to_csv(hospital.folder / "features.csv", index=False)
    call_roll(hospital, by_kernel)
    root = View("columns", parameters={"columns": ["age", "f0"]})

    def sums(levels: list[int]) -> Answer:
        asked = {"covariates": [0], "features": [1], "variable": "kernel", "levels": levels}
        return ask(hospital, by_kernel, "combat_level_sums", (root,), view=root.hash, parameters=asked)

    refused(hospital, sums([0, 1]), Code.SMALL_CELL, "a cell of 1 patients here, fewer than 5")
    assert sums([0]).sums


def test_few_carriers_are_not_summed_where_the_sums_can_be_told_to_be_this_hospitals(
    hospital: Whereabouts,
) -> None:
    allow_single(hospital)
    rare = asking(
        predictors={"clinical": ["age", "kernel"], "radiomics": None},
        variables={"kernel": {"type": "category", "levels": ["soft", "sharp"]}},
    )
    call_roll(hospital, rare)
    columns = View("columns", parameters={"columns": ["age", "kernel=sharp"]})
    asked: dict[str, Any] = {"views": (columns,), "view": columns.hash}
    alone = moments(hospital, rare, splits=("leave_one_hospital_out/east",), **asked)
    refused(hospital, alone, Code.SMALL_CELL, "kernel=sharp tells 1 patients from the others")
    assert moments(hospital, rare, **asked).sums, "in a total over all hospitals nobody can tell"


def test_few_patients_for_the_width_do_not_stand_alone(hospital: Whereabouts, chosen: Study) -> None:
    """n ≥ 3(q + 1) where the hospital's own sums can be derived; patients_per_column is raised to reach it."""
    allow_single(hospital, patients_per_column=25)
    call_roll(hospital, chosen)
    views = scaled(("leave_one_hospital_out/east",))
    answer = ask(
        hospital,
        chosen,
        "logistic",
        views,
        view=views[-1].hash,
        splits=("leave_one_hospital_out/east",),
        arrays={"beta": np.zeros((1, 3))},
        parameters=ONE,
    )
    refused(hospital, answer, Code.FEW_FOR_SINGLE, "that takes 75 patients here, and there are 60")
