"""Whole studies under masks: the same results, hospitals that fall away at any stage, and a coordinator that cheats."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import RecordDict

import client.app
from client import secure_sums
from client.app import Whereabouts
from client.identity import Identity
from client.ledger import Kind, entries
from client.ledger_check import check_ledger
from client.store import Store
from common import wire
from common.counting import COUNTED_BY, COUNTING
from common.errors import Code
from common.masking import Asking, Said, Step, read_asking
from common.query import Query, View
from common.secure_sum.agreement import Agreement
from common.secure_sum.encoding import unpack
from common.secure_sum.fixed_point import ArrayExponents, Exponents
from common.secure_sum.wide import MASKED
from common.study import Study
from common.wire import Reply
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from tests.approved import approve_everywhere, run_between, site_of
from tests.hospitals_on_disk import breast_cancer, study, write_hospitals

CLINICAL = ["mean_radius", "mean_texture", "mean_smoothness"]
FEATURES = ["mean_area", "worst_area", "mean_fractal_dimension"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = write_hospitals(tmp_path_factory.mktemp("masked"), breast_cancer(), [*CLINICAL, "mvi"], FEATURES)
    for hospital in find_hospitals(folder).values():
        (hospital / "site.yaml").write_text("policy: {single_hospital_sums: true, unmasked_sums: true}\n")
    return find_hospitals(folder)


def chosen(**changes: Any) -> Study:
    content: dict[str, Any] = {
        "predictors": {"clinical": CLINICAL, "radiomics": "all"},
        "harmonisation": {"method": "combat", "preserve": ["mean_texture"]},
        "validation": {"folds": 2, "leave_one_hospital_out": False},
        "lost_hospital": {"wait_minutes": 0.1},
    }
    return study(**(content | changes))


def run(asked: Study, folders: dict[str, Path], out: Path) -> dict[str, Any]:
    simulate(Simulation(asked, folders, out), Silence())
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def numbers(found: Any) -> list[float]:
    if isinstance(found, dict):
        return [n for name in sorted(found) for n in numbers(found[name])]
    if isinstance(found, list):
        return [n for part in found for n in numbers(part)]
    return [float(found)] if isinstance(found, float | int) and not isinstance(found, bool) else []


def test_results_are_the_same_with_masks_and_without(folders: dict[str, Path], tmp_path: Path) -> None:
    patient = {"wait_minutes": 10}  # nobody dies here, however busy the machine
    masked = run(chosen(lost_hospital=patient), folders, tmp_path / "masked")
    plain = run(chosen(lost_hospital=patient, privacy={"secure_sum": False}), folders, tmp_path / "plain")
    assert masked["protection"]["secure_sums"]
    assert not plain["protection"]["secure_sums"]
    for part in ("flow", "model", "performance", "harmonisation", "cohort"):
        found, expected = numbers(masked[part]), numbers(plain[part])
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=part)


def test_counts_are_masked_in_a_study_without_secure_sums(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are handed round: in clear, every hospital would see the others' own."""
    answer, said, handed = client.app.respond, dict[str, set[Said]](), dict[str, int]()

    def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
        reply = answer(whereabouts, content)
        if "query" in content.config_records:
            name = wire.record_to_query(content)[0].name
            said.setdefault(name, set()).add(reply.said)
            handed[name] = max(handed.get(name, 0), len(wire.record_to_handed(content).counts))
        return reply

    monkeypatch.setattr(client.app, "respond", respond)
    run(chosen(privacy={"secure_sum": False}, harmonisation={"method": "none"}), folders, tmp_path / "plain")
    assert COUNTING & set(said) == {"score_counts", "training_counts", "group_counts"}
    assert all(said[name] == {Said.MASKED if name in COUNTING else Said.NOTHING} for name in said)
    assert {name for name, many in handed.items() if many} == set(COUNTED_BY) & set(said)


Message = Callable[[Asking | None, Query | None], bool]


def falling_away(monkeypatch: pytest.MonkeyPatch, name: str, at: Message) -> list[str]:
    """The hospital's process dies at a message, and does not come back."""
    answer, dead = client.app.respond, []

    def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
        if whereabouts.folder.name == name:
            asking = read_asking(content)
            query = wire.record_to_query(content)[0] if "query" in content.config_records else None
            if dead or at(asking, query):
                dead.append("query" if query is not None else "step")
                raise ConnectionError("the hospital is gone")
        return answer(whereabouts, content)

    monkeypatch.setattr(client.app, "respond", respond)
    return dead


STAGES: dict[str, Message] = {
    "before its keys": lambda asking, _: asking is not None and asking.step is Step.ANNOUNCE,
    "before its shares": lambda asking, _: asking is not None and asking.step is Step.DEAL,
    "before masking": lambda _, query: query is not None and query.name == "combat",
    "before the unmasking": lambda asking, _: (
        asking is not None and asking.step is Step.REVEAL and asking.round_number == 3
    ),
}


