"""The gate as a whole: a study between hospitals that approved it, the floors, and what a refusal tells."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.approval import revoke
from client.gate_rules.declared import DECLARED
from client.gate_rules.questions import questions_of
from client.queries import QUERIES
from client.site import FLOORS, open_site
from client.store import Store
from common.errors import Code, HospitalError, StudyStopped
from common.query import Disclosed
from common.refusals import SENTENCES, in_words
from common.room import Room, fewest_of
from common.study import Study
from deploy.simulation.hospitals import write_hospitals as write_demo
from deploy.simulation.simulate import find_hospitals
from server.progress import Silence
from tests.approved import approve_everywhere, run_between, site_of
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals

CLINICAL = ["mean_radius", "mean_texture", "mean_smoothness"]


def hospitals_of(folder: Path, names: tuple[str, ...], patients: int) -> dict[str, Path]:
    """As many hospitals of the breast-cancer set, with as many patients each."""
    table = breast_cancer().iloc[: patients * len(names)]
    table["hospital"] = np.resize(np.array(names), len(table))
    write_hospitals(folder, table, [*CLINICAL, "mvi"], [])
    for name in names:
        (folder / name / "site.yaml").write_text("policy: {single_hospital_sums: true}\n")
    return find_hospitals(folder)


def small(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "predictors": {"clinical": CLINICAL, "radiomics": None},
        "validation": {"folds": 2, "leave_one_hospital_out": False},
    }
    return study(**(content | changes))


class Revoking(Silence):
    """After some exchanges, one hospital revokes its approval."""

    def __init__(self, hospital: Any, name: str, after: int) -> None:
        self.hospital, self.name, self.left = hospital, name, after
        self.said: list[str] = []

    def exchanged(self, replayed: bool, largest: int) -> None:
        self.left -= 1
        if self.left == 0:
            store = Store(site_of(self.hospital).own)
            revoke(store, self.name)
            store.close()

    def notice(self, text: str) -> None:
        self.said.append(text)


def test_a_whole_study_passes_every_gate_and_asks_only_what_was_shown(tmp_path: Path) -> None:
    write_demo(tmp_path / "hospitals", sites=4, patients=120, seed=7)
    chosen, folders = (
        Study.from_file(tmp_path / "hospitals" / "study.yaml"),
        find_hospitals(tmp_path / "hospitals"),
    )
    results = run_between(chosen, approve_everywhere(chosen, folders), tmp_path / "out")
    assert results["lost"] == []
    assert len(results["sites"]) == 4
    assert {asked["query"] for asked in results["exchanges"]["asked"]} <= set(questions_of(chosen))


def test_a_hospital_that_revokes_in_the_middle_is_gone_at_the_next_question(tmp_path: Path) -> None:
    chosen, folders = small(), hospitals_of(tmp_path / "hospitals", ("a", "b", "c", "d", "e"), 100)
    hospitals = approve_everywhere(chosen, folders)
    gone = sorted(hospitals)[1]
    progress = Revoking(hospitals[gone], chosen.study, after=4)
    results = run_between(chosen, hospitals, tmp_path / "out", progress)
    assert [(lost["hospital"], lost["code"]) for lost in results["lost"]] == [(gone, "refused_approval_revoked")]
    assert any("the hospital has revoked its approval" in text for text in progress.said)


def test_a_rule_that_all_hospitals_hold_stops_the_study_in_words(tmp_path: Path) -> None:
    """Without the hospital that said so first the others would refuse as well, one after the other."""
    folders = hospitals_of(tmp_path / "hospitals", ("a", "b", "c", "d"), 40)
    for folder in folders.values():
        (folder / "site.yaml").write_text("policy: {patients_per_column: 50}\n")
    chosen = small(validation={"folds": 2, "leave_one_hospital_out": False})
    with pytest.raises(
        StudyStopped,
        match="by a rule that every hospital holds: refused: too many columns for the patients in all training rows",
    ):
        run_between(chosen, approve_everywhere(chosen, folders), tmp_path / "out")


def test_a_study_that_one_hospital_did_not_approve_goes_on_without_it(tmp_path: Path) -> None:
    chosen, folders = small(), hospitals_of(tmp_path / "hospitals", ("a", "b", "c", "d"), 60)
    hospitals = approve_everywhere(chosen, folders)
    gone = sorted(hospitals)[0]
    store = Store(site_of(hospitals[gone]).own)
    revoke(store, chosen.hash)
    store.close()
    results = run_between(chosen, hospitals, tmp_path / "out")
    assert results["left_out"] == {gone: "refused_approval_revoked"}
    assert gone not in results["sites"]


def test_the_gate_knows_how_wide_every_query_is() -> None:
    """A query that is not declared is refused: whoever adds one says what its sums are."""
    assert set(DECLARED) == set(QUERIES)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"harmonisation": {"method": "combat", "preserve": [], "transform": "yeo-johnson"}},
        {"harmonisation": {"method": "covbat", "preserve": []}},
        {"harmonisation": {"method": "combat", "preserve": [], "reference": "north"}},
        {"imputation": {"method": "regression"}},
    ],
)
def test_every_question_of_a_study_exists(changes: dict[str, Any]) -> None:
    assert set(questions_of(study(**changes))) <= set(QUERIES)


def test_folds_hold_as_many_as_the_room_says_whatever_the_hospitals_strata() -> None:
    from client.folds import Folds

    chosen = study(validation={"folds": 5, "repeats": 2, "leave_one_hospital_out": True})
    rng = np.random.default_rng(4)
    strata = {name: rng.integers(0, 3, size) for name, size in (("a", 23), ("b", 31), ("c", 12), ("d", 50))}
    room = Room.of({name: Disclosed(hospital=name, patients=len(own)) for name, own in strata.items()})
    for repeat in range(2):
        folds = [Folds(own, 5, 7, name, "secret").assign(repeat) for name, own in strata.items()]
        for fold in range(5):
            held_out = sum(int((own == fold).sum()) for own in folds)
            assert room.fewest(chosen, f"kfold/{repeat}/{fold}", training=False) <= held_out
            assert room.fewest(chosen, f"kfold/{repeat}/{fold}", training=True) <= 116 - held_out
    assert room.fewest(chosen, "leave_one_hospital_out/d", training=True) == 66
    assert room.fewest(chosen, "leave_one_hospital_out/d", training=False) == 50
    assert room.fewest(chosen, "final", training=True) == 116


def test_patients_with_gaps_count_for_nothing_where_all_columns_must_be_known() -> None:
    """A number below five was suppressed: four may be missing."""
    said = {"a": {"size": 10}, "b": {}, "c": {}}
    room = Room.of({name: Disclosed(hospital=name, patients=50, missing=gaps) for name, gaps in said.items()})
    assert room.fewest(study(), "final", True, ("size",)) == 150 - 10 - 4 - 4


@pytest.mark.parametrize(("approved", "fewest"), [(3, 3), (4, 3), (5, 4), (6, 5), (10, 7)])
def test_more_than_two_thirds_of_the_approved_hospitals_must_be_there(approved: int, fewest: int) -> None:
    assert fewest_of({f"h{k}": "" for k in range(approved)}) == fewest


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_a_floor_is_lowered_by_the_hospitals_own_word_alone(tmp_path: Path, name: str) -> None:
    site = tmp_path / "site.yaml"
    lower, higher = FLOORS[name] - 1, FLOORS[name] + 1
    site.write_text(f"policy:\n  {name}: {lower}\n")
    with pytest.raises(
        HospitalError, match=f"line 2: policy.{name}: found {lower}, Hepafed asks for {FLOORS[name]}"
    ):
        open_site(tmp_path)
    site.write_text(f"policy:\n  {name}: {lower}\n  lower_floor_reason: public data\n")
    assert getattr(open_site(tmp_path).file.policy, name) == lower
    site.write_text(f"policy:\n  {name}: {higher}\n")
    assert getattr(open_site(tmp_path).file.policy, name) == higher


def test_every_refusal_has_a_sentence_and_a_split_is_said_as_people_say_it() -> None:
    assert {code for code in Code if code.value.startswith("refused_")} <= set(SENTENCES)
    assert in_words(Code.FEW_IN_ROW_SET, "kfold/0/2") == "refused: too few patients in fold 3"
    assert in_words(Code.FEW_IN_ROW_SET, "kfold/1/0") == "refused: too few patients in fold 1 of repeat 2"
    assert "without alder" in in_words(Code.TOO_WIDE, "leave_one_hospital_out/alder")
    assert "hepafed site harmonise" in in_words(Code.TOO_FEW_PATIENTS)
    assert "a weighted sum rests" in in_words(Code.TOO_FEW_PATIENTS)
    assert in_words(Code.SILENT) == "no_answer"
