"""Attacks on the gate: questions that differ by a hair, and too many of them; each fails for its reason."""

from typing import Any

import numpy as np

from client.app import Whereabouts
from client.gate_rules.repetition import MOST_NEAR
from common.errors import Code
from common.query import Answer, View
from common.study import Study
from tests.approved import approve_here
from tests.client.curious_coordinator import F, ask, call_roll, chosen, hospital, logistic, moments, refused
from tests.client.test_app import ROSTER, scaled

__all__ = ["chosen", "hospital"]


def test_two_views_that_differ_by_a_hair_are_not_both_answered(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    *chain, scale = scaled(F)
    hair = View("scale", scale.parent, F, {}, {**scale.arrays, "spread": scale.arrays["spread"] * (1 + 1e-9)})
    answer = logistic(hospital, chosen, [0, 0, 0], views=(*chain, hair), view=hair.hash)
    refused(hospital, answer, Code.SECOND_VIEW, "1 of them at the same place")


def test_a_second_root_does_not_make_a_second_view(hospital: Whereabouts, chosen: Study) -> None:
    """The same step at another place: columns in another order, and a fill of its own."""
    call_roll(hospital, chosen)
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    root = View("columns", parameters={"columns": ["size", "age"]})
    fill = View("impute", root.hash, F, {}, {"fill": np.array([[40.0, 60.0]])})
    answer = moments(hospital, chosen, views=(root, fill), view=fill.hash)
    refused(hospital, answer, Code.SECOND_VIEW, "impute: 1 views of this step were used")


def test_questions_that_differ_by_a_hair_are_answered_a_few_times(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    for k in range(MOST_NEAR):
        assert logistic(hospital, chosen, [k * 1e-9, 0, 0]).sums, "Newton's last steps are as close"
    answer = logistic(hospital, chosen, [1e-7, 0, 0])
    refused(hospital, answer, Code.NEARLY_ASKED, f"{MOST_NEAR} questions that differ by less than")
    assert logistic(hospital, chosen, [0.1, 0, 0]).sums


def test_iterations_end_at_a_third_of_the_patients(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    for k in range(30):
        assert logistic(hospital, chosen, [0.1 * k, 0, 0], others=10).sums
    answer = logistic(hospital, chosen, [9.0, 0, 0], others=10)
    refused(
        hospital,
        answer,
        Code.MANY_QUERIES,
        "31 coefficient vectors for final, this question's among them; a third of the smallest row set's patients",
    )


def test_many_coefficients_in_one_question_count_as_many_iterations(hospital: Whereabouts, chosen: Study) -> None:
    """A gradient a coefficient vector: so many equations for the patients, in however few messages."""
    call_roll(hospital, chosen)
    views = scaled(F)

    def together(count: int, away: float) -> Answer:
        asked = {"of": [0] * count, "columns": [[0, 1]] * count}
        beta = np.column_stack([np.linspace(away, away + 1, count), np.zeros((count, 2))])
        more: dict[str, Any] = {"view": views[-1].hash, "parameters": asked, "arrays": {"beta": beta}}
        return ask(hospital, chosen, "logistic", views, others=10, **more)

    refused(hospital, together(31, 0), Code.MANY_QUERIES, "31 coefficient vectors for final")
    assert together(20, 0).sums
    refused(hospital, together(11, 2), Code.MANY_QUERIES, "31 coefficient vectors for final")
    assert together(10, 2).sums


def test_problems_are_told_apart_by_their_columns_when_they_differ_by_a_hair(
    hospital: Whereabouts, chosen: Study
) -> None:
    call_roll(hospital, chosen)
    views = scaled(F)

    def both(first: float, second: float) -> Answer:
        asked = {"of": [0, 0], "columns": [[0, 1], [1]]}
        beta = np.array([[first, 0.0, 0.0], [second, 0.0, 0.0]])
        more: dict[str, Any] = {"view": views[-1].hash, "parameters": asked, "arrays": {"beta": beta}}
        return ask(hospital, chosen, "logistic", views, **more)

    assert both(0.0, 1.0).sums
    assert both(1.0 + 1e-9, 1e-9).sums, "near the other problem's coefficients, and another problem"
    for k in range(1, 4):
        assert both(float(k + 1), 1.0 + 1e-8 * k).sums
    refused(hospital, both(7.0, 1.0 + 5e-8), Code.NEARLY_ASKED, "differ by less than")


def test_questions_end_at_what_was_approved(hospital: Whereabouts, chosen: Study) -> None:
    call_roll(hospital, chosen)
    approve_here(hospital, chosen, ROSTER, maximum_queries=2)
    assert moments(hospital, chosen).sums
    assert logistic(hospital, chosen, [0, 0, 0]).sums
    answer = logistic(hospital, chosen, [0.5, 0, 0])
    refused(hospital, answer, Code.MANY_QUERIES, "2 questions of this study were answered, 2 are allowed")
    assert logistic(hospital, chosen, [0, 0, 0]).sums, "the same question again is the same answer"
