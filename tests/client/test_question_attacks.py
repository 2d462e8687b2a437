"""Attacks by questions that are allowed one by one: what their totals would give together is refused, or told coarsely.

Each of these gave back rows, days or a hospital's own sums when it was tried.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from common.errors import Code
from common.months import DAYS_A_MONTH
from common.query import Answer, View
from common.study import Study
from tests.approved import room_of
from tests.client.curious_coordinator import PATIENTS, F, ask, asking, call_roll, hospital, moments, refused
from tests.client.test_app import ROSTER, scaled

__all__ = ["hospital"]
INNER = tuple(f"kfold/0/0/inner/{k}" for k in range(5))


def many_columns(hospital: Whereabouts, number: int) -> tuple[View, ...]:
    """The hospital gets so many image features; the views that scale them in `final`."""
    names = [f"f{j}" for j in range(number)]
    features = pd.DataFrame(np.random.default_rng(0).normal(size=(PATIENTS, number)), columns=names)
    features.insert(0, "id", [f"SECRET-{i}" for i in range(PATIENTS)])
    features.to_csv(hospital.folder / "features.csv", index=False)
    root = View("columns", parameters={"columns": names})
    scale = View("scale", root.hash, F, {}, {"centre": np.zeros((1, number)), "spread": np.ones((1, number))})
    return root, scale


@pytest.mark.parametrize(("events", "surely"), [(10, 8), (5, 4), (None, 0)])
def test_folds_with_fewer_than_five_of_a_class_are_refused(
    hospital: Whereabouts, events: int | None, surely: int
) -> None:
    """At p = ½ a gradient is the sum over patients with the outcome, less half of all: in a fold of one, a row."""
    chosen = asking(validation={"folds": 5, "leave_one_hospital_out": False})
    call_roll(hospital, chosen)
    splits = ("kfold/0/0",)
    answer = moments(
        hospital, chosen, splits=splits, room=room_of(hospital, chosen, ROSTER, PATIENTS, events=events)
    )
    if surely >= 5:
        assert answer.sums, "four hospitals with two such patients in every fold"
        return
    refused(
        hospital, answer, Code.FEW_OF_A_CLASS, f"{surely} patients of the rarer class in total are sure to be in"
    )
    assert answer.disclosed.split == splits[0]


def test_a_fold_within_a_fold_is_a_row_set(hospital: Whereabouts) -> None:
    """Second differences of likelihoods over an inner fold gave both Gram matrices of its few patients."""
    chosen = asking(
        model={"kind": "logistic", "penalty": "ridge", "strength": "cross-validated", "inner_folds": 5},
        validation={"folds": 5, "leave_one_hospital_out": False},
    )
    call_roll(hospital, chosen)
    views = scaled(INNER)
    answer = ask(
        hospital,
        chosen,
        "tuning",
        views,
        view=views[-1].hash,
        splits=INNER,
        others=40,
        parameters={"of": [*range(5)], "columns": [[0, 1]] * 5, "criterion": [0] * 5},
        arrays={"beta": np.zeros((5, 3))},
    )
    refused(hospital, answer, Code.FEW_IN_ROW_SET, f"are sure to be in {INNER[0]}")


def test_narrow_products_of_one_split_are_as_wide_as_their_union(hospital: Whereabouts) -> None:
    """Blocks of two groups of columns each gave the cross-product of all of them."""
    folds = {"folds": 2, "leave_one_hospital_out": False}
    chosen = asking(predictors={"clinical": [], "radiomics": "all"}, validation=folds)
    views = many_columns(hospital, 48)
    call_roll(hospital, chosen)
    groups = [list(range(k, k + 12)) for k in range(0, 48, 12)]

    def blocks(pairs: list[tuple[int, int]]) -> Answer:
        columns = [groups[a] + groups[b] for a, b in pairs]
        asked = {"of": [0] * len(pairs), "columns": columns, "curved": list(range(len(pairs)))}
        more: dict[str, Any] = {"parameters": asked, "arrays": {"beta": np.zeros((len(pairs), 25))}}
        return ask(hospital, chosen, "logistic", views, others=20, view=views[-1].hash, **more)

    refused(hospital, blocks([(0, 1), (2, 3)]), Code.TOO_WIDE, "a cross-product of 48 columns over 120 patients")
    assert blocks([(0, 1), (1, 2)]).sums, "36 columns in all"


def test_narrow_products_asked_one_after_another_are_as_wide_as_their_union(hospital: Whereabouts) -> None:
    """42 questions of 49 columns each tiled two Hessians over 168, and gave back all 156 rows."""
    folds = {"folds": 2, "leave_one_hospital_out": False}
    chosen = asking(predictors={"clinical": [], "radiomics": "all"}, validation=folds)
    views = many_columns(hospital, 48)
    call_roll(hospital, chosen)

    def curved(first: int, last: int, away: float = 0.0) -> Answer:
        asked = {"of": [0], "columns": [list(range(first, last))], "curved": [0]}
        more: dict[str, Any] = {"parameters": asked, "arrays": {"beta": np.full((1, 1 + last - first), away)}}
        return ask(hospital, chosen, "logistic", views, others=20, view=views[-1].hash, **more)

    assert curved(0, 24).sums
    assert curved(12, 36).sums
    refused(hospital, curved(24, 48), Code.TOO_WIDE, "cross-products of 48 columns in final, over all questions")
    assert curved(0, 36, 0.1).sums


def test_sums_by_class_are_asked_once_a_split(hospital: Whereabouts) -> None:
    chosen = asking(
        predictors={"clinical": [], "radiomics": "all"},
        validation={"folds": 2, "leave_one_hospital_out": False},
        selection={"screening": "mann-whitney", "keep": 2},
    )
    views = many_columns(hospital, 3)
    call_roll(hospital, chosen)

    def histograms(bins: int) -> Answer:
        return ask(hospital, chosen, "class_histograms", views, view=views[-1].hash, parameters={"bins": bins})

    assert histograms(4).sums
    refused(hospital, histograms(5), Code.MANY_QUERIES, "a split is asked about once")


@pytest.fixture
def survivors(tmp_path: Path) -> tuple[Whereabouts, pd.DataFrame]:
    """A hospital of sixty patients who were followed for up to ten years."""
    folder = tmp_path / "survival" / "north"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(PATIENTS)],
            "age": rng.integers(40, 80, PATIENTS),
            "size": rng.normal(40, 9, PATIENTS).round(1),
            "days": rng.integers(30, 3600, PATIENTS),
            "died": np.arange(PATIENTS) % 2,
        }
    )
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed"), table


def followed() -> Study:
    return asking(
        outcome={"kind": "survival", "time": "days", "event": "died"},
        variables={"days": {"type": "number", "unit": "days"}},
        model={"kind": "cox", "penalty": "ridge", "strength": 1.0},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )


def scored(weight: float) -> tuple[View, ...]:
    views = scaled(F)
    model = View("linear", views[-1].hash, F, {}, {"beta": np.array([[[0.0, weight, 0.0]]])})
    return *views, model


def test_days_under_observation_end_in_the_middle_of_a_month(
    survivors: tuple[Whereabouts, pd.DataFrame],
) -> None:
    """A last cell that one patient reaches held the day on which that patient was last seen."""
    here, table = survivors
    chosen, views = followed(), scored(0.0)
    call_roll(here, chosen)
    months = [3, 240]
    answer = ask(here, chosen, "baseline_hazard", views, view=views[-1].hash, parameters={"months": months})
    middle = (np.ceil(table["days"] / DAYS_A_MONTH) - 0.5) * DAYS_A_MONTH
    assert answer.sums["exposure"].sum() == pytest.approx(middle.sum())
    assert answer.sums["exposure"].sum() != pytest.approx(table["days"].sum(), abs=1.0)


def test_a_baseline_is_asked_once_over_cells_that_nobody_chooses_by_who_left(
    survivors: tuple[Whereabouts, pd.DataFrame],
) -> None:
    """Cells round the one patient who left in a month gave that patient's score, and a β a split the whole row."""
    here, _ = survivors
    chosen, views = followed(), scored(0.0)
    call_roll(here, chosen)

    def ask_over(months: list[int]) -> Answer:
        return ask(here, chosen, "baseline_hazard", views, view=views[-1].hash, parameters={"months": months})

    refused(here, ask_over([37, 38, 60]), Code.CLOSE_EDGES, "quarters of a year, not at [37, 38]")
    assert ask_over([12, 24, 33, 36, 60]).sums
    refused(here, ask_over([12, 24, 36, 60]), Code.MANY_QUERIES, "it was asked 1 times")


def test_the_largest_score_is_not_searched_for(survivors: tuple[Whereabouts, pd.DataFrame]) -> None:
    """256 edges of the score, and again between two of them: four messages found the highest value of a column."""
    here, _ = survivors
    chosen, views = followed(), scored(1.0)
    call_roll(here, chosen)

    def counts(edges: np.ndarray) -> Answer:
        return ask(here, chosen, "training_risk", views, view=views[-1].hash, arrays={"edges": edges[None]})

    refused(here, counts(np.linspace(0, 1, 256)), Code.CLOSE_EDGES, "256 edges for the score in final, at most")
    assert counts(np.linspace(0.1, 0.9, 9)).sums
    refused(here, counts(np.array([0.1 + 1e-9])), Code.CLOSE_EDGES, "apart")
