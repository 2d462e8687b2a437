"""A coordinator that sends the same weights in rounds that other hospitals train, and subtracts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.app import Whereabouts
from common.errors import Code
from common.networks.bounds import bounds
from common.networks.build import first_weights
from common.networks.rounds import participants
from common.query import Answer, View
from common.study import Study
from tests.approved import approve_here
from tests.client.curious_coordinator import F, ask, refused
from tests.hospitals_on_disk import study

NAMES = ("alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "iris", "juniper", "north", "oak")
PATIENTS = 60
ROUNDS = 30


def asking(share: float = 0.3, **more: Any) -> Study:
    checks: dict[str, Any] = {"folds": 0, "leave_one_hospital_out": False}
    network = {"participation": share, "rounds": ROUNDS, "hidden": [2]} | more.pop("network", {})
    sections: dict[str, Any] = {
        "predictors": {"clinical": ["age", "size"], "radiomics": None},
        "model": {"kind": "network"},
        "privacy": {"secure_sum": False},
    }
    return study(**sections, **({"network": network, "validation": checks | more.pop("validation", {})} | more))


def told_apart(chosen: Study, names: Sequence[str]) -> set[frozenset[str]]:
    """Hospitals that train in the same rounds: what any sums and differences of rounds can be narrowed down to."""
    rounds = [participants(chosen, names, number) for number in range(1, 60)]
    pattern = {name: tuple(name in drawn for drawn in rounds) for name in names}
    return {frozenset(n for n in names if pattern[n] == seen) for seen in pattern.values() if any(seen)}


@given(st.integers(3, len(NAMES)), st.floats(0.01, 1), st.integers(0, 10_000))
def test_rounds_from_the_same_weights_leave_three_hospitals_together(many: int, share: float, seed: int) -> None:
    found = told_apart(asking(share, seed=seed), NAMES[:many])
    assert min(map(len, found)) >= 3
    assert found, "somebody trains"


def test_sealed_hospitals_are_not_among_those_who_train() -> None:
    chosen = asking(validation={"external": list(NAMES[3:7])})
    assert told_apart(chosen, NAMES[:7]) == {frozenset(NAMES[:3])}


def test_groups_that_are_left_out_together_train_together() -> None:
    groups = {"here": list(NAMES[:4]), "there": list(NAMES[4:8]), "beyond": list(NAMES[8:12])}
    chosen = asking(validation={"leave_groups_out": groups})
    assert told_apart(chosen, NAMES) == {frozenset(group) for group in groups.values()}
    assert told_apart(chosen, [*NAMES, "zelkova"]) == {frozenset([*NAMES, "zelkova"])}


@pytest.fixture
def hospital(tmp_path: Path) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(2)
    columns = {"age": rng.normal(size=PATIENTS), "size": rng.normal(size=PATIENTS), "mvi": np.arange(PATIENTS) % 2}
    pd.DataFrame({"id": [f"P{i}" for i in range(PATIENTS)]} | columns).to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed")


def trained(hospital: Whereabouts, chosen: Study, others: int, weights: np.ndarray | None = None) -> Answer:
    approve_here(hospital, chosen, NAMES)
    ask(hospital, chosen, "roll_call", roster=(), splits=(), parameters={"study": chosen.to_json()})
    root = View("columns", parameters={"columns": ["age", "size"]})
    filled = View("impute", root.hash, F, {}, {"fill": np.zeros((1, 2))})
    scaled = View("scale", filled.hash, F, {}, {"centre": np.zeros((1, 2)), "spread": np.ones((1, 2))})
    most = max(PATIENTS, others)
    assert chosen.network is not None
    asked = {"of": [0], "columns": [[0, 1]], "model": [0], "round": 1, "patients": most}
    return ask(
        hospital,
        chosen,
        "train_network",
        (root, filled, scaled),
        others=others,
        roster=NAMES,
        view=scaled.hash,
        parameters=asked | {"bounds": bounds(chosen.network, 1, most)},
        arrays={"weights": (first_weights(chosen, 2, "") if weights is None else weights)[None]},
    )


def test_a_group_with_patients_enough_trains(hospital: Whereabouts) -> None:
    assert "update" in trained(hospital, asking(), others=80).sums


def test_a_group_of_few_patients_does_not_train_by_itself(hospital: Whereabouts) -> None:
    refused(hospital, trained(hospital, asking(), others=9), Code.FEW_IN_ROW_SET, "train together on 27 patients")


def test_a_group_trains_in_a_third_as_many_rounds_as_it_has_patients(hospital: Whereabouts) -> None:
    answer = trained(hospital, asking(0.6, network={"rounds": 60}), others=20)
    refused(hospital, answer, Code.MANY_QUERIES, "rounds over 60 patients; a third of them are allowed")
    assert "update" in trained(hospital, asking(0.6, network={"rounds": 20}), others=20).sums


def test_groups_that_train_in_every_round_are_no_totals_by_themselves(hospital: Whereabouts) -> None:
    assert "update" in trained(hospital, asking(0.9), others=9).sums
