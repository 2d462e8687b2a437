"""Views as they arrive in a message: how many, how large, and whether they can be read at all."""

from collections.abc import Sequence

from client.view_bounds import refuse
from common.query import View

MOST_VIEWS = 16
MOST_BYTES = 256 * 2**20
"""In one message: more views, or larger ones, no study needs."""


def read_view(packed: bytes) -> View:
    """A view as it travelled; HospitalError where it is none."""
    try:
        return View.from_bytes(packed)
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        refuse(f"a view that cannot be read: {str(error)[:200]}")


def read_views(packed: Sequence[bytes]) -> list[View]:
    """The views of one message; HospitalError where they are too many, too large or unreadable."""
    size = sum(map(len, packed))
    if len(packed) > MOST_VIEWS or size > MOST_BYTES:
        refuse(
            f"{len(packed)} views of {size} bytes in one message, at most {MOST_VIEWS} of {MOST_BYTES} are allowed"
        )
    return [read_view(view) for view in packed]
