"""Networks trained in whole runs, under masks: the same weights whoever is killed, and those of pooled training."""

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import RecordDict

import client.app
from client.app import Whereabouts
from client.gate_rules.questions import questions_of
from common import wire
from common.errors import StudyStopped
from common.released_model import read_released_model
from common.study import Study
from common.wire import Reply
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.methods import network
from server.progress import Silence
from tests.approved import approve_everywhere, run_between
from tests.hospitals_on_disk import study, write_hospitals
from tests.server.network_tables import COLUMNS, equal_hospitals, pooled


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    table = equal_hospitals()
    table.insert(0, "id", [f"P{k:03d}" for k in range(len(table))])
    return find_hospitals(write_hospitals(tmp_path_factory.mktemp("networks"), table, [*COLUMNS, "mvi"], []))


def chosen(**settings: Any) -> Study:
    return study(
        predictors={"clinical": COLUMNS},
        model={"kind": "network"},
        network={"hidden": [4], "learning_rate": 0.3} | settings,
        validation={"folds": 0, "leave_one_hospital_out": False},
        lost_hospital={"wait_minutes": 1.0},
    )


def weights(out: Path) -> np.ndarray:
    found: np.ndarray = read_released_model(out / "model.json").steps[-1].arrays["weights"][0, 0]
    return found


def test_fedavg_under_masks_is_pooled_sgd_to_a_millionth(folders: dict[str, Path], tmp_path: Path) -> None:
    asked = chosen(local_steps=1, batch_size=10, rounds=5)
    simulate(Simulation(asked, folders, tmp_path), Silence())
    expected = pooled(asked, equal_hospitals(), ["mvi"])
    np.testing.assert_allclose(weights(tmp_path), expected, atol=1e-6)
    assert np.abs(weights(tmp_path) - expected).max() < 1e-9, "the sum's scale is far finer than that"


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "fedadam", "server_learning_rate": 0.1},
        {"strategy": "scaffold"},
        {"strategy": "fedbn", "normalisation": "batch"},
        {"strategy": "fedprox", "personal": "head"},
    ],
    ids=lambda settings: settings["strategy"],
)
def test_a_run_whose_coordinator_and_hospital_were_killed_ends_with_the_same_weights(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    asked = chosen(rounds=10, dropout=0.2, **settings)
    simulate(Simulation(asked, folders, tmp_path / "undisturbed"), Silence())
    answer, said, died, lock = client.app.respond, network._say, [], threading.Lock()

    def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
        query = wire.record_to_query(content)[0] if "query" in content.config_records else None
        now = query is not None and query.name == "train_network" and query.parameters["round"] == 4
        if now and whereabouts.folder.name == "birch":
            with lock:
                first = not died
                died.append("hospital")
            if first:  # it has worked the answer out and kept it, or not; either way nothing was sent
                answer(whereabouts, content)
                raise ConnectionError("killed")
        return answer(whereabouts, content)

    def killed(*told: Any) -> None:
        if told[3] == 7 and "coordinator" not in died:
            died.append("coordinator")
            raise KeyboardInterrupt
        said(*told)

    monkeypatch.setattr(client.app, "respond", respond)
    monkeypatch.setattr(network, "_say", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate(Simulation(asked, folders, tmp_path / "killed"), Silence())
    simulate(Simulation(asked, folders, tmp_path / "killed"), Silence())
    assert {"hospital", "coordinator"} == set(died)
    np.testing.assert_array_equal(weights(tmp_path / "killed"), weights(tmp_path / "undisturbed"))
    for name in folders:  # scored with what is the hospital's own
        scored = [tmp_path / run / "sites" / name / "predictions.csv" for run in ("killed", "undisturbed")]
        assert scored[0].read_bytes() == scored[1].read_bytes()


def approved(tmp_path: Path, **changes: Any) -> tuple[Study, dict[str, Whereabouts]]:
    """Four hospitals of sixty patients that approve a study, with gates as outside simulations."""
    table = equal_hospitals(80)
    table["hospital"] = np.tile(["alder", "birch", "cedar", "dogwood"], 60)
    table.insert(0, "id", [f"P{k:03d}" for k in range(len(table))])
    folders = find_hospitals(write_hospitals(tmp_path / "hospitals", table, [*COLUMNS, "mvi", "days", "died"], []))
    for folder in folders.values():
        (folder / "site.yaml").write_text("policy: {single_hospital_sums: true}\n")
    sections: dict[str, Any] = {
        "predictors": {"clinical": COLUMNS},
        "model": {"kind": "network"},
        "validation": {"folds": 2, "leave_one_hospital_out": True},
    }
    asked = study(**(sections | changes))
    return asked, approve_everywhere(asked, folders)


@pytest.mark.slow
@pytest.mark.parametrize("further", [{}, {"personal": "head"}], ids=["one outcome", "two outcomes, own heads"])
@pytest.mark.parametrize(
    "outcome", [{"kind": "binary", "column": "mvi"}, {"kind": "survival", "time": "days", "event": "died"}]
)
def test_a_network_passes_every_gate_and_asks_only_what_was_shown(
    tmp_path: Path, outcome: dict[str, str], further: dict[str, Any]
) -> None:
    variables = {"days": {"unit": "days"}}
    settings = {"hidden": [4], "rounds": 6, "early_stopping": {"patience": 2}, "learning_rate": 0.2} | further
    if further:
        both = [{"kind": "binary", "column": "mvi"}, {"kind": "survival", "time": "days", "event": "died"}]
        settings["also"] = {"outcome": next(other for other in both if other != outcome)}
    model = {"kind": "network", "inner_folds": 2}
    asked, hospitals = approved(tmp_path, network=settings, model=model, outcome=outcome, variables=variables)
    found = run_between(asked, hospitals, tmp_path / "out")
    assert found["lost"] == []
    assert {said["query"] for said in found["exchanges"]["asked"]} <= set(questions_of(asked))
    assert found["model"]["kind"] == "network"
    assert set(found["network"]["curves"][""]) == {"final", "kfold/0/0", "kfold/0/1"} | {
        f"leave_one_hospital_out/{name}" for name in hospitals
    }
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Loss over rounds" in page
    assert "None" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"local_steps": 2, "batch_size": 8}, "raise network.local_steps"),
        ({"rounds": 100}, "more questions than the study needs"),
    ],
)
def test_a_gate_refuses_too_little_work_and_too_many_rounds(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    validation = {"folds": 2, "leave_one_hospital_out": False}
    asked, hospitals = approved(tmp_path, network={"hidden": [4]} | settings, validation=validation)
    with pytest.raises(StudyStopped, match=said):
        run_between(asked, hospitals, tmp_path / "out")


def test_a_second_outcome_that_two_hospitals_know_is_not_trained_on(tmp_path: Path) -> None:
    second = {"also": {"outcome": {"kind": "binary", "column": "died"}}}
    validation = {"folds": 2, "leave_one_hospital_out": False}
    asked, hospitals = approved(tmp_path, network={"hidden": [4], "rounds": 2} | second, validation=validation)
    for name in ("alder", "birch"):
        path = tmp_path / "hospitals" / name / "patients.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    with pytest.raises(StudyStopped, match="too few hospitals know the second outcome"):
        run_between(asked, hospitals, tmp_path / "out")
