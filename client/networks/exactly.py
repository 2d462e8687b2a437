"""PyTorch with one thread, a seed of its own and deterministic kernels, for as long as a block lasts.

Threads of one process (a simulation) take turns where something is drawn: PyTorch's generator belongs to the whole
process. What draws nothing goes on beside it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

_TURN = threading.Lock()


@contextmanager
def exactly(seed: int | None) -> Iterator[None]:
    """The same bits for the same seed on the same machine; None: the block draws nothing."""
    with nullcontext() if seed is None else _TURN, _SETTINGS.strict():
        if seed is None:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield


class _Settings:
    """PyTorch's settings, which are the process's: strict from the first block's beginning to the last one's end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = (1, 0)

    @contextmanager
    def strict(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._before = (torch.get_num_threads(), torch.get_deterministic_debug_mode())
            self._inside += 1
            torch.set_num_threads(1)  # for every thread: some of it is a thread's own
            torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports a compiler: seconds
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    threads, mode = self._before
                    torch.set_deterministic_debug_mode(mode)
                    torch.set_num_threads(threads)


_SETTINGS = _Settings()
