"""Choosing features as part of a study: width, gates, and what the report says."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client.folds import Folds
from client.gate_rules.questions import questions_of
from common.errors import HospitalLost
from server.methods.selection import most_columns, select_columns
from server.results.selection import selection_of
from tests.hospitals_on_disk import breast_cancer
from tests.hospitals_on_disk import study as asked_of
from tests.server.made_up_results import made_up, page
from tests.server.selecting import SIZES, Conversation, converse


def noise(change_held_out_of: str | None = None) -> pd.DataFrame:
    """120 patients of four hospitals, 500 features that know nothing of the outcome."""
    rng = np.random.default_rng(11)
    table = pd.DataFrame(rng.normal(size=(120, 500)), columns=[f"f{j:03d}" for j in range(500)])
    table.insert(0, "id", [f"P{i:03d}" for i in range(120)])
    table["hospital"] = np.repeat([*SIZES], [*SIZES.values()])
    table["mvi"] = rng.integers(0, 2, 120)
    if change_held_out_of:
        study = asked_of(validation=FOLDS)
        for name, own in table.groupby("hospital"):
            dealt = Folds(own["mvi"].to_numpy(float), 5, study.seed, str(name), "", 0)
            away = own.index[dealt.held_out(change_held_out_of)]
            table.loc[away, "f000":"f499"] += 7 * table.loc[away, ["mvi"]].to_numpy()
    return table


FOLDS = {"folds": 5, "leave_one_hospital_out": False}


def test_with_more_features_than_patients_screening_comes_first_by_itself_and_sees_no_held_out_patient(
    tmp_path: Path,
) -> None:
    study = asked_of(validation=FOLDS, privacy={"secure_sum": False})
    found, told = [], []
    for place, held_out in (("as-is", None), ("changed", "kfold/0/2")):
        talk = converse(tmp_path / place, noise(held_out), study)
        selected = select_columns(talk.federation, study, talk.prepared, talk.room, 500)
        found.append(selected)
        told.append(talk)
    asis, changed = found
    np.testing.assert_array_equal(asis.allowed, most_columns(study, told[0].room, told[0].federation.splits))
    assert asis.allowed[0] == 120 // 3 - 1
    assert [step.left.tolist() for step in asis.steps if step.name == "screening"] == [asis.allowed.tolist()]
    assert "500 image features are more than the patients allow" in asis.notes[0]
    # What fold 2 holds out is changed beyond recognition: its own choice stays, everybody else's follows the change.
    fold = told[0].federation.splits.index("kfold/0/2")
    np.testing.assert_array_equal(asis.active[fold], changed.active[fold])
    others = [k for k in range(len(asis.active)) if k != fold]
    assert all((asis.active[k] != changed.active[k]).sum() > asis.allowed[k] for k in others)
    # And folds choose for themselves: on noise, hardly any feature is chosen by all.
    times = asis.active[1:].sum(axis=0)
    assert (times == 5).sum() < asis.allowed[fold] / 2
    assert (times > 0).sum() > 1.5 * asis.allowed[fold]


def test_gates_of_real_hospitals_let_these_questions_through_and_the_report_says_what_was_chosen(
    tmp_path: Path,
) -> None:
    table = breast_cancer()
    table["hospital"] = np.resize(np.array([*SIZES]), len(table))
    study = asked_of(
        selection={"screening": "mann-whitney", "keep": 20, "redundancy": 0.9, "mrmr": 4},
        validation={"folds": 2, "leave_one_hospital_out": True},
    )
    talk = converse(tmp_path, table, study, approved=True)
    selected = select_columns(talk.federation, study, talk.prepared, talk.room, 30)
    asked = [exchange.query for exchange in talk.federation.record]
    every = ["class_sums", "class_histograms", "rank_histograms", "rank_products", "feature_products"]
    assert asked[-5:] == every
    assert set(every) <= set(questions_of(study))
    said = selection_of(study, selected, talk.federation.splits, np.ones((7, 1, 31)))
    assert said is not None
    assert [step["step"] for step in said["steps"]] == ["measured", "varying", "screening", "redundancy", "mrmr"]
    assert set(said["steps"][2]["left"].values()) == {20}
    assert set(said["steps"][4]["left"].values()) == {4}
    assert len(said["final"]) == 4
    assert said["training_sets"] == 2 + 4
    for name, times in said["chosen"].items():
        assert times == selected.active[1:, selected.columns.index(name)].sum()
    assert 0 < said["certificates"]["auc"] < 0.05


def test_the_report_says_what_every_step_left_and_how_often_each_feature_was_chosen() -> None:
    splits = ("final", "kfold/0/0", "kfold/0/1", "leave_one_hospital_out/alder", "leave_group_out/north")
    left = [dict.fromkeys(splits, 900), dict(zip(splits, (12, 9, 11, 8, 10), strict=True))]
    said = {
        "settings": None,
        "screening": "cox",
        "allowed": dict.fromkeys(splits, 40),
        "steps": [{"step": name, "left": own} for name, own in zip(("measured", "screening"), left, strict=True)],
        "training_sets": 4,
        "chosen": {"wavelet_entropy": 4, **{f"shape_{k:02d}": 1 for k in range(35)}},
        "final": ["wavelet_entropy"],
        "certificates": {"auc": None, "spearman": None, "undecided": 0},
    }
    text = page(made_up() | {"selection": said}).text
    assert "Screened against the outcome 12 9 to 11 8 to 10" in text
    assert "repeat 1, without fold 2 900 11" in text
    assert "without alder 900 8" in text
    assert "without the group north 900 10" in text
    assert "wavelet_ entropy 4 yes" in text
    assert "the 30 most frequent, 6 more in results.json" in text
    assert "1 feature was chosen in every one of the 4 training sets" in text
    assert "Choice of features" not in page(made_up()).text


def crafted(talk: Conversation, name: str, splits: tuple[str, ...] = ("final",), **asked: Any) -> str:
    """What hospitals that were asked a crafted question answer."""
    arrays = {key: value for key, value in asked.items() if isinstance(value, np.ndarray)}
    parameters = {key: value for key, value in asked.items() if key not in arrays}
    try:
        talk.federation.ask(name, view=talk.prepared.view, splits=splits, parameters=parameters, arrays=arrays)
    except HospitalLost as lost:
        return lost.code.value
    return "answered"


def test_gates_refuse_bins_round_one_patient_made_up_ranks_and_too_many_columns(tmp_path: Path) -> None:
    table = breast_cancer().iloc[:100].reset_index(drop=True)
    table["hospital"] = np.resize(np.array([*SIZES]), len(table))
    chosen = {"screening": "mann-whitney", "redundancy": 0.9, "mrmr": 4}
    study = asked_of(selection=chosen, validation={"folds": 2, "leave_one_hospital_out": False})
    talk = converse(tmp_path, table, study, approved=True)
    narrow, bounds = "refused_edges_too_close_or_too_many", "parameters_outside_their_bounds"
    assert crafted(talk, "class_histograms", bins=60) == narrow
    assert crafted(talk, "rank_histograms", columns=[[0, 1]], bins=400) == narrow
    assert crafted(talk, "rank_histograms", columns=[[0, 0]], bins=30) == bounds
    assert crafted(talk, "feature_products", columns=[[0], [1]]) == bounds
    invented = np.full((1, 30, 2), 1e5)
    assert crafted(talk, "rank_products", columns=[[0, 1]], counts=invented) == narrow
    invented = np.zeros((1, 30, 2))
    invented[0, [0, -1]] = 50
    assert crafted(talk, "rank_products", columns=[[0, 1]], counts=invented) == bounds
    allowed = 4 * (25 // 2) // 3 - 1  # that many patients a fold surely holds out, and as many it trains on
    wide = [list(range(allowed + 1))]
    assert crafted(talk, "feature_products", ("kfold/0/0",), columns=wide) == "refused_cross_product_too_wide"
    assert crafted(talk, "feature_products", ("kfold/0/0",), columns=[wide[0][:-1]]) == "answered"
