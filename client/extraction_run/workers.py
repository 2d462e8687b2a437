"""Processes that work on one patient each; one that hangs or dies costs its own patient only."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from client.cannot_extract import CannotExtract
from client.cohort.findings import ImagesUnusable
from client.extraction_run.kept import Failure
from common.errors import HospitalError

STARTING_S = 120.0
"""Importing the libraries takes seconds; on a crowded machine, many."""


@dataclass(frozen=True)
class Worked:
    """One task's result, or why there is none, and how long it took."""

    task: Any
    result: Any
    seconds: float


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    task: Any = None
    since: float = 0.0
    broken: bool = False


def work_on(
    tasks: Iterable[Any], work: Callable[[Any], Any], processes: int, limit_s: float
) -> Iterator[Worked | None]:
    """Work on tasks in several processes; results come as they are ready, None from time to time between them.

    Parameters
    ----------
    work
        A function of a module, since it is called in other processes. What it returns is the result.
    limit_s
        A task that takes longer is ended with its process, and becomes a Failure.
    """
    waiting = iter(tasks)
    workers: list[_Worker] = []
    try:
        while True:
            while len(workers) < processes and (task := next(waiting, None)) is not None:
                workers.append(_start(work, task))
            if not workers:
                return
            ready = wait([worker.pipe for worker in workers], timeout=1.0)
            for worker in list(workers):
                done = _done(worker, worker.pipe in ready, limit_s)
                if done is None:
                    continue
                yield done
                following = None if worker.broken else next(waiting, None)
                if following is None:
                    _end(worker)
                    workers.remove(worker)
                else:
                    _give(worker, following)
            yield None
    finally:
        for worker in workers:
            _end(worker)


def failures_said(patient: str, work: Callable[[], object]) -> object:
    """What the work on one patient gives, or a Failure with its reason."""
    try:
        return work()
    except ImagesUnusable as unusable:
        return Failure(str(unusable))
    except (CannotExtract, HospitalError) as fault:
        return Failure(f"patient {patient}: {fault}")
    except MemoryError:
        return Failure(
            "out of memory: run again with fewer --processes, or larger voxels (spacing_mm)", again=True
        )
    except Exception as error:  # one patient must not stop the others; the type tells what to report
        return Failure(
            f"patient {patient}: an error of hepafed's own ({type(error).__name__}: {error})", again=True
        )


def _start(work: Callable[[Any], Any], task: Any) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    worker = _Worker(process, ours)
    _give(worker, task)
    worker.since += STARTING_S  # until it says that it is ready
    return worker


def _give(worker: _Worker, task: Any) -> None:
    worker.task, worker.since = task, time.monotonic()
    worker.pipe.send(task)


def _done(worker: _Worker, ready: bool, limit_s: float) -> Worked | None:
    """The task's result if there is one; a Failure where the process died or takes too long."""
    seconds = time.monotonic() - worker.since
    if ready:
        try:
            said = worker.pipe.recv()
            if said is None:
                worker.since = time.monotonic()
                return None
            taken, result = said
            return Worked(worker.task, result, taken)
        except (EOFError, OSError):
            worker.process.join(5)
            worker.broken = True
            ended = (
                f"the process that computed it ended with code {worker.process.exitcode}: most likely out of memory; "
                "run again with fewer --processes, or larger voxels (spacing_mm)"
            )
            return Worked(worker.task, Failure(ended, again=True), seconds)
    if seconds > limit_s:
        worker.broken = True
        late = (
            f"not done after {limit_s / 60:g} minutes and given up: look at the images' size, or raise --minutes"
        )
        return Worked(worker.task, Failure(late, again=True), seconds)
    return None


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """One task after the other, until the parent ends the process or is gone itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    pipe.send(None)
    while True:
        task = pipe.recv()
        began = time.monotonic()
        result = work(task)
        pipe.send((time.monotonic() - began, result))


def _end_with_the_parent() -> None:
    """A parent that was killed ends nobody: without this, orphans would go on computing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
