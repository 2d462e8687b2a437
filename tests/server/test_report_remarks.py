"""What a careful reader would notice stands in the summary, the gravest first."""

from typing import Any

import pytest

from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from server.report.remarks import remarks
from tests.server.made_up_results import made_up, page


def noted(results: dict[str, Any]) -> str:
    """The text of the box 'To be noted'."""
    text = page(results).text
    return text[text.index("To be noted") : text.index("Contents")]


def test_a_model_judged_on_its_own_patients_has_no_headline_and_a_first_remark() -> None:
    results = made_up() | {"notes": []}
    results["performance"] = {APPARENT: results["performance"][APPARENT]}
    text = page(results).text
    cards = text[text.index("New patients, same hospitals") : text.index("0.5 is chance")]
    assert cards.count("–") == 3
    assert "0.8" not in cards
    assert "judged on its own training patients only: too favourable" in noted(results)
    assert remarks(results)[0].startswith("The model was judged on its own training patients")


def test_a_hospital_that_was_left_out_is_noted_before_anything_else() -> None:
    results = made_up()
    results["left_out"] = {"delta": "duplicate_patients"}
    results["lost"] = [{"hospital": "gamma", "code": "no_answer", "query": "logistic"}]
    results["performance"] = {APPARENT: results["performance"][APPARENT]}
    text = noted(results)
    places = [
        text.index(said)
        for said in ("a patient id stands twice in its file", "did not answer in time", "judged on its own")
    ]
    assert places == sorted(places)
    assert "duplicate_patients" in text


def held_out(**auc: float) -> dict[str, Any]:
    results = made_up()
    results["performance"][LEAVE_ONE_HOSPITAL_OUT]["overall"]["auc"] |= auc
    return results


@pytest.mark.parametrize(
    ("auc", "said"),
    [
        ({"value": 0.996}, "Leave one hospital out: an AUC of 0.996 is too good to be true"),
        (
            {"certified_low": 0.6, "certified_high": 0.83},
            "certificate of the AUC is 0.23 wide (bins: 9): too few events",
        ),
        ({"value": 0.66}, "share of patients with the outcome differs between hospitals"),
        ({"value": 0.79}, "tells hospitals apart rather than patients"),
    ],
)
def test_a_figure_that_needs_a_warning_has_one(auc: dict[str, float], said: str) -> None:
    assert said not in noted(made_up())
    assert said in noted(held_out(**auc))


@pytest.mark.parametrize(
    ("penalty", "events", "said"),
    [
        ("none", 39, "39 events for 4 columns: 9.8 a column"),
        ("none", 90, "30 patients without the outcome for 4 columns: 7.5 a column"),
        ("none", 40, None),
        ("ridge", 39, None),
    ],
)
def test_too_few_events_for_a_fit_without_penalty(penalty: str, events: int, said: str | None) -> None:
    results = made_up()
    results["model"]["penalty"] = penalty
    results["cohort"]["events"] = events
    about_the_fit = [remark for remark in remarks(results) if "a column" in remark]
    assert len(about_the_fit) == (said is not None)
    assert said is None or said in about_the_fit[0]


def test_thresholds_that_were_not_enforced_are_named() -> None:
    text = page(made_up()).text
    for said in ("10 patients (here 2)", "four hospitals", "effective size", "N/3 columns"):
        assert said in text
    safe = made_up()
    safe["protection"]["lower_profile"] = False
    assert "not enforced" not in page(safe).text
