"""A coordinator that cuts or compares predictions so as to single out patients; each attempt fails for its reason."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from client.gate_rules.questions import questions_of
from common.errors import Code
from common.query import Answer, View
from common.splits import outer_splits_of
from common.study import Study
from tests.client.curious_coordinator import PATIENTS, F, ask, asking, call_roll, count, refused
from tests.client.test_app import ROSTER, log_of, scaled

EDGES = np.array([[0.3, 0.5, 0.7]])


@pytest.fixture
def hospital(tmp_path: Any) -> Whereabouts:
    folder = tmp_path / "north"
    folder.mkdir()
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "id": [f"SECRET-{i}" for i in range(PATIENTS)],
            "age": rng.integers(40, 80, PATIENTS),
            "size": rng.normal(40, 9, PATIENTS).round(1),
            "mvi": np.arange(PATIENTS) % 2,
        }
    )
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "site.yaml").write_text("policy: {unmasked_sums: true}\n")
    return Whereabouts(folder, folder / ".hepafed")


def model_of(chosen: Study) -> tuple[View, ...]:
    """A view that ends in the linear predictors of the study's models."""
    chain = scaled(F)
    beta = np.tile([[0.0, 0.5, 0.5]], (len(chosen.models()), 1))
    return (*chain, View("linear", chain[-1].hash, F, {}, {"beta": beta[None]}))


def held_out(
    hospital: Whereabouts,
    chosen: Study,
    name: str,
    arrays: dict[str, Any],
    counts: Sequence[bytes] = (),
    **parameters: Any,
) -> Answer:
    views = model_of(chosen)
    asked: dict[str, Any] = {"splits": (), "rows": "held_out", "view": views[-1].hash, "arrays": arrays}
    asked["counts"] = counts
    return ask(hospital, chosen, name, views, parameters={"schemes": ["apparent"]} | parameters, **asked)


def training(hospital: Whereabouts, chosen: Study, edges: np.ndarray, counts: Sequence[bytes] = ()) -> Answer:
    views = model_of(chosen)
    asked: dict[str, Any] = {"view": views[-1].hash, "parameters": {"schemes": ["apparent"]}}
    return ask(
        hospital, chosen, "training_classes", views, arrays={"edges": edges[:, None]}, counts=counts, **asked
    )


def counted(hospital: Whereabouts, chosen: Study, name: str, arrays: dict[str, Any], **more: Any) -> bytes:
    """Counts of predicted risks, with the neighbours'."""
    views = model_of(chosen)
    asked: dict[str, Any] = {"view": views[-1].hash, "arrays": arrays, "parameters": {"schemes": ["apparent"]}}
    if name != "training_counts":
        asked |= {"splits": (), "rows": "held_out"}
    return count(hospital, chosen, name, views, **(asked | more))


def counted_for_training(hospital: Whereabouts, chosen: Study) -> list[bytes]:
    return [counted(hospital, chosen, name, {"edges": EDGES}) for name in ("score_counts", "training_counts")]


def cuts_of(chosen: Study, cut: float) -> dict[str, np.ndarray]:
    """The same threshold for every outer split of the four hospitals' study."""
    return {"cuts": np.full((1, 1 + chosen.validation.folds + 4), cut)}


def test_training_bins_are_edges_that_were_asked_without_the_outcome(hospital: Whereabouts) -> None:
    chosen = asking()
    call_roll(hospital, chosen)
    refused(hospital, training(hospital, chosen, EDGES), Code.CLOSE_EDGES, "edges that were not asked before")
    counts = counted_for_training(hospital, chosen)
    histogram = training(hospital, chosen, EDGES, counts).sums["histogram"]
    assert histogram.shape == (1, 1, 2, 4)
    assert histogram.sum() == PATIENTS


def test_a_threshold_is_an_edge_of_the_training_bins(hospital: Whereabouts) -> None:
    """A cut anywhere else would part a patient from the next edge."""
    chosen = asking()
    call_roll(hospital, chosen)
    assert training(hospital, chosen, EDGES, counted_for_training(hospital, chosen)).sums
    answer = held_out(hospital, chosen, "threshold_classes", cuts_of(chosen, 0.51))
    refused(hospital, answer, Code.CLOSE_EDGES, "a threshold that is no edge")
    at_half = cuts_of(chosen, 0.5)
    refused(
        hospital, held_out(hospital, chosen, "threshold_classes", at_half), Code.NUMBERS_NOT_SIGNED, "the groups"
    )
    groups = {"schemes": ["apparent"], "fits": list(outer_splits_of(chosen, ROSTER))}
    counts = [counted(hospital, chosen, "group_counts", {"cuts": at_half["cuts"][:, :, None]}, parameters=groups)]
    found = held_out(hospital, chosen, "threshold_classes", at_half, counts=counts).sums["counts"]
    assert found.sum() == PATIENTS


def test_placements_are_over_bins_that_were_asked_without_the_outcome(hospital: Whereabouts) -> None:
    chosen = asking(compare={"age": {"clinical": ["age"]}})
    call_roll(hospital, chosen)
    both = ["apparent", "apparent@age"]
    rising, falling = np.linspace(0, 1, 4), np.linspace(1, 0, 4)
    arrays = {"edges": np.repeat(EDGES, 2, axis=0), "placements": np.array([[falling, rising]] * 2)}
    answer = held_out(hospital, chosen, "placement_products", arrays, schemes=both, pairs=[[0, 1]])
    refused(hospital, answer, Code.CLOSE_EDGES, "edges that were not asked before")


def test_two_pairs_of_one_model_are_refused(hospital: Whereabouts) -> None:
    chosen = asking(compare={"age": {"clinical": ["age"]}})
    call_roll(hospital, chosen)
    both = ["apparent", "apparent@age"]
    answer = held_out(hospital, chosen, "paired_predictions", {}, schemes=both, pairs=[[1, 1]])
    assert answer.disclosed.code is Code.BAD_PARAMETERS
    assert "two different numbers" in log_of(hospital)
    assert held_out(hospital, chosen, "paired_predictions", {}, schemes=both, pairs=[[1, 0]]).sums


def test_predictions_are_not_compared_where_the_study_compares_no_models(hospital: Whereabouts) -> None:
    chosen = asking()
    call_roll(hospital, chosen)
    answer = held_out(hospital, chosen, "paired_predictions", {}, schemes=["apparent", "kfold/0"], pairs=[[0, 1]])
    refused(hospital, answer, Code.NOT_ALLOWED, "none of those that the approved study asks")
    assert "paired_predictions" not in questions_of(chosen)
    assert "paired_predictions" in questions_of(asking(compare={"age": {"clinical": ["age"]}}))


def test_parts_are_asked_once(hospital: Whereabouts) -> None:
    """Many sets of coefficients would be many equations for the patients' products."""
    chosen = asking()
    call_roll(hospital, chosen)
    *_, scale = views = scaled(F)

    def parts(beta: list[list[float]]) -> Answer:
        return ask(hospital, chosen, "parts", views, view=scale.hash, arrays={"beta": np.array([beta])})

    assert parts([[0.5, 0.0], [0.0, 0.5]]).sums["products"].shape == (1, 2, 2)
    refused(hospital, parts([[0.4, 0.1], [0.0, 0.5]]), Code.MANY_QUERIES, "a study with")
