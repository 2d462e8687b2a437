"""The consortium's keys by commands: what a coordinator and a hospital type, and what they are told."""

from pathlib import Path

import pytest

from server import control, coordinator_daemon
from server.coordinator_folder import CoordinatorFolder
from server.register import Register
from server.runs import Outcome, Request, create_run
from tests.command import hepafed
from tests.hospitals_on_disk import study, write_study


def said(*words: object) -> str:
    result = hepafed(*words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def consortium(tmp_path: Path) -> Path:
    said("coordinator", "init", tmp_path / "c", "--name", "liver", "--address", "federation.example:9443")
    return tmp_path / "c"


@pytest.fixture
def hospital(tmp_path: Path) -> Path:
    folder = tmp_path / "aspen"
    folder.mkdir()
    return folder


def test_init_listens_on_the_loopback_address_and_says_how_to_open_it(tmp_path: Path) -> None:
    text = said("coordinator", "init", tmp_path / "c", "--name", "liver", "--address", "federation.example:9443")
    assert "127.0.0.1:9443, which only this machine reaches. To open it, write listen: 0.0.0.0:9443" in text
    file = CoordinatorFolder(tmp_path / "c").read()
    assert (file.listen, file.address, file.name) == ("127.0.0.1:9443", "federation.example:9443", "liver")
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700


def test_init_does_not_replace_an_authority(consortium: Path) -> None:
    before = (consortium / "pki" / "ca.crt").read_bytes()
    result = hepafed("coordinator", "init", consortium, "--name", "liver", "--address", "other.example:9443")
    assert result.exit_code == 1
    assert "would lock out every hospital that has joined" in result.output
    assert (consortium / "pki" / "ca.crt").read_bytes() == before


def test_an_address_without_a_port_is_refused_in_words(tmp_path: Path) -> None:
    result = hepafed("coordinator", "init", tmp_path / "c", "--name", "liver", "--address", "federation.example")
    assert result.exit_code == 1
    assert "--address: found 'federation.example'; write HOST:PORT, e.g. federation.example:9443" in result.output
    assert "--listen" not in result.output
    assert not (tmp_path / "c").exists()


def test_joining_by_files_word_for_word(consortium: Path, hospital: Path, tmp_path: Path) -> None:
    invitation, request, answer = tmp_path / "aspen.invitation", tmp_path / "q.json", tmp_path / "a.json"
    text = said("coordinator", "invite", "aspen", consortium, "--out", invitation)
    assert "good for 14 days" in text
    assert invitation.stat().st_mode & 0o777 == 0o600
    assert said("coordinator", "list", consortium).splitlines()[1].split()[:2] == ["aspen", "invited"]
    text = said("site", "join", invitation, hospital, "--offline", "--out", request)
    assert "the same command with --answer" in text
    answer.write_text("another hospital's")
    refused = hepafed("coordinator", "sign", request, consortium, "--out", answer)
    assert refused.exit_code == 1
    assert f"{answer} is there already; name another file with --out, or add --overwrite" in refused.output
    assert answer.read_text() == "another hospital's"
    assert "invited" in said("coordinator", "list", consortium)
    said("coordinator", "sign", request, consortium, "--out", answer, "--overwrite")
    text = said("site", "join", invitation, hospital, "--offline", "--answer", answer)
    assert "aspen has joined; its certificate is good until" in text
    listed = said("coordinator", "list", consortium)
    assert "joined" in listed
    assert "waits for the SuperLink" in listed
    assert (hospital / ".hepafed" / "connection.json").exists()
    assert "aspen has joined already; its certificate is good until" in said("site", "join", invitation, hospital)
    said("coordinator", "revoke", "aspen", consortium, "--reason", "left the study")
    assert "revoked: left the study" in said("coordinator", "list", consortium)


def test_runs_are_listed_whole_on_a_narrow_screen_and_of_a_coordinator_alone(
    consortium: Path, hospital: Path
) -> None:
    assert "No runs yet" in said("runs", "--coordinator", consortium)
    nowhere = hepafed("runs", "--coordinator", hospital)
    assert nowhere.exit_code == 1
    assert "coordinator.yaml is not there: name the coordinator's folder" in nowhere.output
    run = create_run(consortium / "runs", study(study="microvascular-invasion"), Request("running", (), 1.0))
    run.end(Outcome("stopped", "alder was lost: silent at 'moments'"))
    listed = hepafed("runs", "--coordinator", consortium, columns=80).output
    assert "".join(line.split()[0] for line in listed.splitlines()[1:3]) == run.name
    assert f"{run.name} stopped: alder was lost: silent at 'moments'" in listed.splitlines()


def test_a_run_before_anybody_has_joined_is_not_begun(
    consortium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NobodyThere:
        def __enter__(self) -> "NobodyThere":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def nodes(self) -> list[object]:
            return []

    monkeypatch.setattr(control, "Control", lambda _: NobodyThere())
    monkeypatch.setattr(coordinator_daemon, "port_of", lambda _: 1)
    write_study(tmp_path / "study.yaml", study())
    result = hepafed("run", tmp_path / "study.yaml", "--coordinator", consortium)
    assert result.exit_code == 1
    assert "nobody has joined: hepafed coordinator invite" in result.output
    assert not list((consortium / "runs").iterdir())


def test_an_invitation_does_not_replace_a_file_unasked(consortium: Path, tmp_path: Path) -> None:
    path = tmp_path / "aspen.invitation"
    said("coordinator", "invite", "aspen", consortium, "--out", path)
    first = path.read_text()
    refused = hepafed("coordinator", "invite", "birch", consortium, "--out", path)
    assert refused.exit_code == 1
    assert f"{path} is there already; name another file with --out, or add --overwrite" in refused.output
    assert path.read_text() == first
    assert "birch" not in hepafed("coordinator", "list", consortium).output
    again = hepafed("coordinator", "invite", "aspen", consortium, "--out", path)
    assert again.exit_code == 1  # nor does it withdraw the invitation that the file holds
    said("coordinator", "invite", "birch", consortium, "--out", path, "--overwrite")
    assert path.read_text() != first
    said("coordinator", "invite", "aspen", consortium, "--out", tmp_path / "another.invitation")


def test_an_invitation_for_another_hospital_changes_nothing(
    consortium: Path, hospital: Path, tmp_path: Path
) -> None:
    said("coordinator", "invite", "birch", consortium, "--out", tmp_path / "birch.invitation")
    result = hepafed("site", "join", tmp_path / "birch.invitation", hospital, "--offline")
    assert result.exit_code == 2
    assert "the invitation is for birch, this hospital is aspen" in result.output
    assert not (hospital / ".hepafed").exists()


def test_the_list_warns_from_thirty_days_before_and_its_exit_code_says_so(
    consortium: Path, hospital: Path, tmp_path: Path
) -> None:
    files = tmp_path / "aspen.invitation", tmp_path / "q.json", tmp_path / "a.json"
    said("coordinator", "invite", "aspen", consortium, "--out", files[0])
    said("site", "join", files[0], hospital, "--offline", "--out", files[1])
    said("coordinator", "sign", files[1], consortium, "--out", files[2])
    register = Register(CoordinatorFolder(consortium).register)
    register._database.execute("UPDATE certificates SET expires = expires - 86400 * 370")
    register.close()
    result = hepafed("coordinator", "list", consortium)
    assert result.exit_code == 3
    assert "aspen's certificate: joined, until" in result.output
    assert "hepafed site renew" in result.output


def test_a_gateway_that_is_not_there_is_said_with_what_to_check(hospital: Path, tmp_path: Path) -> None:
    from common.flower_processes import free_port

    address = f"127.0.0.1:{free_port()}"
    said("coordinator", "init", tmp_path / "away", "--name", "liver", "--address", address)
    said("coordinator", "invite", "aspen", tmp_path / "away", "--out", tmp_path / "i")
    result = hepafed("site", "join", tmp_path / "i", hospital)
    assert result.exit_code == 1
    assert f"{address} cannot be reached" in result.output
    assert "check the network, DNS and HTTPS_PROXY" in result.output
    assert "site join" in hepafed("site", "renew", hospital).output