@pytest.mark.parametrize(
    "stage", [stage if k == 0 else pytest.param(stage, marks=pytest.mark.slow) for k, stage in enumerate(STAGES)]
)
def test_a_hospital_that_dies_is_left_out_and_the_total_is_that_of_the_others(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    gone, others = "birch", {name: folder for name, folder in folders.items() if name != "birch"}
    expected = run(chosen(), others, tmp_path / "others")
    dead = falling_away(monkeypatch, gone, STAGES[stage])
    found = run(chosen(), folders, tmp_path / "out")
    assert dead
    assert [loss["hospital"] for loss in found["lost"]] == [gone]
    for part in ("flow", "model", "performance"):
        np.testing.assert_allclose(numbers(found[part]), numbers(expected[part]), rtol=1e-9, err_msg=part)


def test_every_message_may_come_to_another_process(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes of a hospital, each with a memory of its own, take turns at random; they share the store."""
    answer, turns, lock = client.app.respond, np.random.default_rng(4), threading.Lock()
    memories: list[Any] = [OrderedDict(), OrderedDict()]

    def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
        with lock:
            monkeypatch.setattr(secure_sums, "_PARTICIPANTS", memories[turns.integers(2)])
            return answer(whereabouts, content)

    monkeypatch.setattr(client.app, "respond", respond)
    found = run(chosen(lost_hospital={"wait_minutes": 10}), folders, tmp_path / "out")
    assert found["lost"] == []
    assert all(memories)


def test_an_answer_says_nothing_of_how_large_a_hospitals_sums_are(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies: list[tuple[str, Reply]] = []
    answer = client.app.respond

    def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
        reply = answer(whereabouts, content)
        if "query" in content.config_records:
            replies.append((wire.record_to_query(content)[0].name, reply))
        return reply

    monkeypatch.setattr(client.app, "respond", respond)
    run(chosen(), folders, tmp_path / "out")
    assert {name for name, reply in replies if reply.said is not Said.MASKED} == {"roll_call", "own_copy"}
    for _, reply in replies:
        assert not wire.answer_from_bytes(reply.packed).sums
        if reply.said is Said.MASKED:
            scales, _ = unpack(reply.content, MASKED, 2**20, len(reply.content))
            found = Exponents.from_bytes(scales).arrays.values()
            assert {int(exponent) for array in found for exponent in array.exponents.ravel()} == {48}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Whereabouts]]:
    """A study between hospitals that approved it, with gates as outside simulations."""
    folder = tmp_path_factory.mktemp("approved")
    table = breast_cancer().iloc[:500]
    table["hospital"] = np.resize(np.array(["a", "b", "c", "d"]), len(table))
    write_hospitals(folder / "hospitals", table, [*CLINICAL, "mvi"], [])
    asked = study(
        predictors={"clinical": CLINICAL, "radiomics": None},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )
    hospitals = approve_everywhere(asked, find_hospitals(folder / "hospitals"))
    results = run_between(asked, hospitals, folder / "out")
    assert not results["lost"]
    return asked, hospitals


def test_the_ledger_lists_masked_answers_and_every_unmasking(
    finished: tuple[Study, dict[str, Whereabouts]],
) -> None:
    _, hospitals = finished
    site = site_of(hospitals["a"])
    with closing(Store(site.own)) as store:
        listed = entries(store)
    answers = [
        entry for entry in listed if entry.kind is Kind.ANSWER and entry.query not in ("roll_call", "own_copy")
    ]
    opened = [entry for entry in listed if entry.kind is Kind.UNMASKING]
    assert [entry.question for entry in answers] == [entry.question for entry in opened]
    assert all(entry.digest != entry.unmasked for entry in answers)


def agreed(asked: Study, hospitals: dict[str, Whereabouts], **changed: str) -> Agreement:
    prints = {name: Identity.open(site_of(hospital).own).fingerprint for name, hospital in hospitals.items()}
    return Agreement(asked.hash, "run-attack", prints | changed, 8)


def refused(hospital: Whereabouts, content: RecordDict) -> Code | None:
    return wire.answer_from_bytes(client.app.respond(hospital, content).packed).disclosed.code


def test_a_key_that_was_not_approved_gets_no_masks(finished: tuple[Study, dict[str, Whereabouts]]) -> None:
    """A coordinator that mints a hospital, with whatever certificate, has no key that anybody compared."""
    asked, hospitals = finished
    minted = agreed(asked, hospitals, b="ab" * 32)
    assert refused(hospitals["a"], wire.step_to_record(Asking(minted, Step.ANNOUNCE))) is Code.OTHER_ROSTER
    stranger = agreed(asked, hospitals, mallory="cd" * 32)
    assert refused(hospitals["a"], wire.step_to_record(Asking(stranger, Step.ANNOUNCE))) is Code.OTHER_ROSTER
    honest = agreed(asked, hospitals)
    assert refused(hospitals["a"], wire.step_to_record(Asking(honest, Step.ANNOUNCE))) is None


def test_a_sum_without_masks_is_refused_outside_simulations(
    finished: tuple[Study, dict[str, Whereabouts]],
) -> None:
    asked, hospitals = finished
    view = View(step="columns", parameters={"columns": CLINICAL})
    query = Query(name="moments", study=asked.hash, roster=tuple(hospitals), splits=("final",), view=view.hash)
    content = wire.query_to_record(query, {view.hash: view.to_bytes()})
    assert refused(hospitals["a"], content) is Code.NOT_MASKED


def test_shares_open_nothing_that_was_not_masked_or_on_other_terms(
    finished: tuple[Study, dict[str, Whereabouts]],
) -> None:
    asked, hospitals = finished
    agreement = agreed(asked, hospitals)
    scales = Exponents({"x": ArrayExponents((10, 1), np.array([[48]]))}).packed
    asking = Asking(agreement, Step.REVEAL, 1, "question", scales, survivors=agreement.hospitals)
    assert refused(hospitals["a"], wire.step_to_record(asking)) is Code.SECURE_SUM
    fewer = Asking(agreement, Step.REVEAL, 1, "question", scales, survivors=agreement.hospitals[:3])
    assert refused(hospitals["a"], wire.step_to_record(fewer)) is Code.SECURE_SUM


def test_the_ledger_of_a_masked_study_verifies(finished: tuple[Study, dict[str, Whereabouts]]) -> None:
    _, hospitals = finished
    site = site_of(hospitals["a"])
    with closing(Store(site.own)) as store:
        assert check_ledger(store, Identity.open(site.own).public_bytes).faults == ()
