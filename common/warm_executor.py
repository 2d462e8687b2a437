"""Runs the apps of Flower's tasks in processes that are ready before they are needed.

Flower starts a new Python process for every message, which costs seconds. Here one process, the template, has imported
everything and has no threads; for each task it forks a child, which runs Flower's own code for that task and ends. So
every message still has a process of its own, and nothing of one is left for the next.

A child that dies tells nobody, and Flower would wait a minute for it: the template reports it as failed at once.

Looking for a task costs a request. Where the SuperNode rings a bell when a message has come (a named pipe), the
executor sleeps until then.

    python -m common.warm_executor --api 127.0.0.1:PORT --secret FILE --kind clientapp --import client.deployed
"""

import argparse
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from queue import Queue
from typing import Any, NoReturn

from common.flower_processes import shorten_first_wait
from common.supervision import die_with_the_parent

POLL_SECONDS = "0.01"
"""Flower's own wait between two looks; how long this executor waits is below."""
LOOK_SECONDS = 0.5
LOOK_ANYWAY_SECONDS = 2.0
REAP_SECONDS = 0.2
DRAIN_SECONDS = 8.0
LONGEST_TASK = 65536
HIGHEST_DESCRIPTOR = 4096
KINDS = {"clientapp": "flwr-clientapp", "serverapp": "flwr-serverapp"}


def hang(bell: Path) -> Path:
    """Make the named pipe that says that there is a task."""
    bell.parent.mkdir(parents=True, exist_ok=True)
    if not bell.exists():
        os.mkfifo(bell, 0o600)
    return bell


def ring(bell: Path) -> None:
    """Say that there is a task; nothing happens where nobody listens, who will look by himself."""
    try:
        opened = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(opened, b".")
    except BlockingIOError:
        pass
    finally:
        os.close(opened)


