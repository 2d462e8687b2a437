"""The operators' commands from end to end, in the full profile: what is typed, what is said, and what is left."""

from collections.abc import Iterator

import pytest

from client.connection import Connection
from client.daemon import CONTACT
from common.certificates import read_certificate
from tests.system.commands import Consortium, consortium, hepafed, left_behind
from tests.system.running import STUDY, after_exchanges, without_transport
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    with consortium(tmp_path_factory.mktemp("operators")) as made:
        made.found(STUDY % "3")
        made.start_coordinator()
        made.invite_and_join()
        made.approve()
        made.start_sites()
        yield made


@pytest.fixture(scope="module")
def studied(running: Consortium) -> Consortium:
    """The consortium, with a study that nobody touched as its newest run."""
    said = hepafed("run", running.study, "--coordinator", running.coordinator)
    assert "Report:" in said
    assert "median" in said
    return running


def test_a_study_is_stopped_and_resumed_and_ends_as_one_that_nobody_touched(studied: Consortium) -> None:
    """Everything is approved under the roster of fingerprints; nothing runs in the lower profile."""
    running, untouched = studied, studied.run()
    listed = hepafed("coordinator", "list", running.coordinator)
    assert all(name in listed for name in running.hospitals)
    said = hepafed("run", running.study, "--coordinator", running.coordinator, "--detach")
    assert said.count("(online)") == 4, said
    run = running.run()
    assert run.name != untouched.name
    after_exchanges(run, 4)
    assert "running" in hepafed("runs", "--coordinator", running.coordinator)
    said = hepafed("stop", run.name, "--coordinator", running.coordinator)
    assert "hepafed resume" in said
    until(lambda: run.outcome, 60, "the run has stopped")
    assert run.state == "stopped"
    before = run.exchanges()
    assert "stopped as asked" in hepafed("logs", run.name, "--coordinator", running.coordinator)
    said = hepafed("resume", run.name, "--coordinator", running.coordinator)
    assert "Report:" in said
    assert run.state == "finished"
    assert run.exchanges() > before
    resumed = without_transport(run.folder / "results.json")
    assert resumed["protection"]["lower_profile"] is False
    assert resumed["protection"]["gate"] is True
    assert "finished" in hepafed("runs", "--coordinator", running.coordinator)
    assert "is finished" in hepafed("resume", run.name, "--coordinator", running.coordinator, code=1)

    assert without_transport(untouched.folder / "results.json") == resumed


def test_every_hospital_sees_what_left_it_and_that_no_entry_was_changed(studied: Consortium) -> None:
    for folder in studied.hospitals.values():
        assert "none edited, removed or moved" in hepafed("site", "ledger", folder, "--verify")
        assert "logistic" in hepafed("site", "ledger", folder)
    assert "the coordinator last answered" in hepafed("site", "status", folder)
    assert "Nothing is broken" in hepafed("site", "doctor", folder)


def test_certificates_are_renewed_while_everything_runs(running: Consortium) -> None:
    name, folder = next(iter(running.hospitals.items()))
    connection = Connection(folder / ".hepafed")
    gateway = running.coordinator / "pki" / "gateway.crt"
    before = read_certificate(connection.certificate).serial_number, read_certificate(gateway).serial_number
    assert f"{name}'s certificate is good until" in hepafed("site", "renew", folder)
    assert "good until" in hepafed("coordinator", "renew", running.coordinator)
    after = read_certificate(connection.certificate).serial_number, read_certificate(gateway).serial_number
    assert not set(before) & set(after)
    contact = folder / ".hepafed" / CONTACT
    was = contact.stat().st_mtime_ns
    until(lambda: contact.stat().st_mtime_ns > was, 60, "the daemon goes on with the new certificate")
    assert "Nothing is broken" in hepafed("site", "doctor", folder)


def test_a_study_that_was_changed_by_a_byte_is_answered_by_nobody(running: Consortium) -> None:
    changed = running.folder / "changed.yaml"
    changed.write_text(running.study.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    said = hepafed("run", changed, "--coordinator", running.coordinator, code=2)
    assert "0 of 4 hospitals can take part" in said
    assert "of this name that the hospital approved" in said


def test_a_hospital_that_has_revoked_takes_no_part_and_the_coordinator_is_told(running: Consortium) -> None:
    name, folder = next(iter(running.hospitals.items()))
    assert "Revoked" in hepafed("site", "revoke", "small-demo", folder)
    said = hepafed("run", running.study, "--coordinator", running.coordinator, "--hospital", name, code=None)
    assert f"{name} cannot take part" in said


def test_sigterm_drains_every_daemon_and_no_process_is_left(running: Consortium) -> None:
    names = list(running.daemons)
    assert {running.end(name) for name in reversed(names)} == {0}
    until(lambda: not left_behind(running.folder), 30, f"the end of {left_behind(running.folder)}")
    assert {hepafed("site", "status", folder, code=2).strip() for folder in running.hospitals.values()} == {
        "the daemon does not run: hepafed site start"
    }
    assert "does not run" in hepafed("run", running.study, "--coordinator", running.coordinator, code=1)
