"""The report says what results.json holds, in one file, escaped, and the same way every time."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from client.queries import QUERIES
from common.errors import Code
from common.splits import LEAVE_ONE_HOSPITAL_OUT
from server.report import curves, flow, forest, numerals, words
from server.report.html import render, write_report
from server.report.query_words import QUERIES as QUERY_WORDS
from server.results.small_cells import flow_in_ranges
from tests.server.made_up_results import HOSPITALS, HOSTILE, Page, estimate, made_up, page


def test_the_report_needs_nothing_but_itself() -> None:
    html = render(made_up())
    read = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(read.tags)
    assert read.links
    assert all(link.startswith("#") for link in read.links)
    assert not re.search(r"url\(|@import|https?:", html)


def test_every_link_leads_somewhere_and_no_place_has_two_names() -> None:
    read = page(made_up(tuple(f"h{k}" for k in range(60))))
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)


def test_names_and_labels_from_elsewhere_are_text_and_never_markup() -> None:
    results = made_up((HOSTILE, "beta", "gamma"))
    results["study"]["title"] = HOSTILE
    results["study"]["content"]["variables"]["age"]["labels"] = {"en": HOSTILE, "zh": HOSTILE}
    results["study"]["content"]["variables"]["mvi"]["labels"] = {"en": HOSTILE}
    results["notes"] = results["sites"]["beta"]["scanners"] = [HOSTILE]
    results["left_out"] = {HOSTILE: HOSTILE}
    html = render(results)
    assert "<script" not in html
    assert "<b>Age" not in html
    assert HOSTILE in Page(html).text


def test_the_three_figures_stand_beside_each_other_with_their_intervals() -> None:
    text = page(made_up()).text
    cards = text[text.index("New patients, same hospitals") : text.index("0.5 is chance")]
    for figure in ("0.81", "0.75 to 0.87", "0.74", "0.68 to 0.80", "0.80", "0.74 to 0.86", "81 of 100 pairs"):
        assert figure in cards


@pytest.mark.parametrize(
    "figure",
    [
        "0.810 (0.750 to 0.870)",
        "0.790 to 0.830",
        "0.797",
        "0.93 (0.60 to 1.20)",
        "0.187",
        "0.240",
        "12 345",
        "3 × 2 × 9",
        "abababab",
        "−61.25",
        "0.700",
        "2.01",
        "4.06",
        "57.1 (48.2 to 66.3)",
        "甲胎蛋白",
        "微血管侵犯",
        "per tenfold (log10)",
        "unknown for every patient of beta",
    ],
)
def test_the_report_shows(figure: str) -> None:
    assert figure in page(made_up()).text


def test_quartiles_of_a_transformed_column_are_back_in_its_own_unit() -> None:
    text = page(made_up()).text
    assert "100 (10.0 to 1000)" in text
    assert "analysed as log10" in text


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    write_report(made_up(), tmp_path / "one.html")
    write_report(json.loads(json.dumps(made_up())), tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.html", "two.html"]


def test_the_order_of_keys_and_what_the_network_did_leave_no_trace() -> None:
    other = made_up() | {"transport": {"engine": "process", "seconds": 99.0, "messages": 1, "retries": 7}}
    assert render(dict(reversed(other.items()))) == render(made_up())


def test_what_is_suppressed_is_said_in_words() -> None:
    text = page(made_up()).text
    assert " suppressed " in text  # events at beta
    assert "<5 or more than 115: suppressed" in text  # carriers of BCLC B
    assert "<5: a value outside its plausible range" in text  # the flow


def test_a_protection_banner_stands_above_unprotected_results_only() -> None:
    assert "Not yet protected: no masks." in page(made_up()).text
    safe = made_up()
    safe["protection"] = {"secure_sums": True, "gate": True, "lower_profile": False, "statement": "Protected."}
    assert "protection" not in page(safe).ids
    assert "not masked" not in page(safe).text


@pytest.mark.parametrize("missing", [["kfold"], [LEAVE_ONE_HOSPITAL_OUT], ["kfold", LEAVE_ONE_HOSPITAL_OUT]])
def test_a_scheme_that_was_not_asked_for_is_said_and_not_drawn(missing: list[str]) -> None:
    results = made_up()
    for name in missing:
        del results["performance"][name]
    text = page(results).text
    assert text.count("not asked for") == len(missing)
    assert "0.870 (0.810 to 0.930)" in text


def test_what_cannot_be_estimated_is_said_in_words() -> None:
    results = made_up()
    for found in results["performance"].values():
        found["overall"]["auc"] |= estimate(None)
        found["overall"]["calibration"]["slope"] = found["overall"]["calibration"]["intercept"] = estimate(None)
        found["within_sites"]["auc"] = estimate(None)
        found["calibration_curve"] = []
        for own in found["by_site"].values():
            own |= {"auc": estimate(None), "calibration": {"slope": None, "intercept": None}}
    text = page(results).text
    for said in ("not estimable (one class only)", "fewer than 10 with or without the outcome", "No ROC curve"):
        assert said in text
    assert "No calibration curve" in text
    assert "calibration could not be estimated" in text
    assert "None" not in text


def test_one_column_or_none_makes_a_report() -> None:
    results = made_up()
    for name, column in results["pipeline"]["columns"].items():
        column["used"] = name == "afp"
    assert "1 column and an intercept" in page(results).text
    results["pipeline"]["columns"]["afp"]["used"] = False
    assert "No column takes part" in page(results).text


def test_of_many_coefficients_fifty_are_shown_and_the_rest_folded_away() -> None:
    html = render(made_up(features=1500))
    before, folded = html.split("The other 1453 coefficients")
    assert "tumour_<wbr>original_<wbr>glcm_<wbr>F1499" in before
    assert "tumour_<wbr>original_<wbr>glcm_<wbr>F7</code>" in folded
    assert len(html) < 3_000_000


@pytest.mark.parametrize("number", [3, 60])
def test_few_and_many_hospitals_with_long_names_are_all_there(number: int) -> None:
    names = tuple(f"{'University-Hospital-of-a-Very-Long-Place-Name'}-{k:02d}" for k in range(number))
    text = page(made_up(names)).text
    assert all(name in text for name in names)
    assert f"University-Hospital-o…ce-Name-{number - 1:02d}" in text  # in the forest plot


def test_hospitals_that_did_not_stay_are_named_with_the_reason_in_words() -> None:
    results = made_up()
    results["left_out"] = {"delta": "duplicate_patients"}
    results["lost"] = [{"hospital": "gamma", "code": "no_answer", "query": "logistic"}]
    results["sites"]["gamma"]["in_final_roster"] = False
    del results["exchanges"]["bytes_up_per_site"]["gamma"]
    results["cohort"]["patients"] = 80
    text = page(results).text
    assert "a patient id stands twice in its file" in text
    assert "it did not answer in time" in text
    assert "(lost during the run)" in text
    assert "40: of a hospital that was lost" in text


def test_an_unpenalised_model_shows_intervals() -> None:
    results = made_up()
    results["model"] |= {"penalty": "none", "standard_errors": {"afp": 0.25}}
    text = page(results).text
    assert "2.72 (1.67 to 4.44)" in text  # exp(1.0 ± 1.96 × 0.25), per tenfold
    assert "1.65 (1.29 to 2.11)" in text  # exp(0.5 ± 1.96 × 0.25 × 0.5), per SD


@pytest.mark.parametrize("excluded", [[0, 0], [1, 0], [4, 4], [3, 20], [20, 3], [2, 2, 2], [5, 1, 0, 9]])
def test_nobody_can_subtract_two_boxes_of_the_flow_and_find_one_to_four_patients(excluded: list[int]) -> None:
    counts = [100 + sum(excluded[k:]) for k in range(len(excluded) + 1)]
    results = made_up() | {"flow": flow_in_ranges({f"step {k}": n for k, n in enumerate(counts)})}
    steps = flow.steps_of(results)
    exact = [n for n in results["flow"].values() if isinstance(n, int)]
    assert not any(0 < a - b < 5 for a in exact for b in exact)
    for k, step in enumerate(steps[1:], start=1):
        above, here = steps[k - 1].patients, step.patients
        if above.isdigit() and here.isdigit():
            assert not 0 < int(above) - int(here) < 5
            assert step.left_out == str(int(above) - int(here))
    assert not any(step.left_out in ("1", "2", "3", "4") for step in steps)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-2.71, "−2.71"),
        (26.53, "26.5"),
        (0.00012, "0.000120"),
        (9.999, "10.0"),
        (1e-9, "1.00×10⁻⁹"),
        (12345.0, "12300"),
        (-1.5e12, "−1.50×10¹²"),
        (None, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert numerals.significant(value) == text


@pytest.mark.parametrize(("coefficient", "text"), [(0.0, "1.00"), (1e4, "beyond 10³⁰⁰"), (-1e4, "below 10⁻³⁰⁰")])
def test_odds_ratios_never_overflow(coefficient: float, text: str) -> None:
    assert numerals.odds_ratio(coefficient) == text


def test_every_question_and_every_code_has_words_in_the_report() -> None:
    assert set(QUERIES) <= set(QUERY_WORDS)
    assert set(words.CODES) == set(Code)


def test_a_transductive_figure_says_so_where_it_stands() -> None:
    results = made_up()
    results["performance"][LEAVE_ONE_HOSPITAL_OUT]["transductive"] = True
    text = page(results).text  # nothing was harmonised: the study names combat, and has no image features
    assert "served to harmonise it" not in text
    assert "transductive" not in text
    results["pipeline"]["harmonisation"] = {
        "method": "combat",
        "batch": "hospital",
        "covariates": [],
        "left_alone": [],
    }
    text = page(results).text
    assert "without outcomes, served to harmonise it" in text[: text.index("0.5 is chance")]
    assert text.count("transductive") == 2


def test_without_image_features_nothing_was_there_to_harmonise() -> None:
    results = made_up()
    assert "not removed" in page(results).text
    results["study"]["content"]["predictors"]["radiomics"] = None
    results["study"]["content"]["harmonisation"] = {"method": "combat"}
    for part in (results["pipeline"]["columns"], results["model"]["standardised"]):
        del part["tumour_original_glcm_F0"]
    text = page(results).text
    assert "nothing to harmonise" in text
    assert "not removed" not in text


def test_an_image_feature_has_an_odds_ratio_per_standard_deviation_only() -> None:
    results = made_up()
    results["model"]["coefficients"]["tumour_original_glcm_F0"] = -160.0
    assert "×10⁻⁷⁰" not in page(results).text


def test_the_rows_of_a_forest_keep_apart_with_a_single_scheme() -> None:
    results = made_up()
    del results["performance"][LEAVE_ONE_HOSPITAL_OUT]
    (drawing,) = forest.draw_forest(results)
    found = re.findall(r'<text x="0" y="([\d.]+)"', drawing)
    places = [float(y) for y in found]
    assert len(places) == 1 + 2 * len(HOSPITALS) + 2
    assert min(b - a for a, b in pairwise(places)) >= 12


def test_the_legend_of_a_figure_is_whole_and_below_its_points() -> None:
    results = made_up()
    for found in results["performance"].values():
        found["overall"]["calibration"]["slope"] = estimate(None)
    drawing = curves.draw_calibration(results)
    assert drawing is not None
    assert "Leave one hospital out: slope not estimable</text>" in drawing
    assert "…" not in drawing
