"""A federation of real processes computes what a simulation computes, whatever dies on the way."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.study import Study
from deploy.loopback import Loopback, federation, finish, start_site
from deploy.simulation.hospitals import write_hospitals
from deploy.simulation.simulate import find_hospitals
from server.progress import Silence
from server.progress_file import exchanges_of
from server.runs import Request, Run, create_run
from tests.system.running import (
    STUDY,
    after_exchanges,
    children,
    kill_app,
    kill_kept,
    mentioning,
    own,
    process_of,
    simulated,
    without_transport,
)
from tests.waiting import until

pytestmark = pytest.mark.slow

VICTIM = "north"
CUT_SECONDS = 60.0


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "hospitals"
    write_hospitals(folder, 4, 60, 7, images=False, say=lambda _: None)
    (folder / "study.yaml").write_text(STUDY % "3", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(hospitals: Path) -> dict[str, object]:
    return simulated(hospitals)


@pytest.fixture(scope="module")
def running(hospitals: Path) -> Iterator[Loopback]:
    with federation(hospitals.parent / "loopback", find_hospitals(hospitals)) as started:
        yield started


def begin(running: Loopback, study: Path) -> Run:
    request = Request(
        "running", tuple(sorted(running.folders)), time.time(), lower_profile=True, engine="loopback"
    )
    return create_run(running.runs, Study.from_file(study), request)


def test_real_processes_compute_what_a_simulation_computes(
    running: Loopback, hospitals: Path, expected: dict[str, object]
) -> None:
    run = begin(running, hospitals / "study.yaml")
    finish(running, run, Silence())
    assert without_transport(running.out / "results.json") == expected
    timed = exchanges_of(run.events())
    assert len(timed) == run.exchanges() > 10
    assert len(run.launches.numbers) == 1


def restart(running: Loopback, hospital: str) -> None:
    """End a hospital's daemon as a service manager does, and start it."""
    running.sites[hospital].terminate()
    running.sites[hospital].wait(60)
    running.sites[hospital] = start_site(running.folders[hospital], own(running, hospital))


KILLS: dict[str, Callable[[Loopback], None]] = {
    "clientapp": lambda running: kill_app(own(running, VICTIM)),
    "superlink": lambda running: kill_kept(running.consortium, "superlink"),
    "gateway": lambda running: kill_kept(running.consortium, "gateway"),
    "executor of the coordinator": lambda running: kill_kept(running.consortium, "executor"),
    "serverapp": lambda running: kill_app(running.consortium),
    "forwarder": lambda running: kill_kept(own(running, VICTIM), "forwarder"),
    "supernode": lambda running: kill_kept(own(running, VICTIM), "supernode"),
    "executor of a hospital": lambda running: kill_kept(own(running, VICTIM), "executor"),
    "daemon of a hospital": lambda running: restart(running, VICTIM),
}


def test_a_run_survives_every_death(running: Loopback, hospitals: Path, expected: dict[str, object]) -> None:
    run = begin(running, hospitals / "study.yaml")
    for number, (name, strike) in enumerate(KILLS.items()):
        after_exchanges(run, 2 + 3 * number)
        assert run.outcome is None, f"the run was over before the kill of {name}"
        strike(running)
    finish(running, run, Silence())
    assert without_transport(running.out / "results.json") == expected
    assert len(run.launches.numbers) >= 2, "the coordinator's own process died, so Flower saw two runs at least"


def test_a_network_that_is_cut_for_a_minute_changes_no_result(
    running: Loopback, hospitals: Path, expected: dict[str, object]
) -> None:
    """Nothing passes the gateway, and one hospital's own connection is broken beside."""
    run = begin(running, hospitals / "study.yaml")
    after_exchanges(run, 3)
    cut = [process_of(running.consortium, "gateway"), process_of(own(running, VICTIM), "forwarder")]
    for process in cut:
        os.kill(process, signal.SIGSTOP)
    before = run.exchanges()
    try:
        time.sleep(CUT_SECONDS)
    finally:
        for process in cut:
            os.kill(process, signal.SIGCONT)
    assert run.exchanges() <= before + 1, "one exchange may have been whole already"
    finish(running, run, Silence())
    assert without_transport(running.out / "results.json") == expected


def test_a_hospital_that_stays_away_is_reported_and_dropped_and_a_death_after_that_changes_nothing(
    running: Loopback, hospitals: Path
) -> None:
    study = hospitals.parent / "impatient.yaml"
    study.write_text((STUDY % "0.5").replace("small-demo", "impatient"), encoding="utf-8")
    run = begin(running, study)
    after_exchanges(run, 4)
    running.sites[VICTIM].kill()
    running.sites[VICTIM].wait()
    try:
        dropped = f"starts again without {VICTIM}"
        until(
            lambda: any(dropped in str(event.get("text")) for event in run.events()),
            240,
            "the hospital is dropped",
        )
        after_exchanges(run, run.exchanges() + 2)
        kill_app(running.consortium)
        finish(running, run, Silence())
    finally:
        running.sites[VICTIM] = start_site(running.folders[VICTIM], own(running, VICTIM))
    found = without_transport(running.out / "results.json")
    assert [(lost["hospital"], lost["code"]) for lost in found["lost"]] == [(VICTIM, "no_answer")]
    assert found["sites"][VICTIM]["in_final_roster"] is False, "what it said at the roll call is still reported"
    assert len(run.launches.numbers) >= 2, "the run's process was killed"
    until(lambda: process_of(own(running, VICTIM), "supernode"), 60, "the hospital is back")


def test_a_daemon_that_ends_leaves_no_process_behind(running: Loopback, hospitals: Path) -> None:
    """Not even a worker that waits for a SuperNode that was killed, and would wait for ever."""
    run = begin(running, hospitals / "study.yaml")
    after_exchanges(run, 2)
    (template,) = children(process_of(own(running, VICTIM), "executor"))
    until(lambda: children(template), 60, "a worker")
    kill_kept(own(running, VICTIM), "supernode")
    running.sites[VICTIM].terminate()
    running.sites[VICTIM].wait(60)
    try:
        until(lambda: not mentioning(own(running, VICTIM)), 30, f"the end of {mentioning(own(running, VICTIM))}")
    finally:
        running.sites[VICTIM] = start_site(running.folders[VICTIM], own(running, VICTIM))
    run.want(replace(run.request, wanted="stopped"))
    until(lambda: run.outcome, 60, "the run has stopped")
