"""The hospital's daemon: which app may run, how it is, and what is in its way; in words."""

import hashlib
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from client.daemon import CONTACT, STATE, Daemon, health
from client.doctor import examine
from client.site import open_site
from client.supernode import ALLOWED_APPS, allowed_apps
from common.daemon_log import write_state
from common.errors import HepafedError
from common.flower_app import app_bytes, app_hash
from deploy.cli import app

PROCESS = {"running": True, "ready": True, "pid": 1, "starts": 1}


def state(own: Path, at: float, **processes: dict[str, Any]) -> None:
    own.mkdir(parents=True, exist_ok=True)
    write_state(own / STATE, {"pid": os.getpid(), "began": at - 90, "at": at, "processes": processes})


def test_the_app_is_the_same_wherever_it_is_built_and_holds_no_code() -> None:
    assert app_bytes() == app_bytes()
    assert app_hash() == hashlib.sha256(app_bytes()).hexdigest()
    assert b".py" not in app_bytes().replace(b"pyproject.toml", b"")


def test_only_the_installed_app_runs_and_what_the_hospital_itself_adds(tmp_path: Path) -> None:
    assert allowed_apps(tmp_path) == {app_hash()}
    (tmp_path / ALLOWED_APPS).write_text(f"# a trial\n{'A' * 64}  # of ours\n", encoding="utf-8")
    assert allowed_apps(tmp_path) == {app_hash(), "a" * 64}
    (tmp_path / ALLOWED_APPS).write_text("anything\n", encoding="utf-8")
    with pytest.raises(HepafedError, match="'anything' is no SHA-256"):
        allowed_apps(tmp_path)


def test_an_app_that_is_not_on_the_list_is_refused_by_flowers_own_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import flwr.supernode.start_client_internal as loop

    from client.supernode import guard

    monkeypatch.setattr(loop, "_verify_fab", loop._verify_fab)
    monkeypatch.setattr(loop, "http_request_response", loop.http_request_response)
    guard(allowed_apps(tmp_path), tmp_path / CONTACT)
    assert loop._verify_fab(SimpleNamespace(content=app_bytes()), {"allowed_apps": ""})
    assert not loop._verify_fab(SimpleNamespace(content=app_bytes() + b"x"), {"allowed_apps": ""})


def test_the_health_has_an_exit_code_for_monitoring(tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    own = folder / ".hepafed"
    folder.mkdir()
    call = ["site", "status", str(folder)]
    assert CliRunner().invoke(app, call).exit_code == 2
    state(own, time.time(), supernode=PROCESS)
    assert CliRunner().invoke(app, call).exit_code == 1, "it has not reached the coordinator"
    (own / CONTACT).touch()
    well = CliRunner().invoke(app, call)
    assert well.exit_code == 0, well.output
    state(own, time.time(), supernode={**PROCESS, "running": False, "starts": 3})
    assert health(own).code == 1
    assert any("started again, started 3 times" in line for line in health(own).lines)
    os.utime(own / CONTACT, (time.time() - 600, time.time() - 600))
    state(own, time.time(), supernode=PROCESS)
    assert health(own).code == 1
    state(own, time.time() - 60, supernode=PROCESS)
    assert health(own).code == 2, "a state that is a minute old is that of a daemon that was killed"


def test_a_hospital_that_has_not_joined_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(HepafedError, match="hepafed site join INVITATION"):
        Daemon(tmp_path, tmp_path / "own").run()


def test_the_doctor_has_a_cure_for_everything_that_is_not_well(tmp_path: Path) -> None:
    folder = tmp_path / "alder"
    folder.mkdir()
    findings = {finding.what: finding for finding in examine(open_site(folder))}
    assert findings["versions"].level == "well"
    assert findings["data"].level == "broken"
    assert findings["consortium"].level == "broken"
    assert findings["daemon"].level == "mind"
    assert all(finding.cure for finding in findings.values() if finding.level != "well")
    assert CliRunner().invoke(app, ["site", "doctor", str(folder)]).exit_code == 1


def test_an_app_that_died_before_it_fetched_its_message_is_answered_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import flwr.supernode.start_client_internal as loop
    from flwr.app import Message, RecordDict
    from flwr.common.constant import SubStatus
    from flwr.supercore.constant import TaskType
    from flwr.supercore.object_store import ObjectStoreFactory
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supernode.nodestate.in_memory_nodestate import InMemoryNodeState

    from client.supernode import hasten

    for name in ("finish_task", "_store_error_replies"):
        monkeypatch.setattr(InMemoryNodeState, name, getattr(InMemoryNodeState, name))
    for name in ("time", "http_request_response"):
        monkeypatch.setattr(loop, name, getattr(loop, name))
    hasten(tmp_path / "bell")
    state = InMemoryNodeState(ObjectStoreFactory().store())
    state.set_node_id(5)
    for number in ("task_id", "run_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{number}", 9)
    asked = Message(RecordDict(), dst_node_id=5, message_type="query.ask")
    asked.metadata.__dict__["_message_id"] = "asked"
    task = state.create_task(task_type=TaskType.CLIENT_APP, run_id=9, fab_hash="f")
    state.store_message(asked)
    assert not state.get_messages_legacy(is_reply=True)
    state.claim_task(task)
    assert state.finish_task(task, SubStatus.FAILED, "killed")
    (reply,) = state.get_messages_legacy(is_reply=True)
    assert reply.has_error()
    assert reply.metadata.reply_to_message_id == "asked"
