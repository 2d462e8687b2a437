"""Figures are numbered as a reader meets them, whichever of them a study has; names of persons keep their capital."""

import re
from pathlib import Path

import pytest

from server.report import page
from server.report.html import render
from tests.server.made_up_results import made_up
from tests.server.test_report_harmonisation import judged


def numbers(html: str) -> list[str]:
    return re.findall(r"<b>Figure ([^<]*)\.</b>", html)


@pytest.mark.parametrize("hospitals", [("alpha", "beta", "gamma"), tuple(f"h{k:02d}" for k in range(45))])
@pytest.mark.parametrize("harmonised", [False, True])
def test_figures_are_numbered_without_gaps(hospitals: tuple[str, ...], harmonised: bool) -> None:
    results = made_up(hospitals)
    if harmonised:
        results |= {"harmonisation": judged()["harmonisation"]}
    html = render(results)
    found = numbers(html)
    assert len(found) >= 4
    assert found == [str(k) for k in range(1, len(found) + 1)]
    assert len(found) == html.count("<figcaption>")
    assert render(results) == html


def test_every_figure_of_the_templates_takes_its_number_from_the_page() -> None:
    for template in Path(page.__file__).parent.glob("*.j2"):
        text = template.read_text(encoding="utf-8")
        assert template.name == "macros.j2" or "<figcaption" not in text, template.name
        assert not re.search(r"Figure \d", text), template.name


def test_a_cox_regression_is_coxs() -> None:
    results = made_up()
    results["model"] |= {"kind": "cox"}
    html = " ".join(render(results).split())
    assert "The model is a Cox regression stratified by hospital" in html
    logistic = " ".join(render(made_up()).split())
    assert "The model is a logistic regression" in logistic
