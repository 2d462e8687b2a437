"""What a report says of networks: curves, where they look, what moves them, and their second heads."""

import json
from copy import deepcopy
from typing import Any

import pytest

from client.gate_rules.questions import questions_of
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from server.report.html import render
from tests.hospitals_on_disk import study, write_hospitals
from tests.server.network_tables import COLUMNS, equal_hospitals
from tests.server.test_results_document import documented, keys_of, pattern

SECOND = {"outcome": {"kind": "survival", "time": "days", "event": "died"}, "weight": 0.5}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two outcomes by one network, from files of which cedar's has no times at all."""
    folder = tmp_path_factory.mktemp("second")
    table = equal_hospitals()
    table["days"] = (table["days"] / 30.4375).round(1)
    table.insert(0, "id", [f"P{k:03d}" for k in range(len(table))])
    sites = write_hospitals(folder / "sites", table, [*COLUMNS, "mvi", "days", "died"], [])
    cedar = sites / "cedar" / "patients.csv"
    cedar.write_text("\n".join(",".join(line.split(",")[:5]) for line in cedar.read_text().splitlines()) + "\n")
    asked = study(
        predictors={"clinical": COLUMNS},
        variables={"days": {"unit": "months"}, "died": {"type": "binary", "labels": {"en": "death"}}},
        model={"kind": "network"},
        network={"hidden": [4], "rounds": 3, "also": SECOND, "personal": "head"},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )
    simulate(Simulation(asked, find_hospitals(sites), folder / "out"), Silence())
    found: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    assert {said["query"] for said in found["exchanges"]["asked"]} <= set(questions_of(asked))
    return found


def test_the_second_outcome_is_judged_at_the_hospitals_that_have_it(results: dict[str, Any]) -> None:
    judged, table = results["network"]["also"]["judged"], equal_hospitals()
    assert set(judged) == {"apparent", "kfold/0"}
    with_times = table[table["hospital"] != "cedar"]
    assert judged["kfold/0"]["patients"] == len(with_times)
    assert judged["kfold/0"]["events"] == int(with_times["died"].sum())
    assert 0.3 < judged["apparent"]["within_sites"]["value"] < 1


def test_every_key_of_a_network_is_documented(results: dict[str, Any]) -> None:
    import re

    known = [re.compile(pattern(path)) for path in documented()]
    found = {key for key in keys_of(results) if key.startswith("network")}
    assert sorted(key for key in found if not any(p.fullmatch(key) for p in known)) == []


def test_the_report_says_how_the_second_head_orders_and_whose_the_last_layer_is(results: dict[str, Any]) -> None:
    page = render(results)
    for said in ("The second outcome: death", "Harrell's C within hospitals", "two heads", "every hospital's own"):
        assert said in page.replace("&#39;", "'"), said
    assert "Where the network looks" not in page
    assert "Loss over rounds" in page


def test_the_report_shows_where_a_network_on_images_looks(results: dict[str, Any]) -> None:
    seen = deepcopy(results)
    settings = seen["network"]["settings"] | {"architecture": "fusion", "image": {"encoder": "mil25d"}}
    seen["network"] |= {
        "settings": settings,
        "also": None,
        "attention": {
            "patients": 96,
            "shares": {"tumour": 0.2, "ring": 0.3, "elsewhere": 0.5},
            "volumes": {"tumour": 0.1, "ring": 0.1, "elsewhere": 0.8},
            "columns": {"a": 0.7, "b": 0.05, "c": 0.2},
        },
    }
    page = render(seen)
    for said in (
        "96 patients with images",
        "30.0 %",
        "3.00",
        "Integrated gradients",
        "slices weighed by attention",
    ):
        assert said in page, said
    assert page.index("0.700") < page.index("0.200") < page.index("0.050"), "the farthest first"
