"""Questions that are too large for one message are asked a few splits at a time."""

from collections.abc import Iterator, Sequence

MOST_NUMBERS = 600_000
"""A masked number takes 80 bytes on its way up, a message 50 MB at the most."""


def in_messages(splits: Sequence[str], numbers: int) -> Iterator[tuple[list[int], tuple[str, ...]]]:
    """Numbers and names of the splits of each message.

    Parameters
    ----------
    numbers
        How many numbers one split's answer holds.
    """
    at_once = max(1, MOST_NUMBERS // max(numbers, 1))
    for first in range(0, len(splits), at_once):
        asked = list(range(first, min(first + at_once, len(splits))))
        yield asked, tuple(splits[k] for k in asked)
