"""The coordinator's runs: what is wanted is started, started again, stopped; and timed."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import HepafedError
from server import run_keeper
from server.progress_file import ProgressFile, exchanges_of, table_of
from server.run_keeper import LAUNCHES_WITHOUT_PROGRESS, RunKeeper
from server.runs import Outcome, Request, Run, all_runs, create_run, find_run
from tests.hospitals_on_disk import study

WANTED = Request("running", ("alder", "birch", "cedar"), 1.0)


class SuperLink:
    """What the keeper asks of a SuperLink, remembered."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped: list[int] = []
        self.over: set[int] = set()

    def __enter__(self) -> "SuperLink":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, run: str) -> int:
        self.started.append(run)
        return len(self.started)

    def stop(self, number: int) -> None:
        self.stopped.append(number)

    def status(self, number: int) -> str:
        return "finished" if number in self.over else "running"


@pytest.fixture
def superlink(monkeypatch: pytest.MonkeyPatch) -> SuperLink:
    found = SuperLink()
    monkeypatch.setattr(run_keeper, "Control", lambda _: found)
    monkeypatch.setattr(run_keeper, "LOOK_SECONDS", 0.0)
    return found


def look(keeper: RunKeeper) -> None:
    keeper._paused_until.clear()
    keeper.look()


def test_a_wanted_run_is_started_once_and_again_when_its_process_died(
    tmp_path: Path, superlink: SuperLink
) -> None:
    run = create_run(tmp_path, study(), WANTED)
    keeper = RunKeeper(tmp_path, 1, logging.getLogger("test"), tmp_path / "bell")
    look(keeper)
    look(keeper)
    assert superlink.started == [run.name]
    superlink.over.add(1)
    look(keeper)
    assert superlink.started == [run.name] * 2
    assert run.launches.numbers == (1, 2)


def test_a_run_whose_process_dies_again_and_again_is_given_up_in_words(
    tmp_path: Path, superlink: SuperLink
) -> None:
    run = create_run(tmp_path, study(), WANTED)
    keeper = RunKeeper(tmp_path, 1, logging.getLogger("test"), tmp_path / "bell")
    for number in range(1, 20):
        look(keeper)
        superlink.over.add(number)
    outcome = run.outcome
    assert outcome is not None
    assert outcome.state == "failed"
    assert f"died {LAUNCHES_WITHOUT_PROGRESS} times in a row" in outcome.reason
    assert len(superlink.started) == LAUNCHES_WITHOUT_PROGRESS


def test_progress_counts_as_getting_further(tmp_path: Path, superlink: SuperLink) -> None:
    run = create_run(tmp_path, study(), WANTED)
    keeper = RunKeeper(tmp_path, 1, logging.getLogger("test"), tmp_path / "bell")
    for number in range(1, 12):
        look(keeper)
        with ProgressFile(run.progress_file) as progress:
            progress.exchanged(False, 1)
        superlink.over.add(number)
    assert run.outcome is None


def test_a_run_that_is_to_stop_is_stopped_and_can_go_on(tmp_path: Path, superlink: SuperLink) -> None:
    run = create_run(tmp_path, study(), WANTED)
    keeper = RunKeeper(tmp_path, 1, logging.getLogger("test"), tmp_path / "bell")
    look(keeper)
    run.want(replace(run.request, wanted="stopped"))
    look(keeper)
    assert superlink.stopped == [1]
    assert run.state == "stopped"
    run.reopen()
    superlink.over.add(1)
    look(keeper)
    assert superlink.started == [run.name] * 2
    assert run.state == "running"


def test_a_finished_run_is_left_alone(tmp_path: Path, superlink: SuperLink) -> None:
    create_run(tmp_path, study(), WANTED).end(Outcome("finished"))
    look(RunKeeper(tmp_path, 1, logging.getLogger("test"), tmp_path / "bell"))
    assert superlink.started == []


def test_runs_are_found_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    first = create_run(tmp_path, study(), WANTED)
    second = create_run(tmp_path, study(), replace(WANTED, created=2.0))
    assert [run.name for run in all_runs(tmp_path)] == [first.name, second.name]
    assert find_run(tmp_path, "test").name == second.name
    assert find_run(tmp_path, first.name).name == first.name
    assert first.study.hash == study().hash
    for wrong in ("../x", "other", ""):
        with pytest.raises(HepafedError, match="runs lists them"):
            find_run(tmp_path, wrong)


def test_an_exchange_is_timed_from_its_first_question_to_its_total(tmp_path: Path) -> None:
    run = Run(tmp_path)
    events = [
        {"at": 0.0, "event": "begun"},
        {"at": 1.0, "event": "asked", "query": "moments", "hospitals": 3},
        {"at": 1.5, "event": "answered", "hospital": "alder"},
        {"at": 2.0, "event": "asked", "query": "moments", "hospitals": 3},
        {"at": 3.0, "event": "exchanged", "replayed": False, "largest": 7},
        {"at": 3.1, "event": "exchanged", "replayed": True, "largest": 7},
        {"at": 4.0, "event": "asked", "query": "lost_with_its_process", "hospitals": 3},
        {"at": 50.0, "event": "begun"},
        {"at": 51.0, "event": "asked", "query": "logistic", "hospitals": 3},
        {"at": 51.5, "event": "exchanged", "replayed": False, "largest": 7},
    ]
    run.progress_file.write_text(
        "".join(json.dumps(e) + "\n" for e in events) + '{"at": 52, "ev', encoding="utf-8"
    )
    timed = exchanges_of(run.events())
    assert [(t.query, t.trips, t.seconds) for t in timed] == [("moments", 2, 2.0), ("logistic", 1, 0.5)]
    assert "median 1.25 s, longest 2.00 s" in table_of(timed)[-1]