class WarmExecutor:
    """What Flower's superexec asks to start tasks, on top of one template process."""

    def __init__(self, kind: str, modules: list[str], bell: Path | None) -> None:
        self._kind, self._modules, self._template = kind, modules, 0
        self._bell = None if bell is None else os.open(hang(bell), os.O_RDWR | os.O_NONBLOCK)
        self._to_template: socket.socket | None = None
        self._start_template()

    def get_eligible_capacity(self, supported_task_types: set[Any], **_: object) -> tuple[set[Any], set[str]]:
        """Every task of the one kind can be taken."""
        return {task for task in supported_task_types if task.value == KINDS[self._kind]}, set()

    def wait_for_capacity(self, task_type: object = None, **_: object) -> None:
        """There is always room: a hospital has one message at a time."""

    def launch(self, spec: Any) -> Any:
        """Hand a task to the template."""
        from flwr.supercore.superexec.executor import LaunchResult

        try:
            assert self._to_template is not None
            self._to_template.send(json.dumps({"api": spec.runtime_api_address, "token": spec.token}).encode())
        except OSError as error:
            return LaunchResult.failed(f"the template process is gone ({error})")
        return LaunchResult.accepted()

    def reconcile(self) -> None:
        """Called before every look for a task: a template that died is started again; then waits for the bell."""
        ended, _ = os.waitpid(self._template, os.WNOHANG)
        if ended:
            print("template died; another is started", flush=True)
            self._start_template()
        if self._bell is None:
            time.sleep(LOOK_SECONDS)
        elif select.select([self._bell], [], [], LOOK_ANYWAY_SECONDS)[0]:
            os.read(self._bell, 4096)

    def close(self) -> None:
        """The template ends when this end of its socket is closed, and what its children are doing is done."""
        self._hang_up()
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            try:
                if os.waitpid(self._template, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return
            time.sleep(REAP_SECONDS / 4)

    def _hang_up(self) -> None:
        if self._to_template is not None:
            self._to_template.close()

    def _start_template(self) -> None:
        self._hang_up()
        self._to_template, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if (pid := os.fork()) == 0:
            try:
                os.setsid()  # so that killing the executor's group in a terminal leaves children to end by themselves
                kept = theirs.fileno()
                os.closerange(3, kept)  # a second template must not hold the executor's connections open
                os.closerange(kept + 1, HIGHEST_DESCRIPTOR)
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
                    signal.signal(number, signal.SIG_DFL)
                _Template(theirs, self._kind, self._modules).run()
            finally:
                os._exit(0)
        theirs.close()
        self._template = pid


class _Template:
    """The process that has imported everything; it forks, reaps, and has no threads."""

    def __init__(self, tasks: socket.socket, kind: str, modules: list[str]) -> None:
        self._tasks, self._kind, self._modules, self._pid = tasks, kind, modules, os.getpid()
        self._children: dict[int, dict[str, str]] = {}

    def run(self) -> None:
        """Fork a child for every task until the executor is gone; then let children end what they do.

        Children end when the template does. A run at the coordinator may take hours, and goes on from its checkpoint.
        """
        from common.whole_messages import send_whole

        for module in self._modules:
            importlib.import_module(module)
        # httpx imports it at the first request, which would cost each child 0.1 s.
        importlib.import_module("httpcore")
        importlib.import_module("flwr.supernode.runtime.run_clientapp")
        importlib.import_module("flwr.superlink.runtime.run_serverapp")
        shorten_first_wait()
        send_whole()
        gc.freeze()  # the children share these pages
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._tasks.settimeout(REAP_SECONDS)
        while True:
            try:
                task = self._tasks.recv(LONGEST_TASK)
                if not task:
                    break
            except TimeoutError:
                task = b""
            self._reap()
            if task:
                self._fork(json.loads(task))
        deadline = time.monotonic() + (DRAIN_SECONDS if self._kind == "clientapp" else 0)
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(REAP_SECONDS / 4)

    def _fork(self, task: dict[str, str]) -> None:
        if (pid := os.fork()) == 0:
            self._be_the_child(task)
        self._children[pid] = task

    def _be_the_child(self, task: dict[str, str]) -> NoReturn:
        code = 1
        try:
            # Flower's own watch over its parent cannot wake a child that waits for a SuperNode that is gone, for
            # ever. A run at the coordinator still says that it has failed, and is started again the sooner.
            die_with_the_parent(signal.SIGTERM if self._kind == "serverapp" else signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._tasks.close()
            _run(self._kind, task, self._pid)
        except SystemExit as end:  # Flower's code for a task always ends so
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            task = self._children.pop(pid, None)
            if status and task is not None:
                code = os.waitstatus_to_exitcode(status)
                print(f"the process of a task ended with {code}; reported as failed", flush=True)
                if os.fork() == 0:  # a client has threads, and the template must have none
                    try:
                        _report_failure(task, code)
                    finally:
                        os._exit(0)


def _run(kind: str, task: dict[str, str], template: int) -> None:
    """Flower's own code for a task; it ends when the template does."""
    if kind == "clientapp":
        from flwr.supernode.runtime.run_clientapp import run_clientapp

        run_clientapp(
            task["api"], task["token"], True, None, parent_pid=template, runtime_dependency_install=False
        )
        return
    from flwr.superlink.runtime.run_serverapp import run_serverapp

    log: Queue[str | None] = Queue()
    run_serverapp(
        task["api"], log, task["token"], True, None, parent_pid=template, runtime_dependency_install=False
    )


def _report_failure(task: dict[str, str], code: int) -> None:
    from flwr.common.constant import SubStatus
    from flwr.proto.runtime_pb2 import PushTaskOutputRequest
    from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
    from flwr.supercore.runtime import RuntimeHttpClient

    client = RuntimeHttpClient.from_server_address(
        server_address=task["api"],
        insecure=True,
        root_certificates=None,
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperExec"),
            RuntimeTokenHttpInterceptor(task["token"]),
        ],
    )
    try:
        client.PushTaskOutput(
            PushTaskOutputRequest(
                sub_status=SubStatus.FAILED, details=f"the process of the task ended with {code}"
            )
        )
    except Exception as error:  # it had said so itself before it ended, and its token is spent
        print(f"not reported: {type(error).__name__}", flush=True)


def main() -> None:
    """The executor as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--kind", required=True, choices=sorted(KINDS))
    parser.add_argument("--import", dest="modules", required=True)
    parser.add_argument("--bell", type=Path)
    asked = parser.parse_args()
    os.environ.setdefault("FLWR_SUPEREXEC_TASK_POLL_INTERVAL", POLL_SECONDS)
    executor = WarmExecutor(
        asked.kind, asked.modules.split(","), asked.bell
    )  # before any thread or client is there
    import flwr.supercore.superexec.run_superexec as superexec
    from flwr.supercore.auth import load_superexec_auth_secret

    superexec.get_executor = lambda *_, **__: executor
    superexec.run_superexec(
        asked.api, insecure=True, superexec_auth_secret=load_superexec_auth_secret(secret_file=asked.secret)
    )


if __name__ == "__main__":
    main()
