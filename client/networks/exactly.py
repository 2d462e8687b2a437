"""PyTorch with one thread, a seed of its own and deterministic kernels, for as long as a block lasts.

Threads of one process (a simulation) take turns: PyTorch's generator and settings belong to the whole process.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TURN = threading.Lock()


@contextmanager
def exactly(seed: int) -> Iterator[None]:
    """The same bits for the same seed on the same machine."""
    with _TURN:
        threads = torch.get_num_threads()
        strict = torch.get_deterministic_debug_mode()
        torch.set_num_threads(1)
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports a compiler: seconds
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                yield
        finally:
            torch.set_deterministic_debug_mode(strict)
            torch.set_num_threads(threads)
