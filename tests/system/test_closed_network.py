"""`hepafed loopback` where nothing but the loopback address exists: it needs no other, and asks for none.

The kernel counts, for each network namespace, what it could not send because there was no way to it: a request to a
telemetry server or an index of packages, and a question to a name server, is counted there, tried once or often.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.simulation.hospitals import write_hospitals
from server.runs import all_runs
from tests.system.commands import surroundings
from tests.system.running import STUDY, after_exchanges, kill, mentioning, simulated, without_transport
from tests.waiting import until

pytestmark = pytest.mark.slow

INSIDE = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def closed(*command: object) -> subprocess.Popen[bytes]:
    """A process in a network of its own, which holds a loopback address alone."""
    return subprocess.Popen([*INSIDE, *map(str, command)], env=surroundings(), start_new_session=True)


def unsent(process: int) -> int:
    """What could not be sent from the network of a process, for want of a way: IPv4 and IPv6."""
    lines = [line.split() for line in Path(f"/proc/{process}/net/snmp").read_text().splitlines()]
    names, values = [line for line in lines if line[0] == "Ip:"]
    sixth = dict(line.split() for line in Path(f"/proc/{process}/net/snmp6").read_text().splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(sixth["Ip6OutNoRoutes"])


@pytest.fixture(scope="module", autouse=True)
def _networks_can_be_made() -> None:
    if subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a network namespace")


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("closed") / "hospitals"
    write_hospitals(folder, 3, 40, 7, images=False, say=lambda _: None)
    (folder / "study.yaml").write_text(STUDY % "3", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(hospitals: Path) -> dict[str, object]:
    return simulated(hospitals)


@pytest.fixture
def out(hospitals: Path) -> Iterator[Path]:
    folder = hospitals.parent / "rehearsal"
    yield folder
    for process in mentioning(folder):
        kill(process)


def test_an_attempt_to_reach_anybody_would_be_counted() -> None:
    for attempt in (
        "import socket; socket.create_connection(('192.0.2.1', 443), 5)",
        "import socket; socket.getaddrinfo('telemetry.example.org', 443)",
    ):
        listening = "import sys; sys.stdin.read()"
        code = f"try:\n {attempt}\nexcept OSError:\n pass\nprint('tried', flush=True)\n{listening}"
        command = [*INSIDE, sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"tried\n"
            assert unsent(process.pid) > 0, attempt
            process.communicate(b"", timeout=10)


def test_a_loopback_that_was_killed_goes_on_without_a_network_to_the_same_results(
    hospitals: Path, out: Path, expected: dict[str, object]
) -> None:
    """Everything is killed at once, as by a power cut: no daemon is told."""
    command = (
        sys.executable,
        "-m",
        "deploy",
        "loopback",
        hospitals / "study.yaml",
        "--sites",
        hospitals,
        "--out",
        out,
    )
    runs = out / "consortium" / "runs"
    first = closed(*command)
    until(lambda: runs.exists() and all_runs(runs), 180, "the run is created")
    (run,) = all_runs(runs)
    after_exchanges(run, 8)
    assert unsent(first.pid) == 0
    os.kill(first.pid, signal.SIGSTOP)
    while left := mentioning(out):
        for process in left:
            kill(process)
    first.wait(60)
    assert not (out / "results.json").exists()
    done = run.exchanges()

    second = closed(*command, "--resume")
    until(lambda: run.exchanges() > done, 300, "the run goes on")
    counted = [0]

    def over() -> bool:
        if second.poll() is None:
            counted.append(unsent(second.pid))
        return second.poll() is not None

    until(over, 300, "the command ends")
    assert second.returncode == 0
    assert counted[-1] == 0, "something was to be sent where there is no way"
    assert [found.name for found in all_runs(runs)] == [run.name]
    assert without_transport(out / "results.json") == expected
    until(lambda: not mentioning(out), 30, "no process is left")
