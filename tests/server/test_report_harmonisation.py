"""The report's section on harmonisation: the advice, one picture, one table; nothing where nothing was harmonised."""

import re
from typing import Any

import pytest

from server.report.html import render
from tests.server.made_up_results import HOSTILE, made_up, page


def side(share: float, auc: float, t: float) -> dict[str, Any]:
    test = {"share": share, "omega_squared": share / 2, "eta_squared": share / 2}
    chance = {"by_chance": 0.5, "by_chance_high": 0.54, "columns": 12}
    return {
        "location": test,
        "spread": test,
        "location_with_scanner": None,
        "kruskal": {"share": share},
        "classifier": {"auc": auc} | chance,
        "biology": {"age": t, "mvi": t},
    }


def judged(features: int = 3) -> dict[str, Any]:
    """What server/results/harmonisation.py would write."""
    results = made_up()
    one = {
        "location": [0.3, 0.01],
        "spread": [0.1, 0.02],
        "kruskal": [9.0, 2.0],
        "t": {"age": [-3.0, 2.9], "mvi": [1.0, 1.1]},
    }
    results["harmonisation"] = {
        "advice": {"verdict": "help", "sentence": "Harmonisation helped: hospitals differ less."},
        "folds": 5,
        "patients": 120,
        "adjusted_for": ["age"],
        "before": side(0.8, 0.97, 2.4),
        "after": side(0.07, 0.55, 2.3),
        "biology_kept": 0.98,
        "covariates_only": {"auc": 0.61, "by_chance": 0.5, "by_chance_high": 0.54, "columns": 1},
        "retest": {"pairs": 45, "hospitals": 3, "before": 0.81, "after": 0.86},
        "features": {f"f{k}": one for k in range(features)},
    }
    return results


def test_the_section_holds_the_advice_the_picture_and_what_to_hold_figures_against() -> None:
    read = page(judged())
    for said in (
        "Harmonisation helped: hospitals differ less.",
        "Figure 6.",  # after flow, ROC, calibration, hospitals and coefficients
        "Biology kept: 98 %",
        "AUC; up to 0.54 by chance, 0.61 from the preserved covariates alone",
        "Lin's concordance, 45 patients",
    ):
        assert said in read.text
    assert "#harmonisation" in read.links
    assert "Variance explained by hospital and scanner" not in read.text


@pytest.mark.parametrize("features", [1, 4000])
def test_the_picture_stays_small_however_many_features(features: int) -> None:
    html = render(judged(features))
    picture = html[html.index('aria-labelledby="harmonisation-figure-title') :]
    assert len(picture[: picture.index("</svg>")]) < 150_000
    assert render(judged(features)) == html


def test_nothing_is_shown_where_nothing_was_harmonised() -> None:
    assert 'id="harmonisation"' not in render(made_up())
    assert "#harmonisation" not in page(made_up() | {"harmonisation": None}).links


def test_why_it_was_not_judged_is_said() -> None:
    not_judged = {"advice": {"verdict": "not judged", "sentence": "Not judged: no folds."}}
    html = render(made_up() | {"harmonisation": not_judged})
    assert "Not judged: no folds." in html
    assert "harmonisation-plot" not in html


def test_names_are_escaped() -> None:
    results = judged()
    for when in ("before", "after"):
        results["harmonisation"][when]["biology"] = {HOSTILE: 2.0}
    results["harmonisation"]["features"] = {"f": {"location": [0.2, 0.0], "t": {HOSTILE: [1.0, 1.0]}}}
    assert not re.search("<script>alert", render(results))
